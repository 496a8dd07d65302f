"""What README and ``docs/rest.md`` say with curl is done with curl, word by word."""

from __future__ import annotations

import email
import email.policy
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_process import SETTINGS, Served, here

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("curl") / "registry"
    folder.mkdir(mode=0o700)
    (folder / "settings.toml").write_text(SETTINGS, "utf-8")
    found = Served(folder)
    yield found
    found.stop()


def commands_of(page: str) -> list[str]:
    """The curl commands of a page, each with its continued lines."""
    text = (ROOT / page).read_text("utf-8")
    blocks = re.findall(r"^```\n(curl .*?)^```", text, re.DOTALL | re.MULTILINE)
    return [block.strip() for block in blocks]


def run(served: Served, command: str, **names: str) -> str:
    for name, value in names.items():
        command = command.replace(f"${name}", value)
    command = command.replace("http://127.0.0.1:8000", served.url)
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def letters(served: Served, wanted: int) -> list[str]:
    """The e-mails in the outbox, once there are as many."""
    for _ in range(200):
        found = list((served.folder / "outbox").glob("*.eml"))
        if len(found) >= wanted:
            break
        time.sleep(0.1)
    return [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default).get_content()
        for path in found
    ]


def test_the_request_in_the_readme(served: Served) -> None:
    (command,) = commands_of("README.md")
    said = json.loads(run(served, command))
    assert re.fullmatch("[0-9a-f]{32}", said["extensions"]["lethe"]["secret"])
    assert said["expected_completion_time"] > said["received_time"]


def test_a_life_by_the_page(served: Served, tmp_path: Path) -> None:
    submit, confirm, code, status, withdraw, decide = commands_of("docs/rest.md")
    # Another address than README's, which had its mail of the day.
    submit = submit.replace("jane.doe@example.org", "janet.doe@example.org")
    receipt = json.loads(run(served, submit))
    request_id, secret = receipt["subject_request_id"], receipt["extensions"]["lethe"]["secret"]
    names = {"ID": request_id, "SECRET": secret}
    link = next(text for text in letters(served, 2) if f"/confirm/{request_id}/" in text)
    token = link.split(f"/confirm/{request_id}/")[1].split()[0]
    state = json.loads(run(served, confirm.replace("4c1d...", token), **names))
    assert state["extensions"]["lethe"]["state"] == "in_review"
    for _ in range(100):
        if found := list((served.folder / "outbox").glob("*.txt")):
            break
        time.sleep(0.1)
    digits = re.search(r"\b\d{4} \d{4}\b", found[0].read_text("utf-8"))
    assert digits is not None
    said = json.loads(run(served, code.replace("1234 5678", digits[0]), **names))
    assert said["evidence_state"] == "confirmed"
    assert json.loads(run(served, status, **names))["request_status"] == "in_progress"
    made = here(
        "registry", "create-key", "reviewer", "--who", "x", "--folder", served.folder, "--json"
    )
    key = json.loads(made)["key"]
    seen = run(
        served, "curl -si http://127.0.0.1:8000/v1/review/requests/$ID -H 'Authorization: Bearer $KEY'",
        ID=request_id, KEY=key,
    )  # fmt: skip
    version = re.search(r'^etag: ("\d+")', seen, re.MULTILINE | re.IGNORECASE)
    assert version is not None
    decided = json.loads(run(served, decide.replace('"3"', version[1]), ID=request_id, KEY=key))
    # A name needs two reviewers: the first decision leaves it in review.
    assert decided["state"] == "in_review"
    assert decided["first_reviewer"] is not None
    made = here(
        "registry", "create-key", "reviewer", "--who", "y", "--folder", served.folder, "--json"
    )
    second = decide.replace('"3"', f'"{int(version[1].strip(chr(34))) + 1}"')
    decided = json.loads(run(served, second, ID=request_id, KEY=json.loads(made)["key"]))
    assert decided["state"] == "accepted"

    got = tmp_path / "got"
    made = here(
        "registry", "create-key", "operator", "--who", "z", "--folder", served.folder, "--json"
    )
    (tmp_path / "key").write_text(json.loads(made)["key"])
    get = ["bundle", "get", f"{served.url}/releases", "--dir", got, "--audience", "operators"]
    get += ["--key", tmp_path / "key", "--allow-testing"]
    get += ["--root", served.folder / "published" / "root.json"]
    said = "Jane Doebler-Zgraggen has janet.doe@example.org."

    def filtered() -> str:
        here("registry", "compile", "--folder", served.folder, "--urgent", "a test")
        here("registry", "publish", "--folder", served.folder)
        here(*get)
        bundle = got / "lethe-operators.safetensors"
        return here("filter", "scan", "--bundle", bundle, stdin=said)

    assert filtered() == "[name removed] has [email removed]."
    assert json.loads(run(served, status, **names))["request_status"] == "completed"
    gone = json.loads(run(served, withdraw, **names))
    assert gone["subject_request_id"] == request_id
    assert json.loads(run(served, status, **names))["request_status"] == "in_progress"
    assert filtered() == said
    assert json.loads(run(served, status, **names))["request_status"] == "cancelled"
