"""The interface does what its OpenAPI document says, whatever comes in."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from filter_service.access import Role, Scope

CONFIG = """
seed = 7
max-time = {seconds}
continue-on-failure = true

[generation]
max-examples = {examples}
mode = "all"

[auth.openapi]
secret = {{ bearer = "{secret}" }}
reviewer = {{ bearer = "{reviewer}" }}
machine = {{ bearer = "{machine}" }}
operator = {{ bearer = "{operator}" }}

# All checks are on. What the document cannot say (that an e-mail address is one, say) is refused by 422, what
# it forbids by 400: so 400 is never an answer to valid data, nor 422 to invalid data.
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "412", "416", "422", "429"]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "413", "415"]
missing_required_header.expected-statuses = ["400", "401", "428"]
# But this one, which wants 401 for a wrong secret, where 404 gives nothing away; see the test below.
ignored_auth.enabled = false

# Ids that exist take the place of wrong ones too, which are then refused for another reason.
[[operations]]
include-path-regex = "^/v1/requests/"
parameters = {{ "path.request_id" = "{request_id}" }}
checks.negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "415", "422", "429"]

[[operations]]
include-path-regex = "^/v1/review/requests/"
parameters = {{ "path.request_id" = "{reviewed_id}" }}
checks.negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "409", "412", "413", "415", "422", "428"]
"""
MACHINE = (Scope.SUBMIT, Scope.MANDATE, Scope.METRICS)


def token(headers):
    return headers["Authorization"].removeprefix("Bearer ")


def test_schemathesis_finds_nothing(lethe, tmp_path):
    """Each case of what the document says, and a few by chance; the next has many."""
    schemathesis_finds_nothing(lethe, tmp_path, examples=1, seconds=10)


@pytest.mark.soak
def test_schemathesis_finds_nothing_in_a_long_time(lethe, tmp_path, scale):
    examples, seconds = max(12, round(100 * scale)), max(60, round(600 * scale))
    schemathesis_finds_nothing(lethe, tmp_path, examples, seconds)


def schemathesis_finds_nothing(lethe, tmp_path, examples, seconds):
    request_id, secret = lethe.confirmed(
        ("email", "jane.doe@example.org"), ("phone", "044 668 18 00")
    )
    reviewed_id, _ = lethe.confirmed(("email", "john.doe@example.org"))
    for audience in ("public", "operators"):
        folder = lethe.service.published / audience / "metadata"
        folder.mkdir(parents=True)
        (folder / "timestamp.json").write_bytes(b"{}")
    release = lethe.registry.releases.compile().release
    lethe.registry.releases.enter_published(release)
    config = tmp_path / "schemathesis.toml"
    config.write_text(
        CONFIG.format(
            examples=examples,
            seconds=seconds,
            secret=token(secret),
            reviewer=token(lethe.reviewer()),
            machine=token(lethe.key(Role.MACHINE, *MACHINE)),
            operator=token(lethe.key(Role.OPERATOR, Scope.BUNDLE)),
            request_id=request_id,
            reviewed_id=reviewed_id,
        )
    )
    program = str(Path(sys.executable).with_name("schemathesis"))
    document = f"{lethe.url}/openapi.json"
    done = subprocess.run(
        [program, "--config-file", str(config), "run", document],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds + 240,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    lines = [one for one in lethe.lines() if one["event"] == "request"]
    statuses = {one["status"] for one in lines}
    assert {200, 201, 202, 204, 400, 401, 404, 405, 409, 415, 422} <= statuses
    assert max(statuses) < 500
    assert set(lethe.app.openapi()["paths"]) <= {one["route"] for one in lines}


def test_what_needs_credentials_is_refused_to_whoever_has_none_or_wrong_ones(shared):
    tried = 0
    for path, operations in shared.app.openapi()["paths"].items():
        url = re.sub(r"\{(\w*id)\}", "5a0b1c9e-3f52-4c6b-9d7e-2f8a4b6c1d3e", path)
        url = url.replace("{position}", "0")
        for method, operation in operations.items():
            taken = {name for one in operation.get("security", []) for name in one}
            if not taken or {} in operation["security"]:
                continue
            tried += 1
            # Nothing in it is looked at before it is known who asks.
            body = {"json": {}} if "requestBody" in operation else {}
            for name in (None, "Basic eA==", "Bearer", f"Bearer lethe_{'0' * 32}_{'0' * 32}"):
                headers = {"Authorization": name} if name else {}
                answer = shared.http.request(method, url, headers=headers, **body)
                assert answer.status_code == 401, (method, path, name)
            wrong = {"Authorization": f"Bearer {'0' * 32}"}
            body = {"json": {"text": "x"}} if body else {}
            answer = shared.http.request(method, url, headers=wrong, **body)
            assert answer.status_code == (404 if "secret" in taken else 401), (method, path)
    assert tried > 15
