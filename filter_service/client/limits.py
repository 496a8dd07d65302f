"""How much, and for how long, a server is listened to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds end in ``_s``, octets in ``_bytes``. A request ends at its first limit."""

    idle_s: float = 20
    """To connect, and then without a single octet."""
    answer_s: float = 30
    """For a whole request, besides what its size allows."""
    slowest_bytes_per_s: float = 16384
    """What every request must reach; without it a server could drip for ever."""
    bundle_bytes: int = 1 << 30
    root_bytes: int = 1 << 16
    timestamp_bytes: int = 1 << 14
    redirects: int = 3

    def seconds(self, size: int) -> float:
        """How long a request for so many octets may take."""
        return self.answer_s + size / self.slowest_bytes_per_s
