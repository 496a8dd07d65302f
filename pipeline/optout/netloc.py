"""The host of a URL as the published corpora looked it up: the raw authority, unchanged."""

from __future__ import annotations

from urllib.parse import urlparse


def raw_authority(url: str) -> str | None:
    """The authority of ``url`` by the standard library; ``None`` where it is empty or refused.

    Upper case, ports, credentials and trailing dots stay, so such URLs find no robots.txt and are
    kept. That is what the policy ``apertus-2025-01`` reproduces.
    """
    try:
        return urlparse(url).netloc or None
    except ValueError:
        return None
