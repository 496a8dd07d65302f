"""Static files of the repositories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from filter_service.access import Role, Scope

NAME = "0" * 64 + ".lethe-public.safetensors"
CONTENT = bytes(range(256)) * 2500
FOR_EVER = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def files(shared):
    """A published folder, and a secret beside it."""
    base = shared.service.published
    for audience in ("public", "operators"):
        for folder in ("metadata", "targets"):
            (base / audience / folder).mkdir(parents=True)
        (base / audience / "metadata" / "timestamp.json").write_bytes(b'{"a": 1}')
        (base / audience / "metadata" / "1.root.json").write_bytes(b"{}")
        (base / audience / "targets" / NAME).write_bytes(CONTENT)
    (base / "public" / "targets" / ("1" * 64 + ".empty")).write_bytes(b"")
    (base / "secret.json").write_bytes(b"secret")
    (base / "public" / "metadata" / "2.root.json").symlink_to(base / "secret.json")
    (base / "public" / "metadata" / "3.root.json").symlink_to("1.root.json")
    (base / "public" / "metadata" / "4.root.json").mkdir()
    os.mkfifo(base / "public" / "metadata" / "5.root.json")
    (base / "public" / "metadata" / "6.root.json").symlink_to("nowhere")
    (base / "public" / "metadata" / "notes.json").write_bytes(b"{}")
    (base / "public" / "targets" / ".partial").write_bytes(b"{}")
    return shared


@pytest.mark.parametrize(
    ("path", "kind", "cache"),
    [
        (f"public/targets/{NAME}", "application/octet-stream", FOR_EVER),
        ("public/metadata/1.root.json", "application/json", FOR_EVER),
        ("public/metadata/3.root.json", "application/json", FOR_EVER),
        ("public/metadata/timestamp.json", "application/json", "public, no-cache"),
    ],
)
def test_what_is_served(files, path, kind, cache):
    answer = files.http.get(f"/releases/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == kind
    assert answer.headers["cache-control"] == cache
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.content == (files.service.published / path).read_bytes()
    head = files.http.head(f"/releases/{path}")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "etag", "content-type", "cache-control"):
        assert head.headers[name] == answer.headers[name]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "public",
        "public/",
        "public/metadata",
        "public/metadata/",
        "public/metadata/2.root.json",
        "public/metadata/4.root.json",
        "public/metadata/5.root.json",
        "public/metadata/6.root.json",
        "public/metadata/7.root.json",
        "public/metadata/notes.json",
        "public/metadata/01.root.json",
        "public/targets/.partial",
        f"public/targets/{NAME.upper()}",
        f"public/targets/{NAME}%00",
        f"public/targets/{NAME}%0a",
        f"public/targets/..%2ftargets/{NAME}",
        "public/metadata/..%2f..%2fsecret.json",
        "public/../secret.json",
        "public/metadata/%2e%2e/%2e%2e/secret.json",
        "secret.json",
        "..%2f..%2fsettings.toml",
        "private/metadata/timestamp.json",
        f"public//targets/{NAME}",
    ],
)
def test_what_is_not(files, path):
    answer = files.http.get(f"/releases/{path}")
    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/not_found"


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=600000-", 206, 600_000, len(CONTENT)),
        ("bytes=-100", 206, len(CONTENT) - 100, len(CONTENT)),
        (f"bytes=-{len(CONTENT) + 5}", 206, 0, len(CONTENT)),
        ("bytes=639999-99999999", 206, 639_999, len(CONTENT)),
        (f"bytes={len(CONTENT)}-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=9-5", 200, 0, len(CONTENT)),
        ("bytes=0-1,4-5", 200, 0, len(CONTENT)),
        ("bytes=", 200, 0, len(CONTENT)),
        ("lines=1-2", 200, 0, len(CONTENT)),
        ("bytes=-1-2", 200, 0, len(CONTENT)),
    ],
)
def test_ranges(files, asked, status, start, end):
    answer = files.http.get(f"/releases/public/targets/{NAME}", headers={"Range": asked})
    assert answer.status_code == status
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"
        assert answer.json()["type"] == "/problems/no_such_range"
        return
    assert answer.content == CONTENT[start:end]
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"
    head = files.http.head(f"/releases/public/targets/{NAME}", headers={"Range": asked})
    assert head.headers["content-length"] == str(end - start)
    assert head.content == b""


def test_an_empty_file_has_no_range(files):
    url = f"/releases/public/targets/{'1' * 64}.empty"
    assert files.http.get(url).content == b""
    assert files.http.get(url, headers={"Range": "bytes=0-"}).status_code == 416


def test_what_has_not_changed_is_not_sent_again(files):
    url = f"/releases/public/targets/{NAME}"
    etag = files.http.get(url).headers["etag"]
    for value in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = files.http.get(url, headers={"If-None-Match": value})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
        assert answer.headers["cache-control"] == FOR_EVER
        assert files.http.head(url, headers={"If-None-Match": value}).status_code == 304
    assert files.http.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    part = {"Range": "bytes=0-9"}
    assert files.http.get(url, headers=part | {"If-Range": etag}).status_code == 206
    for value in ('"other"', f"W/{etag}", "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert files.http.get(url, headers=part | {"If-Range": value}).status_code == 200


def test_a_timestamp_that_was_replaced_is_another_file(files):
    path = files.service.published / "public" / "metadata" / "timestamp.json"
    url = "/releases/public/metadata/timestamp.json"
    etag = files.http.get(url).headers["etag"]
    new = path.with_name(".new")
    new.write_bytes(b'{"a": 2}')
    os.utime(new, ns=(1, path.stat().st_mtime_ns + 1))
    new.replace(path)
    answer = files.http.get(url, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content) == (200, b'{"a": 2}')


def test_the_operators_files_need_an_operators_key(files):
    url = f"/releases/operators/targets/{NAME}"
    assert files.http.get(url).status_code == 401
    assert files.http.head(url).status_code == 401
    machine = files.key(Role.MACHINE, Scope.SUBMIT)
    assert files.http.get(url, headers=machine).status_code == 403
    assert files.http.get("/releases/operators/metadata/9.root.json").status_code == 401
    operator = files.key(Role.OPERATOR, Scope.BUNDLE)
    answer = files.http.get(url, headers=operator)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    stamp = files.http.get("/releases/operators/metadata/timestamp.json", headers=operator)
    assert stamp.headers["cache-control"] == "private, no-cache"
    assert (
        files.http.get("/releases/operators/metadata/9.root.json", headers=operator).status_code
        == 404
    )


def test_nothing_is_left_open(files):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        files.http.get(f"/releases/public/targets/{NAME}", headers={"If-None-Match": "*"})
        files.http.get(f"/releases/public/targets/{NAME}", headers={"Range": "bytes=-0"})
        files.http.head(f"/releases/public/targets/{NAME}")
        files.http.get("/releases/public/metadata/4.root.json")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
