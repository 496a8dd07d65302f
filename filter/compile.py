"""From identifiers to the contents of a bundle."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from filter import phrases, widths
from filter.canaries import CANARIES
from filter.canonical import canonicalize, comparable, kind_of
from filter.errors import InputError
from filter.identifiers import PHRASES, RECOGNISED, IdentifierKind
from filter.kdf import SALT_BYTES, KdfProfile
from filter.nv1 import nv1
from filter.release import last_day
from filter.variants import variants

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import date

    import numpy.typing as npt

    Arrays = dict[str, npt.NDArray[Any]]

FORMAT = 1
AUDIENCES = ("public", "operators")
_AT_ONCE = 16
"""Slow hashes that one core takes on at a time."""


class Report(NamedTuple):
    """What went into a bundle, exactly: for whoever builds it, not for the file."""

    entries: Mapping[IdentifierKind, int]
    """Distinct identifiers by kind, without the canaries."""
    stored: Mapping[IdentifierKind, int]
    """Codes or phrases made of them, variants included."""
    left_out: int
    """Phrases that a public bundle does not take."""


class Collected(NamedTuple):
    """Distinct secrets by kind, ready for the slow hash."""

    recognised: dict[IdentifierKind, set[str]]
    phrases: set[tuple[IdentifierKind, str]]
    report: Report


def compiled(
    entries: Iterable[tuple[IdentifierKind | str, str]],
    *,
    release: str,
    audience: str,
    kdf: KdfProfile,
    family: str,
    salt: bytes,
    regions: Collection[str],
    valid_until: date | None,
    slow: Callable[[str], int] | None,
    previous: Mapping[str, str] | None,
    audit: Mapping[str, Any] | None,
    progress: Callable[[int, int], None] | None,
    decoys: bytes | None,
) -> tuple[dict[str, Any], Arrays, Report]:
    """Manifest, arrays and report; see `Bundle.build` for the arguments.

    Raises:
        InputError: as there.
    """
    until = valid_until or last_day(release)
    if audience not in AUDIENCES:
        raise InputError(f"There is no audience {audience!r}: use {' or '.join(AUDIENCES)}.")
    if len(salt) != SALT_BYTES:
        raise InputError(f"A family's salt has {SALT_BYTES} octets: give as many.")
    collected = collect(entries, audience, regions)
    hashed = _hashed(collected, slow or (lambda secret: kdf.hash(salt, secret)), progress)
    arrays: Arrays = {}
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "release": release,
        "audience": audience,
        "valid_until": until.isoformat(),
        "normaliser": {"name": "nv1", "sha256": nv1().digest},
        "kdf": asdict(kdf),
        "family": {"name": family, "salt": salt.hex()},
        "regions": list(regions),
        "kinds": {},
        "canaries": [
            {"kind": c.kind, "value": c.text} for c in CANARIES if _taken(c.kind, audience)
        ],
        "previous": dict(previous) if previous else None,
        "audit": dict(audit) if audit else None,
    }
    for kind, secrets in sorted(collected.recognised.items()):
        bits = widths.width_for(kind, len(secrets))
        codes = {hashed[recognised_secret(kind, s)] >> (32 - bits) for s in secrets}
        arrays[f"codes.{kind}"] = _padded(codes, bits, decoys, kind)
        manifest["kinds"][kind] = {
            "bits": bits,
            "entries": len(arrays[f"codes.{kind}"]),
            "capacity": widths.capacity(kind, bits),
            "readings": widths.WIDTHS[kind].readings,
            "dictionary": widths.WIDTHS[kind].dictionary,
            "k": int(widths.members(kind, bits)),
        }
    if audience == "operators":
        manifest["phrases"] = _add_phrases(collected, hashed, salt, arrays)
    return manifest, arrays, collected.report


def recognised_secret(kind: IdentifierKind, value: str) -> str:
    """What the slow hash of a recognised identifier is taken of."""
    return f"{kind}\0{value}"


def secrets_of(kind: IdentifierKind, text: str, regions: Collection[str]) -> list[str]:
    """What slow hashes are taken of when an identifier is listed, in a fixed order.

    Raises:
        InputError: the text cannot be listed as this kind.
    """
    if kind in RECOGNISED:
        return [recognised_secret(kind, comparable(kind, canonicalize(kind, text, regions)))]
    canonicalize(kind, text)
    return sorted(phrases.secret(phrases.ANCHOR_OF[kind], made) for made in variants(kind, text))


def collect(
    entries: Iterable[tuple[IdentifierKind | str, str]], audience: str, regions: Collection[str]
) -> Collected:
    """Read the entries and make their variants.

    Raises:
        InputError: an entry that cannot be used, by its number.
    """
    recognised: dict[IdentifierKind, set[str]] = {}
    found: set[tuple[IdentifierKind, str]] = set()
    counted: Counter[IdentifierKind] = Counter()
    stored: Counter[IdentifierKind] = Counter()
    left_out = 0

    def take(kind: IdentifierKind, text: str, count: int) -> None:
        if kind in RECOGNISED:
            value = comparable(kind, canonicalize(kind, text, regions))
            known = recognised.setdefault(kind, set())
            fresh = 0 if value in known else 1
            known.add(value)
            counted[kind] += fresh * count
            stored[kind] += fresh * count
            return
        made = {(kind, letters) for letters in variants(kind, text)} - found
        found.update(made)
        counted[kind] += bool(made) * count
        stored[kind] += len(made) * count

    for canary in CANARIES:
        if _taken(canary.kind, audience):
            take(canary.kind, canary.text, 0)
    for number, (name, text) in enumerate(entries, 1):
        try:
            kind = kind_of(name)
            if _taken(kind, audience):
                take(kind, text, 1)
            else:
                canonicalize(kind, text)
                left_out += 1
        except InputError as error:
            raise type(error)(f"Entry {number}: {error}") from None
    return Collected(recognised, found, Report(counted, stored, left_out))


def _taken(kind: IdentifierKind, audience: str) -> bool:
    return audience == "operators" or kind not in PHRASES


def _hashed(
    collected: Collected,
    slow: Callable[[str], int],
    progress: Callable[[int, int], None] | None,
) -> dict[str, int]:
    """Every secret with its slow hash, computed on all cores."""
    secrets = [
        recognised_secret(kind, value)
        for kind, values in collected.recognised.items()
        for value in values
    ]
    secrets += {phrases.secret(phrases.ANCHOR_OF[kind], text) for kind, text in collected.phrases}
    hashed: dict[str, int] = {}

    def some(first: int) -> list[int]:
        return [slow(secret) for secret in secrets[first : first + _AT_ONCE]]

    firsts = range(0, len(secrets), _AT_ONCE)
    with ThreadPoolExecutor() as pool:
        for first, values in zip(firsts, pool.map(some, firsts), strict=True):
            hashed.update(zip(secrets[first : first + _AT_ONCE], values, strict=True))
            if progress is not None:
                progress(min(first + _AT_ONCE, len(secrets)), len(secrets))
    return hashed


def _padded(
    codes: set[int], bits: int, decoys: bytes | None, kind: IdentifierKind
) -> npt.NDArray[np.uint32]:
    """Sorted codes, with decoys up to a round number, so that the length does not tell the count.

    Decoys are a sequence that only the publisher's key can tell. Without a key they come from a
    hash of all real codes, and differ from release to release.
    """
    wanted = min(widths.rounded_up(len(codes)), 2**bits)
    seed = np.array(sorted(codes), "<u4").tobytes() if decoys is None else decoys
    key = blake2b(seed, person=kind.encode()).digest()
    codes = set(codes)
    number = 0
    while len(codes) < wanted:
        digest = blake2b(number.to_bytes(8, "little"), key=key).digest()
        codes.add(int.from_bytes(digest[:4], "little") >> (32 - bits))
        number += 1
    return np.array(sorted(codes), np.uint32)


def _add_phrases(
    collected: Collected, hashed: Mapping[str, int], salt: bytes, arrays: Arrays
) -> dict[str, Any]:
    key = phrases.phrase_key(salt)
    maps = phrases.build(
        key,
        (
            phrases.Listed(kind, text, hashed[phrases.secret(phrases.ANCHOR_OF[kind], text)] >> 16)
            for kind, text in collected.phrases
        ),
    )
    arrays |= {
        "sieve": maps.sieve,
        "grams": maps.grams,
        "halves": maps.halves,
        "wholes": maps.wholes,
    }
    parameters = zip(("grams", "halves", "wholes"), maps.parameters, strict=True)
    anchors = {phrases.ANCHOR_OF[kind] for kind, _ in collected.phrases}
    return {
        "entries": widths.rounded_up(len(collected.phrases)),
        "anchors": sorted(int(anchor) for anchor in anchors),
        "maps": {name: p._asdict() for name, p in parameters},
    }
