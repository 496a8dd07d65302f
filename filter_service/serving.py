"""Serving a registry folder: pages, REST, releases, and the socket for its keeper's commands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from filter.errors import InputError
from filter_service.api.app import create_app
from filter_service.api.serving import listening, run
from filter_service.commands import CommandSocket
from filter_service.errors import UnsafeSettings
from filter_service.pages import add_to, writes
from filter_service.service import Service
from filter_service.settings import load, master_key


def serve(folder: Path, host: str, port: int, says: Callable[[str], None]) -> None:
    """Serve until asked to end.

    Args:
        folder: of the registry; made where there is none.
        host: address to listen on.
        port: 0 for a free one.
        says: takes sentences for whoever started it.

    Raises:
        UnusableFolder, UnsafeSettings: says what to do.
        InputError: the address cannot be listened on.
    """
    settings = load(folder)
    if not settings.production and host not in {"127.0.0.1", "::1", "localhost"}:
        raise UnsafeSettings(
            "A development set-up listens on this machine only: set production = true in settings.toml."
        )
    with ExitStack() as stack:
        try:
            sockets = stack.enter_context(listening(host, port))
        except OSError as error:
            raise InputError(
                f"{host}:{port} cannot be listened on ({error.strerror}): choose another --port."
            ) from None
        found = sockets[0].getsockname()[1]
        if not settings.production:
            shown = f"[{host}]" if ":" in host else host
            settings = replace(settings, base_url=f"http://{shown}:{found}")
        with Service.open(folder, settings) as service:
            _, key = master_key(settings, folder)
            says(f"Lethe's registry in {folder} at {settings.base_url}, until Ctrl-C.")
            if not settings.production:
                says(
                    "This is a development set-up: its keys were made here and lie beside the data "
                    f"({key or 'environment'}), messages go to {folder / 'outbox'}, and nothing "
                    "is encrypted on the way. docs/registry.md says what production needs."
                )
            app = create_app(service)
            add_to(app, service)
            app.state.writing.append(writes)
            commands = CommandSocket(service)
            service.start()
            try:
                run(app, sockets)
            finally:
                commands.close()
