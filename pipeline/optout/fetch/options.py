"""What a crawl asks for, and how politely: one frozen object, passed down whole."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from importlib import metadata

from filter.errors import InputError
from pipeline.errors import UnknownName

ROBOTS, TDMREP, AI_TXT, RSL = "robots.txt", "tdmrep.json", "ai.txt", "rsl.xml"
FILES = (ROBOTS, TDMREP, AI_TXT, RSL)
"""The files of a domain that a snapshot can hold, in the order in which they are asked for."""

_PACE = frozenset({"concurrency", "delay_s"})
"""Options that change how fast a crawl is, not what it finds: a journal is not bound to them."""


def default_user_agent() -> str:
    """``lethe-optout/VERSION (+URL)``, the URL being the home page that the package declares.

    Without a declared home page the bracket is left away: an invented address would be no contact.
    """
    try:
        described = metadata.metadata("lethe-llm")
    except metadata.PackageNotFoundError:
        return "lethe-optout/0"
    pages = dict(
        [part.strip() for part in entry.split(",", 1)]
        for entry in described.get_all("Project-URL") or ()
        if "," in entry
    )
    page = pages.get("Homepage") or pages.get("Repository")
    return f"lethe-optout/{described['Version']}" + (f" (+{page})" if page else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """How to crawl. Seconds end in ``_s``.

    Raises:
        InputError: a number out of range, or a user agent that no header can carry.
        UnknownName: a file that is none of `FILES`.

    """

    concurrency: int = 64
    """Connections open at a time, over all hosts."""
    delay_s: float = 1.0
    """Least time between the end of a request and the next one to the same host."""
    timeout_s: float = 15.0
    """Most time for one request: name, connection, TLS, every octet. Redirects count anew."""
    max_bytes: int = 1 << 20
    """Octets kept of a file, after decoding (RFC 9309, 2.5: at least 500 KiB of a robots.txt)."""
    retries: int = 2
    """Further requests after a 5xx, a 429 or a connection that broke."""
    max_redirects: int = 5
    """Redirects followed (RFC 9309, 2.3.1.2: at least five)."""
    backoff_s: float = 1.0
    """Wait before the first retry; each further one waits twice as long, with jitter."""
    max_wait_s: float = 60.0
    """Longest wait for a retry (it caps ``Retry-After``), and for a turn at a foreign host."""
    user_agent: str = field(default_factory=default_user_agent)
    files: tuple[str, ...] = FILES
    allow_private: bool = False
    """Also connect to private, loopback, link-local and other addresses that are not public."""
    https_first: bool = True
    """Ask https, then http where https cannot connect; ``False`` turns the two round."""

    def __post_init__(self) -> None:
        """Refuse what no crawl can be run with."""
        unknown = sorted(set(self.files) - set(FILES))
        if unknown:
            raise UnknownName(f"There is no opt-out file {unknown[0]!r}: use {', '.join(FILES)}.")
        if not self.files or (RSL in self.files and ROBOTS not in self.files):
            raise InputError(
                "Name files to fetch; rsl.xml needs robots.txt, which says where it is."
            )
        least = {"concurrency": 1, "max_bytes": 1, "retries": 0, "max_redirects": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise InputError(f"{name} must be at least {bound}.")
        for name in ("delay_s", "backoff_s", "max_wait_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must be a number of seconds, not below 0.")
        if not 0 < self.timeout_s < math.inf:
            raise InputError("timeout_s must be a number of seconds above 0.")
        agent = self.user_agent
        if not (agent and agent.isascii() and agent.isprintable() and agent == agent.strip()):
            raise InputError(
                "The user agent must be one line of printable ASCII: name/version (+URL)."
            )

    def binding(self) -> dict[str, object]:
        """The options that a journal is bound to, as JSON would give them back."""
        bound = {k: v for k, v in asdict(self).items() if k not in _PACE}
        return bound | {"files": [f for f in FILES if f in self.files]}
