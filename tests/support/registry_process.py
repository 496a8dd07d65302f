"""The real command, and a registry that it serves."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from command_line import ended

from filter_service import commands

LETHE = [sys.executable, "-m", "lethe"]
SETTINGS = 'kdf = "testing"\n'


def lethe(*arguments: object, code: int = 0, stdin: str | None = None) -> str:
    """Run the command; standard output, or standard error where it must fail."""
    done = subprocess.run(
        [*LETHE, *map(str, arguments)], capture_output=True, text=True, input=stdin, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def here(*arguments: object, code: int = 0, stdin: str = "") -> str:
    """The same without a process of its own: for commands that were run as one before."""
    done = ended(*arguments, given=stdin)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


class Served:
    """A registry that is served by the real command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder.parent / "serve.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*LETHE, "registry", "serve", "--folder", str(folder), "--port", str(self.port)],
                stderr=log,
                stdout=log,
            )
        for _ in range(300):
            assert self.process.poll() is None, self.log.read_text()
            if (folder / commands.SOCKET).exists() and self._answers():
                return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def _answers(self) -> bool:
        import httpx

        try:
            return httpx.get(f"{self.url}/health").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(timeout=30)
