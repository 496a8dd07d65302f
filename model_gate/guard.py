"""The bundle in force: opened verified, replaced by newer releases, refused once it is too old."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from filter import Bundle, OutputFilter
from filter.errors import BundleExpired, InputError
from filter.release import Freshness, parsed
from filter.selftest import probe
from model_gate.errors import FilterFailed, TestingBundle
from model_gate.policy import GatePolicy

if TYPE_CHECKING:
    from collections.abc import Callable


class Health(NamedTuple):
    """How the filter stands."""

    holds: bool
    """Whether anything may be generated: the release is not refused, no canary got through."""
    release: str
    valid_until: date
    freshness: str
    """``valid``, ``expiring``, ``expired`` (in the days of grace) or ``refused``."""
    canaries: dict[str, bool]
    """By kind, whether they are stopped; empty before the first probe."""
    problems: tuple[str, ...]
    """What somebody should look at, a sentence each."""


def _now() -> datetime:
    return datetime.now(UTC)


class Guard:
    """The filter that is in force. For any number of threads.

    What is wrong with a newer file never weakens the filter: the older stays in force until its
    own last day, and `health` says so.
    """

    def __init__(
        self,
        bundle: Bundle,
        policy: GatePolicy | None = None,
        *,
        path: Path | None = None,
        allow_testing: bool = False,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.policy = policy or GatePolicy()
        self._clock = clock
        self._allow_testing = allow_testing
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] = ()
        self._problem = ""
        self._canaries: dict[str, bool] = {}
        self._check(bundle)
        self._filter = OutputFilter(bundle, self.policy.filter)

    @classmethod
    def open(
        cls,
        path: Path | str,
        policy: GatePolicy | None = None,
        *,
        allow_testing: bool = False,
        clock: Callable[[], datetime] = _now,
    ) -> Self:
        """The bundle of a file, which `refresh` looks at again.

        The file is read into memory: whatever happens to it, the filter in force stays what it is.

        Raises:
            BundleError: damaged, of another kind, too new, expired, or of the testing profile.
            InputError: there is no such file.
        """
        path = Path(path)
        stamp = _stamp(path)
        guard = cls(
            _read(path, clock()), policy, path=path, allow_testing=allow_testing, clock=clock
        )
        guard._stamp = stamp
        return guard

    def in_force(self) -> OutputFilter:
        """The filter.

        Raises:
            BundleExpired: its release is too old: nothing may be generated.
            FilterFailed: a canary got through it.
        """
        output_filter = self._filter
        bundle = output_filter.bundle
        if not all(self._canaries.values()):
            raise FilterFailed("The filter does not stop its canaries: see the health page.")
        if bundle.freshness(self._clock()) is Freshness.REFUSED:
            raise BundleExpired(
                f"The filter's release {bundle.release} expired on {bundle.valid_until}: get a "
                "newer one with lethe bundle get."
            )
        return output_filter

    def refresh(self) -> bool:
        """Look at the file; returns whether another release came into force."""
        if self._path is None:
            return False
        with self._lock:
            try:
                stamp = _stamp(self._path)
                if stamp == self._stamp:
                    return False
                bundle = _read(self._path, self._clock())
                self._check(bundle)
            except InputError as error:
                self._problem = f"{error} Release {self.release} stays in force."
                return False
            self._stamp = stamp
            old = self._filter.bundle
            same = bundle.manifest["content_sha256"] == old.manifest.get("content_sha256")
            if same:
                self._problem = ""
                return False
            if parsed(bundle.release) <= parsed(old.release):
                self._problem = (
                    f"{self._path} holds release {bundle.release}, which is not newer than "
                    f"{old.release}: the latter stays in force."
                )
                return False
            try:
                new = OutputFilter(bundle, self.policy.filter)
                canaries = self._tried(new)
            except Exception as error:  # noqa: BLE001 -- nothing untried comes into force
                self._problem = (
                    f"Release {bundle.release} could not be tried ({type(error).__name__}): "
                    f"{old.release} stays in force."
                )
                return False
            if not all(canaries.values()):
                self._problem = (
                    f"Release {bundle.release} does not stop its canaries: {old.release} stays in "
                    "force."
                )
                return False
            self._filter, self._canaries = new, canaries
            self._problem = ""
        return True

    @property
    def release(self) -> str:
        """The release in force."""
        return self._filter.bundle.release

    def probe(self) -> dict[str, bool]:
        """Whether the canaries are stopped, by kind; remembered for `health`.

        It takes a slow hash for each of them, so call it once a minute, and not in an event loop.
        """
        try:
            self._canaries = self._tried(self._filter)
        except BaseException:
            # Not known to hold: nothing is generated until it is.
            kinds = {str(canary.kind) for canary in self._filter.bundle.canaries}
            self._canaries = dict.fromkeys(kinds, False)
            raise
        return dict(self._canaries)

    def _tried(self, output_filter: OutputFilter) -> dict[str, bool]:
        results = probe(output_filter.bundle, self.policy.filter)
        wanted = output_filter.policy.kinds
        return {kind: held for kind, held in results.items() if kind in wanted}

    def health(self) -> Health:
        """How the filter stands; no slow work."""
        bundle = self._filter.bundle
        freshness = bundle.freshness(self._clock())
        canaries = dict(self._canaries)
        leaking = sorted(kind for kind, held in canaries.items() if not held)
        problems = [self._problem] if self._problem else []
        if leaking:
            problems.append(f"Canaries get through: {', '.join(leaking)}.")
        if freshness is not Freshness.VALID:
            ends = "expires" if freshness is Freshness.EXPIRING else "expired"
            problems.append(f"Release {bundle.release} {ends} on {bundle.valid_until}: renew it.")
        return Health(
            holds=not leaking and freshness is not Freshness.REFUSED,
            release=bundle.release,
            valid_until=bundle.valid_until,
            freshness=freshness.value,
            canaries=canaries,
            problems=tuple(problems),
        )

    def _check(self, bundle: Bundle) -> None:
        """Refuse a bundle that must not stand in a gate.

        Raises:
            TestingBundle: its hashes are cheap.
        """
        if bundle.is_testing and not self._allow_testing:
            raise TestingBundle(
                f"{bundle.name} was built with --kdf testing, which hides nobody: build it with "
                "the standard profile."
            )


def _read(path: Path, now: datetime) -> Bundle:
    """A bundle from a file, verified.

    Raises:
        BundleError: it must not be used.
        InputError: there is no such file.
    """
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): name a bundle that lethe bundle get has "
            "downloaded or lethe filter build has made."
        ) from None
    return Bundle.from_bytes(octets, now=now, name=str(path))


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file is replaced or rewritten; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
