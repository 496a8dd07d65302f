"""The process that builds the files of a release, so that building stops nobody from being served.

It reads JSON Lines from standard input: first what to build, then one entry a line. Nothing personal is
an argument or touches a disk. What it wrote it says on standard output, as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from filter import Bundle
from filter.kdf import profile
from filter_service.errors import UnusableFolder

_IN_A_ROW = 32
"""Entries that are handed over before whoever is served gets a turn."""
_REST_S = 0.002


def built(plan: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Build the files of a release in a process of its own.

    Args:
        plan: ``files`` (audience -> path), ``release``, ``now`` (ISO 8601), ``kdf``, ``family``, ``salt``
            and ``decoys`` (hex), ``regions``, ``audit``, ``previous`` (audience -> release and hash).
        entries: ``kind``, ``text``, ``audience``, ``hashes`` of each.

    Returns:
        For each audience ``content_sha256``, ``valid_until``, ``entries`` (exact, by kind) and ``manifest``.

    Raises:
        UnusableFolder: the process failed.
    """
    command = [sys.executable, "-m", "filter_service.compile_worker"]
    with subprocess.Popen(  # noqa: S603 -- our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(plan).encode() + b"\n")
            for number, entry in enumerate(entries):
                process.stdin.write(json.dumps(entry).encode() + b"\n")
                if number % _IN_A_ROW == 0:
                    time.sleep(_REST_S)
        except BrokenPipeError:
            pass  # it says why
        said, complaint = process.communicate()
    if process.returncode == 2:
        raise UnusableFolder(complaint.decode().strip())
    if process.returncode != 0:
        raise UnusableFolder("The release could not be built: try again, then look at the machine.")
    result: dict[str, Any] = json.loads(said)
    return result


def main() -> None:
    """Build what standard input asks for."""
    os.nice(10)
    plan = json.loads(sys.stdin.readline())
    entries = [json.loads(line) for line in sys.stdin]
    known = {secret: slow for entry in entries for secret, slow in entry["hashes"].items()}
    salt, kdf = bytes.fromhex(plan["salt"]), profile(plan["kdf"])
    result = {}
    for audience, path in plan["files"].items():
        bundle = Bundle.build(
            [
                (entry["kind"], entry["text"])
                for entry in entries
                if audience == "operators" or entry["audience"] == "public"
            ],
            release=plan["release"],
            audience=audience,
            kdf=plan["kdf"],
            family=plan["family"],
            salt=salt,
            regions=plan["regions"],
            slow=lambda secret: known[secret] if secret in known else kdf.hash(salt, secret),
            previous=plan["previous"].get(audience),
            audit=plan["audit"],
            decoys=bytes.fromhex(plan["decoys"]),
        )
        bundle.write(Path(path))
        assert bundle.report is not None
        now = datetime.fromisoformat(plan["now"])
        manifest = Bundle.open(path, verify=True, now=now).manifest
        result[audience] = {
            "content_sha256": manifest["content_sha256"],
            "valid_until": manifest["valid_until"],
            "entries": {str(kind): n for kind, n in bundle.report.entries.items() if n},
            "manifest": manifest,
        }
    print(json.dumps(result))  # noqa: T201 -- read by `built`


if __name__ == "__main__":
    from filter.errors import InputError

    try:
        main()
    except InputError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(2)
