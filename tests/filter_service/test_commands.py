"""A registry from the command line: served and not served, to a verified download and a filtered text."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_process import SETTINGS, Served, here, lethe

from filter_service import commands
from filter_service.errors import UnusableFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "registry"
    path.mkdir(mode=0o700)
    (path / "settings.toml").write_text(SETTINGS, "utf-8")
    return path


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    found = Served(folder)
    yield found
    if found.process.poll() is None:
        found.stop()


def post(
    url: str, body: object = None, key: str | None = None, code: int = 200
) -> dict[str, object]:
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = httpx.post(url, json={} if body is None else body, headers=headers, timeout=30)
    assert answer.status_code == code, answer.text
    return dict(answer.json())


def test_from_a_request_to_a_filtered_text(served: Served, tmp_path: Path) -> None:
    """The whole story, with the server running and everything else by the command line beside it."""
    import httpx

    request_id = "7b1c6a52-8e0f-4c3a-9f67-2f0f2f6b1d11"
    asked = {
        "regulation": "gdpr",
        "subject_request_id": request_id,
        "subject_request_type": "erasure",
        "submitted_time": "2026-07-01T10:00:00Z",
        "api_version": "2.0",
        "subject_identities": [
            {
                "identity_type": "email",
                "identity_value": "jane.doe@example.org",
                "identity_format": "raw",
            }
        ],
    }
    receipt = post(f"{served.url}/v1/requests", asked, code=201)
    secret = receipt["extensions"]["lethe"]["secret"]  # type: ignore[index]
    outbox = served.folder / "outbox"
    for _ in range(100):
        if found := list(outbox.glob("*.eml")):
            break
        time.sleep(0.1)
    import email
    import email.policy

    text = email.message_from_bytes(
        found[0].read_bytes(), policy=email.policy.default
    ).get_content()
    token = text.split(f"/confirm/{request_id}/")[1].split()[0]
    post(f"{served.url}/v1/requests/{request_id}/confirmations", {"token": token})
    key = json.loads(
        lethe(
            "registry", "create-key", "reviewer", "--who", "x", "--folder", served.folder, "--json"
        )
    )["key"]
    case = httpx.get(
        f"{served.url}/v1/review/requests/{request_id}", headers={"Authorization": f"Bearer {key}"}
    )
    decided = httpx.post(
        f"{served.url}/v1/review/requests/{request_id}/decisions",
        headers={"Authorization": f"Bearer {key}", "If-Match": case.headers["etag"]},
        json={"outcomes": [{"position": 0, "outcome": "accepted", "note": "own"}]},
        timeout=60,
    )
    assert decided.status_code == 200, decided.text
    made = json.loads(lethe("registry", "compile", "--folder", served.folder, "--json"))
    published = json.loads(lethe("registry", "publish", "--folder", served.folder, "--json"))
    assert published["requests"] == 1
    where = tmp_path / "got"
    get = ["bundle", "get", f"{served.url}/releases", "--dir", where, "--allow-testing"]
    said = lethe(*get, "--root", published["root"])
    assert made["release"] in said
    bundle = where / "lethe-public.safetensors"
    assert here("filter", "scan", "--bundle", bundle, stdin="Ask jane.doe@example.org.") == (
        "Ask [email removed]."
    )
    here("selftest", "--bundle", bundle)
    assert here(*get), "the root is known now"
    # The operators' file needs a key.
    assert "key" in here(*get, "--audience", "operators", "--root", published["root"], code=2)
    operator = json.loads(
        here(
            "registry", "create-key", "operator", "--who", "y", "--folder", served.folder, "--json"
        )
    )["key"]
    (tmp_path / "key").write_text(operator)
    here(*get, "--audience", "operators", "--root", published["root"], "--key", tmp_path / "key")
    # Withdrawn: gone from the next release.
    answer = httpx.delete(
        f"{served.url}/v1/requests/{request_id}", headers={"Authorization": f"Bearer {secret}"}
    )
    assert answer.status_code == 202
    here("registry", "compile", "--folder", served.folder, "--urgent", "withdrawal")
    here("registry", "publish", "--folder", served.folder)
    here(*get)
    assert here("filter", "scan", "--bundle", bundle, stdin="Ask jane.doe@example.org.") == (
        "Ask jane.doe@example.org."
    )
    assert served.stop() == 0
    assert "jane" not in served.log.read_text("utf-8")
    assert not (served.folder / commands.SOCKET).exists()


@pytest.mark.soak
def test_custodians_sign_elsewhere(folder: Path, tmp_path: Path) -> None:
    lethe("registry", "make-keys", tmp_path / "custodians")
    sticks = [tmp_path / "custodians" / f"custodian-{n}" for n in (1, 2, 3)]
    here("registry", "make-keys", folder / "keys" / "online", "--online")
    public = tmp_path / "public"
    public.mkdir()
    for path in [*sticks[1].glob("*.pub.pem"), *(folder / "keys" / "online").glob("*.pub.pem")]:
        (public / path.name).write_bytes(path.read_bytes())
    root = tmp_path / "root.json"
    keys = ["--keys", sticks[0], "--keys", sticks[2], "--keys", public]
    assert "public online keys" in here("registry", "make-root", *keys[:4], "--out", root, code=2)
    lethe("registry", "make-root", *keys, "--out", root)
    lethe("registry", "create-repository", "--root", root, "--folder", folder)
    here("registry", "compile", "--folder", folder)
    proposal = tmp_path / "proposal"
    lethe("registry", "prepare", "--out", proposal, "--folder", folder)
    lethe("registry", "sign", proposal, "--key", sticks[1] / "targets-2.pem")
    said = here("registry", "finish", proposal, "--folder", folder, code=2)
    assert "lethe: " in said
    here("registry", "sign", proposal, "--key", sticks[2] / "targets-3.pem")
    lethe("registry", "finish", proposal, "--folder", folder)
    assert json.loads(lethe("registry", "status", "--folder", folder, "--json"))["release"]
    lethe("registry", "refresh", "--folder", folder)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["publish"], "no compiled release"),
        (["compile", "--release", "2026.9.0"], "not a release"),
        (["create-key", "emperor", "--who", "x"], "Roles are"),
        (["create-key", "reviewer", "--who", "x", "--scope", "bundle"], "may have: review"),
        (["revoke-key", "nothing"], "no id of a key"),
        (["withdraw", "nothing"], "no id of a request"),
        (["withdraw", "7b1c6a52-8e0f-4c3a-9f67-2f0f2f6b1d11"], "no such resource"),
        (["backup", "--out", "/proc/nowhere"], "cannot be written"),
        (["restore", "--database", "nothing"], "is no backup"),
        (["make-keys", "/proc/nowhere"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_takes_one_sentence(
    folder: Path, arguments: list[str], says: str
) -> None:
    place = [] if arguments[0] == "make-keys" else ["--folder", str(folder)]
    said = here("registry", *arguments, *place, code=2)
    assert says in said
    assert said.count("\n") == 1


def test_commands_of_every_day(folder: Path, tmp_path: Path) -> None:
    made = json.loads(
        here("registry", "create-key", "machine", "--who", "x", "--folder", folder, "--json")
    )
    assert made["key"].startswith("lethe_")
    assert made["id"] in lethe("registry", "keys", "--folder", folder)
    lethe("registry", "revoke-key", made["id"], "--folder", folder)
    lethe("registry", "rotate-master", "--folder", folder)
    lethe("registry", "retention", "--folder", folder)
    lethe("registry", "backup", "--out", tmp_path / "db", "--folder", folder)
    lethe("registry", "backup-keys", "--out", tmp_path / "keys", "--folder", folder)
    lethe("registry", "export-optouts", "--out", tmp_path / "o.jsonl", "--folder", folder)
    assert (tmp_path / "o.jsonl").read_text() == ""
    lethe("registry", "figures", "--folder", folder)
    assert "entries" in lethe("registry", "verify-audit", "--folder", folder)


def test_ctrl_c_ends_in_order(served: Served) -> None:
    assert served.stop(signal.SIGINT) == 0
    assert not (served.folder / commands.SOCKET).exists()
    assert "Traceback" not in served.log.read_text("utf-8")


def test_two_processes_do_not_open_one_registry(served: Served) -> None:
    """Without its socket a served registry is refused, not damaged."""
    (served.folder / commands.SOCKET).unlink()
    assert "in use" in here("registry", "status", "--folder", served.folder, code=2)


def test_a_socket_that_nobody_listens_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here("registry", "status", "--folder", folder)
    with socket.socket(socket.AF_UNIX) as left:
        monkeypatch.chdir(folder)
        left.bind(commands.SOCKET)
    here("registry", "status", "--folder", folder)


def test_unsafe_settings_are_refused(folder: Path) -> None:
    (folder / "settings.toml").write_text("production = true\n", "utf-8")
    assert "base_url must begin with https" in here("registry", "serve", "--folder", folder, code=2)
    (folder / "settings.toml").write_text("unknown = 1\n", "utf-8")
    assert "unknown setting" in here("registry", "status", "--folder", folder, code=2)


def test_a_development_set_up_listens_here_only(folder: Path) -> None:
    said = here("registry", "serve", "--folder", folder, "--host", "0.0.0.0", code=2)
    assert "this machine only" in said


def test_a_serving_process_that_dies_midway(folder: Path) -> None:
    import threading

    path = folder / commands.SOCKET
    with socket.socket(socket.AF_UNIX) as dying:
        dying.bind(str(path))
        dying.listen()

        def hang_up() -> None:
            connection, _ = dying.accept()
            connection.recv(100)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(UnusableFolder, match="stopped midway"):
            commands.run(folder, "status")
        thread.join()


def test_a_mistyped_folder_makes_no_registry(folder: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "mistyped"
    assert "There is no folder" in here("registry", "status", "--folder", nowhere, code=2)
    assert not nowhere.exists()
    file = folder / "settings.toml"
    assert "name a folder" in here("registry", "serve", "--folder", file, "--port", 0, code=2)


def test_a_lost_master_key_is_not_replaced(folder: Path) -> None:
    """Another one in its place would hide that it is lost."""
    here("registry", "create-key", "machine", "--who", "x", "--folder", folder)
    key = folder / "keys" / "master.key"
    key.unlink()
    said = here("registry", "status", "--folder", folder, code=2)
    assert "make it available" in said
    assert not key.exists()
