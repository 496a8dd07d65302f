"""What a registry's keeper may do, by name: the same whether it is served at the moment or not.

While a registry is served, its folder has a Unix socket through which the commands run in the serving
process; otherwise they open the registry themselves. One JSON object goes in, one comes out.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from filter.errors import InputError, LetheError
from filter_service import backup, publication, settings
from filter_service.access import Role, Scope
from filter_service.errors import Unacceptable, UnusableFolder
from filter_service.keyring import KEY_BYTES, write_private
from filter_service.service import Service

SOCKET = "registry.sock"
_MOST = 1 << 20
Answer = dict[str, Any]
_ACTOR = "admin"


def _compile(service: Service, release: str | None = None, urgent: str = "") -> Answer:
    made = service.registry.releases.compile(release, urgent=urgent)
    folder = service.registry.releases.folder / made.release
    return {"release": made.release, "folder": str(folder), "digests": made.digests}


def _publish(service: Service, release: str | None = None, keys: list[str] | None = None) -> Answer:
    return publication.publish(service, release, [Path(one) for one in keys or ()])


def _prepare(service: Service, out: str, release: str | None = None) -> Answer:
    return publication.prepare(service, release, Path(out))


def _finish(service: Service, proposal: str, release: str | None = None) -> Answer:
    return publication.finish(service, release, Path(proposal))


def _create_repository(
    service: Service, keys: list[str] | None = None, root: str | None = None
) -> Answer:
    folders = [Path(one) for one in keys or ()]
    return publication.create(service, folders, Path(root) if root else None)


def _refresh(service: Service) -> Answer:
    return publication.refresh(service)


def _export_optouts(service: Service, out: str) -> Answer:
    lines = [json.dumps(line, ensure_ascii=False) for line in service.registry.releases.optouts()]
    path = Path(out)
    try:
        write_private(path, "".join(f"{line}\n" for line in lines).encode())
        path.chmod(0o644)
    except OSError as error:
        raise UnusableFolder(
            f"{path} cannot be written ({error.strerror}): name another."
        ) from None
    return {"file": str(path), "optouts": len(lines)}


def _verify_audit(service: Service) -> Answer:
    head = service.registry.verify_audit()
    return {"entries": head.length, "head": head.digest.hex()}


def _backup(service: Service, out: str) -> Answer:
    return {"file": str(backup.backup(service.registry, Path(out)))}


def _backup_keys(service: Service, out: str | None = None) -> Answer:
    folder = Path(out) if out else service.registry.folder / "key-backups"
    return {"folder": str(backup.backup_keys(service.registry, folder))}


def _note_restored(service: Service, erased: int) -> Answer:
    service.registry.database.write(
        lambda transaction: transaction.audit(_ACTOR, "restored", "-", erased=erased)
    )
    return {}


def _withdraw(service: Service, request: str) -> Answer:
    try:
        request_id = UUID(request)
    except ValueError:
        raise Unacceptable("id", "This is no id of a request: it is in the receipt.") from None
    return {"state": service.registry.review.withdraw(request_id, _ACTOR).state.value}


def _retention(service: Service) -> Answer:
    return dict(vars(service.keep_house()))


def _figures(service: Service) -> Answer:
    return service.figures()


def _status(service: Service) -> Answer:
    return service.health()


def _create_key(
    service: Service,
    role: str,
    who: str,
    scopes: list[str] | None = None,
    days: int | None = None,
) -> Answer:
    if role not in tuple(Role) or any(one not in tuple(Scope) for one in scopes or ()):
        raise Unacceptable(
            "role",
            f"Roles are {', '.join(Role)}; scopes are {', '.join(Scope)}: choose of these.",
        )
    chosen = [Scope(one) for one in scopes] if scopes else None
    access, key = service.registry.access.create(Role(role), who, _ACTOR, scopes=chosen, days=days)
    return {"id": str(access.access_id), "key": key, "scopes": sorted(access.scopes)}


def _keys(service: Service) -> Answer:
    return {
        "keys": [
            {
                "id": str(one.access_id),
                "role": one.role.value,
                "who": one.who,
                "scopes": sorted(one.scopes),
                "created": one.created.date().isoformat(),
                "expires": one.expires.date().isoformat() if one.expires else None,
                "revoked": one.revoked.date().isoformat() if one.revoked else None,
                "confirmed": one.confirmed,
            }
            for one in service.registry.access.all()
        ]
    }


def _revoke_key(service: Service, key: str) -> Answer:
    try:
        access_id = UUID(key)
    except ValueError:
        raise Unacceptable("id", "This is no id of a key: see lethe registry keys.") from None
    service.registry.access.revoke(access_id, _ACTOR)
    return {"revoked": str(access_id)}


def _rotate_master(service: Service) -> Answer:
    registry = service.registry
    _, path = settings.master_key(service.settings, registry.folder)
    if path is None:
        raise Unacceptable(
            "master_key",
            f"The master key comes from {settings.MASTER_KEY}: put it into a file to rotate it here.",
        )
    fresh = os.urandom(KEY_BYTES)
    # First both keys are on disk, then the ring changes hands, then the old one goes.
    coming = path.with_name(f"{path.name}.next")
    write_private(coming, fresh.hex().encode() + b"\n")
    registry.database.write(lambda transaction: transaction.keys.rewrap(fresh))
    coming.replace(path)
    registry.database.write(lambda transaction: transaction.audit(_ACTOR, "master_rotated", "-"))
    return {"file": str(path), "keys": len(registry.keys)}


COMMANDS: Mapping[str, Callable[..., Answer]] = {
    "compile": _compile,
    "publish": _publish,
    "prepare": _prepare,
    "finish": _finish,
    "create-repository": _create_repository,
    "refresh": _refresh,
    "export-optouts": _export_optouts,
    "verify-audit": _verify_audit,
    "backup": _backup,
    "backup-keys": _backup_keys,
    "note-restored": _note_restored,
    "withdraw": _withdraw,
    "retention": _retention,
    "figures": _figures,
    "status": _status,
    "create-key": _create_key,
    "keys": _keys,
    "revoke-key": _revoke_key,
    "rotate-master": _rotate_master,
}


def run(folder: Path, command: str, **arguments: object) -> Answer:
    """Run a command, in the serving process if there is one.

    Raises:
        InputError: what the command refuses.
    """
    if not folder.is_dir():
        raise UnusableFolder(
            f"There is no folder {folder}: name the registry's, or make one with lethe registry serve."
        )
    if (folder / SOCKET).exists():
        answer = _asked(folder, {"command": command, "arguments": arguments})
        if answer is not None:
            return answer
    with Service.open(folder) as service:
        return COMMANDS[command](service, **arguments)


@contextmanager
def _reachable(folder: Path) -> Iterator[str]:
    """A short path of the socket: names of sockets have at most 107 octets."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        short = f"/proc/self/fd/{descriptor}"
        yield f"{short if Path(short).exists() else folder}/{SOCKET}"
    finally:
        os.close(descriptor)


