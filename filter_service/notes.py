"""Release notes: what is in a file, rounded, and what its hashes cost to open."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from filter.kdf import PROFILES

CORE_HOUR = 0.04
"""Dollars; as in the tables of ``docs/threat-model.md``."""
CARD_HOUR = 0.40
CARD_RATE = 1700
"""Argon2id hashes (19 MiB, two passes) a second on a graphics card, as there."""
FEW = 10
"""Counts below are not told."""


_WHAT_K_IS = (
    "k is to how many members of the stated dictionary each code fits, for one identifier and never "
    "for a person. Phrases are opened by a fast test and a dictionary of names: see the threat model."
)


def rounded(count: int) -> str:
    """A count as it may be published: two digits, and nothing below ten."""
    if count < FEW:
        return f"under {FEW}"
    digits = max(0, len(str(count)) - 2)
    return f"about {count // 10**digits * 10**digits:,}"


def seconds_a_hash(kdf: str) -> float:
    """What one slow hash takes on this machine; the best of three."""
    best = 1e9
    for attempt in range(3):
        begin = time.perf_counter()
        PROFILES[kdf].hash(bytes(16), f"measured\0{attempt}")
        best = min(best, time.perf_counter() - begin)
    return best


def notes(
    manifest: Mapping[str, Any], entries: Mapping[str, int], seconds: float
) -> dict[str, Any]:
    """The notes of one file.

    Args:
        manifest: of the bundle.
        entries: exact counts by kind; only rounded ones come out.
        seconds: of one slow hash on one core.
    """
    kinds = {}
    for kind, about in manifest["kinds"].items():
        dictionary = about["dictionary"]
        kinds[kind] = {
            "entries": rounded(entries.get(kind, 0)),
            "bits": about["bits"],
            "capacity": about["capacity"],
            "k": about["k"],
            "dictionary": dictionary,
            "dollars_cores": round(dictionary * seconds / 3600 * CORE_HOUR, 2),
            "dollars_card": round(dictionary / CARD_RATE / 3600 * CARD_HOUR, 2),
        }
    phrases = {kind: rounded(count) for kind, count in sorted(entries.items()) if kind not in kinds}
    return {
        "audience": manifest["audience"],
        "valid_until": manifest["valid_until"],
        "content_sha256": manifest["content_sha256"],
        "kdf": manifest["kdf"]["name"],
        "kinds": kinds,
        "phrases": phrases,
        "canaries": manifest["canaries"],
    }


def as_markdown(release: str, audiences: Mapping[str, Mapping[str, Any]]) -> str:
    """The notes of a release, for people."""
    lines = [f"# Release {release}", ""]
    for audience, about in audiences.items():
        lines += [
            f"## The {audience} file",
            "",
            f"Valid until {about['valid_until']}. SHA-256 of its content: `{about['content_sha256']}`.",
            f"Slow hash: `{about['kdf']}`.",
            "",
            "| kind | entries | bits | k | dictionary | to hash it on cores | on a graphics card |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {kind} | {one['entries']} | {one['bits']} | {one['k']:,} | {one['dictionary']:,} "
            f"| ${one['dollars_cores']:,.0f} | ${one['dollars_card']:,.0f} |"
            for kind, one in about["kinds"].items()
        ]
        lines += [f"| {kind} | {count} | | | | | |" for kind, count in about["phrases"].items()]
        lines += [
            "",
            _WHAT_K_IS,
            "",
            "Canaries, which every filter must stop: "
            + ", ".join(f"`{canary['value']}`" for canary in about["canaries"])
            + ".",
            "",
        ]
    return "\n".join(lines)
