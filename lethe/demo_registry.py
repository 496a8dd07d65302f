"""The second part of ``lethe demo``: from a person's request to a text that no longer tells."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import typer

from lethe.console import extra

SAID = (
    "Mirabelle Tschanz-Vonlanthen wrote it; ask TSCHANZ-VONLANTHEN, Mirabelle "
    "(bergdohle47 [at] example.org), not Mirabelle Tschanz."
)


def tell(out: Path) -> Path:
    """Take a request, review it, publish a release, download it, apply it.

    Returns:
        the bundle that was downloaded.

    Raises:
        MissingExtra: the registry's packages are not installed; nothing was said yet.
    """
    with extra("service"):
        from filter_service.access import Role
        from filter_service.client import get
        from filter_service.model import RequestKind
        from filter_service.publication import publish
        from filter_service.registry import Submission
        from filter_service.review import Outcome
        from filter_service.service import Service
    from filter import Bundle, OutputFilter
    from filter.selftest import probe
    from model_gate.tiny_data import PERSONS

    person = PERSONS[0]
    identities = (
        ("name", person.name, None),
        ("email", person.email, "public"),
        ("phone", person.phone, "public"),
        ("postal_address", person.address, None),
    )
    typer.secho("\nA person asks to be forgotten", bold=True)
    with Service.open(out / "registry") as service:
        registry = service.registry
        receipt = registry.submit(
            Submission(uuid4(), RequestKind.ERASURE, identities, person.email)
        )
        typer.echo(
            f"  request   {receipt.request_id}, to be decided by {receipt.expected:%d.%m.%Y}"
        )
        service.courier.carry()
        letter = next((out / "registry" / "outbox").glob("*.eml"))
        token = _token(letter)
        registry.confirm_contact(receipt.request_id, token)
        typer.echo(f"  confirmed by the link in {letter}")
        outcomes = [
            Outcome(0, accepted=True, note="identity card seen, nothing kept", seen=True),
            Outcome(1, accepted=True),
            Outcome(2, accepted=True, note="called, and she answered", seen=True),
            Outcome(3, accepted=True, note="bill seen, nothing kept", seen=True),
        ]
        for reviewer in ("first-reviewer", "second-reviewer"):
            standing = registry.review.decide(receipt.request_id, reviewer, outcomes)
            typer.echo(f"  {reviewer:<16} {standing.state.value}")
        made = registry.releases.compile()
        published = publish(service, made.release, [])
        typer.echo(f"  release   {made.release}, signed, in {published['published']}")
        head = registry.database.verify_audit()
        typer.echo(f"  audit     {head.length} entries, chained to {head.digest.hex()[:12]}")
        key = registry.access.create(Role.OPERATOR, "Demonstration", "admin")[1]
        root = Path(published["root"]).read_bytes()
    typer.secho("\nAn operator downloads the release, verified", bold=True)
    with _server(out / "registry" / "published") as url:
        fetched = get(url, out / "operator", audience="operators", root=root, key=key)
    typer.echo(f"  {fetched.path}, release {fetched.release}, valid until {fetched.valid_until}")
    bundle = Bundle.open(fetched.path, verify=True)
    redaction = OutputFilter(bundle).redact(SAID)
    typer.echo(f"  before    {SAID}")
    typer.echo(f"  after     {redaction.text}")
    stopped = probe(bundle)
    held = sum(stopped.values())
    colour = "green" if held == len(stopped) else "red"
    typer.secho(f"  selftest  {held} of {len(stopped)} canaries stopped", fg=colour)
    return fetched.path


def _token(letter: Path) -> str:
    import email
    import email.policy

    message = email.message_from_bytes(letter.read_bytes(), policy=email.policy.default)
    found = re.search(r"/confirm/[0-9a-f-]{36}/([0-9a-f]{32})", message.get_content())
    assert found is not None
    return found[1]


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """Any web server will do: the releases are plain files."""
    import http.server

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
