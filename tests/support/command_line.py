"""The command line without a process of its own, where others prove the process."""

from __future__ import annotations

import io
import sys
from subprocess import CompletedProcess
from unittest.mock import patch

from lethe.cli import main


def ended_octets(*arguments: object, given: bytes = b"") -> CompletedProcess[bytes]:
    """Run the command in this process: the same arguments, output, sentences and exit code.

    A process takes a second and more to load what a command needs; one for each command is enough.
    """
    line = ["lethe", *map(str, arguments)]
    streams = [io.TextIOWrapper(io.BytesIO(octets), "utf-8") for octets in (given, b"", b"")]
    names = dict(zip(("stdin", "stdout", "stderr"), streams, strict=True))
    with patch.multiple(sys, argv=line, **names):
        try:
            main()
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    said = []
    for stream in streams[1:]:
        stream.flush()
        said.append(stream.buffer.getvalue())  # type: ignore[attr-defined]
    return CompletedProcess(line, code, *said)


def ended(*arguments: object, given: str = "") -> CompletedProcess[str]:
    """The same with text."""
    done = ended_octets(*arguments, given=given.encode())
    return CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
