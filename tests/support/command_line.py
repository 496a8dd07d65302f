"""The command line without a process of its own, where others prove the process."""

from __future__ import annotations

import io
import sys
from typing import NamedTuple
from unittest.mock import patch

from lethe.cli import main


class Ended(NamedTuple):
    """What `subprocess.run` tells of a command."""

    returncode: int
    stdout: str
    stderr: str


def ended(*arguments: object, given: str = "") -> Ended:
    """Run the command in this process: the same arguments, output, sentences and exit code.

    A process takes a second and more to load what a command needs; one for each command is enough.
    """
    streams = [
        io.TextIOWrapper(io.BytesIO(octets), "utf-8") for octets in (given.encode(), b"", b"")
    ]
    names = dict(zip(("stdin", "stdout", "stderr"), streams, strict=True))
    with patch.multiple(sys, argv=["lethe", *map(str, arguments)], **names):
        try:
            main()
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    said = []
    for stream in streams[1:]:
        stream.flush()
        said.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
    return Ended(code, *said)
