"""The bundle: the compiled filter file. Its format is specified in ``docs/bundle-format.md``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from filter import bundle_file, phrases
from filter.compile import AUDIENCES, FORMAT, Report, compiled, recognised_secret
from filter.errors import BundleError, BundleExpired, BundleTooNew, DamagedBundle, InputError
from filter.fuse import FuseParameters
from filter.identifiers import Identifier, IdentifierKind
from filter.kdf import PROFILES, SALT_BYTES, KdfProfile, family_salt, profile
from filter.nv1 import nv1
from filter.phrase_index import PhraseIndex
from filter.release import Freshness, freshness, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    import numpy.typing as npt

_MAPS = {"grams": np.uint16, "halves": np.uint8, "wholes": np.uint32}
_MEMORY_LIMIT_KIB = 1 << 18
"""A bundle may not ask for more than 256 MiB a hash: it is a file from elsewhere."""


def _is_count(value: object, most: int) -> bool:
    """Whether a value of a manifest is an integer from 0 to ``most``; a Boolean is none."""
    return type(value) is int and 0 <= value <= most


class Bundle:
    """A compiled filter: a manifest, sorted codes of recognised kinds, maps of phrases."""

    def __init__(
        self,
        manifest: dict[str, Any],
        arrays: Mapping[str, npt.NDArray[Any]],
        report: Report | None = None,
        name: str = "The bundle",
    ) -> None:
        self.manifest = manifest
        self.report = report
        """Exact counts of a bundle that was just built."""
        self.name = name
        self._arrays = arrays
        try:
            self._read_manifest()
        except BundleError:
            raise
        except (InputError, KeyError, TypeError, ValueError, AttributeError):
            raise DamagedBundle(f"{name} has no usable manifest: download it again.") from None

    def _read_manifest(self) -> None:
        manifest = self.manifest
        self.release: str = manifest["release"]
        parsed(self.release)
        self.audience: str = manifest["audience"]
        if self.audience not in AUDIENCES:
            raise ValueError
        self.valid_until = date.fromisoformat(manifest["valid_until"])
        if manifest["valid_until"] != self.valid_until.isoformat() or self.valid_until.year > 9000:
            raise ValueError
        self.kdf = self._kdf(KdfProfile(**manifest["kdf"]))
        self.salt = bytes.fromhex(manifest["family"]["salt"])
        if len(self.salt) != SALT_BYTES:
            raise ValueError
        self.regions = tuple(manifest["regions"])
        if not all(re.fullmatch("[A-Z]{2}", region) for region in self.regions):
            raise ValueError
        self.canaries = tuple(
            Identifier(IdentifierKind(c["kind"]), str(c["value"])) for c in manifest["canaries"]
        )
        self._bits = {IdentifierKind(k): v["bits"] for k, v in manifest["kinds"].items()}
        for kind, bits in self._bits.items():
            if (
                not _is_count(bits, 32)
                or bits < 1
                or self._arrays[f"codes.{kind}"].dtype != np.uint32
            ):
                raise ValueError
        self.anchors = self._anchors() if self.audience == "operators" else frozenset()

    def _anchors(self) -> frozenset[phrases.Anchor]:
        """The anchors of the phrases, whose maps are looked at.

        Raises:
            ValueError: a map contradicts the manifest.
        """
        about = self.manifest["phrases"]
        for name, dtype in _MAPS.items():
            found = FuseParameters(**about["maps"][name])
            length = found.segment_length
            if not all(_is_count(value, 0xFFFFFFFF) for value in found):
                raise ValueError
            slots = self._arrays[name]
            if slots.dtype != dtype or len(slots) != found.slots or length & (length - 1):
                raise ValueError
            if not 1 <= length <= 1 << 16 or found.segment_count < 1:
                raise ValueError
        sieve = self._arrays["sieve"]
        if sieve.dtype != np.uint8 or len(sieve) & (len(sieve) - 1) or len(sieve) < 8:
            raise ValueError
        return frozenset(map(phrases.Anchor, about["anchors"]))

    def _kdf(self, kdf: KdfProfile) -> KdfProfile:
        """The slow hash of the manifest, if this version can compute it.

        Raises:
            BundleTooNew: it cannot.
            ValueError: parameters that nobody may ask for.
        """
        if kdf.algorithm not in {p.algorithm for p in PROFILES.values()}:
            raise BundleTooNew(f"{self.name} uses a hash that this version does not know: update.")
        if not _is_count(kdf.passes, 16) or not _is_count(kdf.lanes, 16):
            raise ValueError
        if not _is_count(kdf.memory_kib, _MEMORY_LIMIT_KIB) or not isinstance(kdf.name, str):
            raise ValueError
        if kdf.algorithm == "argon2id" and (
            kdf.passes < 1 or kdf.lanes < 1 or kdf.memory_kib < 8 * kdf.lanes
        ):
            raise ValueError
        return kdf

    @classmethod
    def build(
        cls,
        entries: Iterable[tuple[IdentifierKind | str, str]],
        *,
        release: str,
        audience: str = "operators",
        kdf: str = "standard",
        family: str = "lethe",
        salt: bytes | None = None,
        regions: Collection[str] = ("CH",),
        valid_until: date | None = None,
        slow: Callable[[str], int] | None = None,
        previous: Mapping[str, str] | None = None,
        audit: Mapping[str, Any] | None = None,
        progress: Callable[[int, int], None] | None = None,
        decoys: bytes | None = None,
    ) -> Self:
        """Compile identifiers; the same input gives the same octets, in whatever order.

        Args:
            entries: kind and text of each, as `Identifier`.
            release: year, half-year and patch: ``2026.2.0``.
            audience: ``public`` leaves phrases out and counts them.
            kdf: ``standard``, or ``testing``, which hides nothing.
            family: name of a family of releases; its salt is made of it unless ``salt`` is given.
            salt: 16 octets.
            regions: where telephone numbers without country code are at home (ISO 3166-1).
            valid_until: the last day; 275 days from the release's first one by default.
            slow: gives the slow hash of a secret, from a cache say; computed by default.
            previous: release and ``content_sha256`` of the one before.
            audit: head and length of the registry's audit chain.
            progress: called with (done, total) slow hashes.
            decoys: the publisher's key, the same for all releases of a family and never published:
                without it two releases, compared, tell decoys from entries.

        Raises:
            InputError: an argument or an entry that cannot be used; the message has the entry's
                number, never its text.
        """
        manifest, arrays, report = compiled(
            entries,
            release=release,
            audience=audience,
            kdf=profile(kdf),
            family=family,
            salt=family_salt(family) if salt is None else salt,
            regions=regions,
            valid_until=valid_until,
            slow=slow,
            previous=previous,
            audit=audit,
            progress=progress,
            decoys=decoys,
        )
        return cls(manifest, arrays, report)

    @classmethod
    def open(cls, path: Path | str, *, verify: bool = False, now: datetime | None = None) -> Self:
        """Open a bundle file, memory-mapped: header, sizes, versions and last day are checked.

        Args:
            path: the file.
            verify: check the hash of its content too.
            now: the moment to judge the last day by, with time zone; the clock's by default.

        Raises:
            BundleError: `NotABundle`, `DamagedBundle`, `BundleTooNew` or `BundleExpired`.
            InputError: there is no such file.
        """
        path = Path(path)
        octets = bundle_file.load(path)
        return cls._from(octets, str(path), verify=verify, now=now)

    @classmethod
    def from_bytes(
        cls,
        octets: bytes,
        *,
        verify: bool = True,
        now: datetime | None = None,
        name: str = "The bundle",
    ) -> Self:
        """The same from memory; ``name`` stands in messages."""
        return cls._from(memoryview(octets), name, verify=verify, now=now)

    @classmethod
    def _from(cls, octets: memoryview, name: str, *, verify: bool, now: datetime | None) -> Self:
        manifest, arrays, data = bundle_file.unpack(octets, name)
        version = manifest.get("format")
        if type(version) is not int:
            raise DamagedBundle(f"{name} has no usable manifest: download it again.")
        if version != FORMAT:
            raise BundleTooNew(
                f"{name} has format {version}, this version reads {FORMAT}: update Lethe."
            )
        normaliser = manifest.get("normaliser")
        if not isinstance(normaliser, dict) or normaliser.get("sha256") != nv1().digest:
            raise BundleTooNew(
                f"{name} was made with another normaliser than this version has: update Lethe."
            )
        if verify and manifest.get("content_sha256") != bundle_file.content_hash(manifest, data):
            raise DamagedBundle(f"{name} was changed since it was built: download it again.")
        bundle = cls(manifest, arrays, name=name)
        if bundle.freshness(now) is Freshness.REFUSED:
            raise BundleExpired(
                f"{name} expired on {bundle.valid_until}: get a newer release of the filter."
            )
        return bundle

    def freshness(self, now: datetime | None = None) -> Freshness:
        """How its last day stands to a moment, the present one by default."""
        return freshness(self.valid_until, now or datetime.now(UTC))

    def to_bytes(self) -> bytes:
        """The octets of the file."""
        return bundle_file.pack(dict(self.manifest), self._arrays)

    def write(self, path: Path | str) -> None:
        """Write the file, whole or not at all.

        Raises:
            InputError: it cannot be written there.
        """
        bundle_file.write(Path(path), self.to_bytes())

    @property
    def kinds(self) -> frozenset[IdentifierKind]:
        """The recognised kinds of which it lists any."""
        return frozenset(self._bits)

    @property
    def is_testing(self) -> bool:
        """Whether its hashes are cheap, so that it hides nothing."""
        return self.kdf.algorithm != PROFILES["standard"].algorithm

    @cached_property
    def phrase_index(self) -> PhraseIndex | None:
        """The maps of phrases; `None` in a public bundle."""
        if not self.anchors:
            return None
        about = self.manifest["phrases"]["maps"]
        one, two, three = (FuseParameters(**about[name]) for name in _MAPS)
        maps = phrases.Maps(
            self._arrays["sieve"], (one, two, three), *(self._arrays[name] for name in _MAPS)
        )
        return PhraseIndex(phrases.phrase_key(self.salt), maps, self.anchors)

    def secret(self, kind: IdentifierKind, value: str) -> str:
        """What the slow hash of a recognised identifier is taken of."""
        return recognised_secret(kind, value)

    def lists(self, kind: IdentifierKind, slow: int) -> bool:
        """Whether a slow hash of a recognised identifier is among the codes of its kind."""
        bits = self._bits.get(kind)
        if bits is None:
            return False
        codes = self._arrays[f"codes.{kind}"]
        code = slow >> (32 - bits)
        at = int(np.searchsorted(codes, np.uint32(code)))
        return at < len(codes) and int(codes[at]) == code