def _asked(folder: Path, question: Answer) -> Answer | None:
    """What the serving process says; `None` where nobody listens any more."""
    with socket.socket(socket.AF_UNIX) as connection, _reachable(folder) as path:
        try:
            connection.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        connection.sendall(json.dumps(question).encode() + b"\n")
        with connection.makefile("rb") as file:
            line = file.readline()
    if not line:
        raise UnusableFolder("The serving process stopped midway: look whether it did the work.")
    said: Answer = json.loads(line)
    if "error" in said:
        raise UnusableFolder(said["error"])
    answer: Answer = said["answer"]
    return answer


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        """Answer one question."""
        line = self.rfile.readline(_MOST)
        if not line:
            return
        try:
            question = json.loads(line)
            command = COMMANDS[question["command"]]
            said: Answer = {"answer": command(self.server.service, **question["arguments"])}
        except InputError as error:
            said = {"error": str(error)}
        except LetheError:
            said = {"error": "This cannot be done: see the log of the serving process."}
        except Exception as error:  # noqa: BLE001 -- it must not end the serving process
            said = {"error": f"This failed inside ({type(error).__name__}): report it."}
        self.wfile.write(json.dumps(said).encode() + b"\n")


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    service: Service


class CommandSocket:
    """The socket of a served registry; only the user who serves may connect."""

    def __init__(self, service: Service) -> None:
        self._path = service.registry.folder / SOCKET
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            with _reachable(service.registry.folder) as path:
                self._server = _Server(path, _Handler)
        finally:
            os.umask(before)
        self._server.service = service
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more commands."""
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)
