"""``get``: the newest release that the publisher signed, or what is here, or a clear refusal."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import metadata, resources
from pathlib import Path

from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
    RepositoryError,
)
from tuf.api.metadata import Metadata, TargetFile, Timestamp
from tuf.ngclient import Updater, UpdaterConfig

from filter.bundle import Bundle
from filter.compile import AUDIENCES
from filter.errors import BundleExpired
from filter.release import Freshness, parsed
from filter_service.client.cache import Cache
from filter_service.client.errors import (
    ClientError,
    ClockBehind,
    KeyRefused,
    NoRepository,
    NoRoot,
    NotReached,
    NotTrusted,
    OlderRelease,
    RefusedBundle,
    UnsafeUrl,
)
from filter_service.client.fetcher import Fetcher, Unanswered, WrongAnswer
from filter_service.client.limits import Limits
from filter_service.client.origin import parsed as parsed_url
from filter_service.publishing import files
from filter_service.publishing.layout import METADATA, ONLINE_VALID, TARGETS, TIMESTAMP, bundle_name

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,512}=*")
"""RFC 6750, section 2.1."""
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_KEPT = "The bundle that is here stays."


@dataclass(frozen=True)
class Fetched:
    """A bundle that may be used."""

    path: Path
    release: str
    valid_until: date
    warnings: tuple[str, ...]
    """Sentences for whoever is on duty: an expiry that comes near, a server that did not answer."""
    updated: bool
    """Whether this call replaced the file."""


class _Stale(Exception):
    """The server says nothing that is both new and valid."""


def get(
    url: str,
    folder: Path | str,
    *,
    audience: str = "public",
    root: bytes | None = None,
    key: str | None = None,
    now: datetime | None = None,
    allow_testing: bool = False,
    insecure_http: bool = False,
    redirect_hosts: Collection[str] = (),
    limits: Limits | None = None,
) -> Fetched:
    """Download the newest release, verify it, and place it as ``folder/lethe-AUDIENCE.safetensors``.

    The file is replaced whole or not at all, never by an older release, and stays as it is whenever
    this raises. Where the server cannot be reached, or has only expired metadata, a bundle placed by
    an earlier call is kept until its last day and the days of grace are over, with a warning. Two
    calls at once on one folder wait for each other; one may be killed at any moment.

    Args:
        url: the base address; the repository is at ``URL/public`` or ``URL/operators``.
        folder: where the bundle is to lie; it is made where there is none.
        audience: ``public``, or ``operators``, which needs a key.
        root: root metadata of the publisher, received by a way that is trusted; needed once, unless
            this installation comes with one.
        key: an operator's key. It is sent to the origin of ``url`` only.
        now: the moment to judge a bundle's last day by, with time zone; the clock's by default.
            Metadata is always judged by the clock.
        allow_testing: accept a bundle of the testing profile, which hides nobody.
        insecure_http: accept http to another machine; never with a key.
        redirect_hosts: other hosts to which the server may redirect, over https.
        limits: of size and time.

    Raises:
        ClientError: see `filter_service.client.errors`.
        BundleError: the bundle is expired beyond the days of grace, damaged, or too new.
    """
    if audience not in AUDIENCES:
        raise ClientError(f"There is no audience {audience!r}: use {' or '.join(AUDIENCES)}.")
    limits = limits or Limits()
    origin, path = parsed_url(url, insecure_http=insecure_http)
    if "?" in path or "#" in url:
        raise UnsafeUrl("A base address ends with its path: leave out what begins with ? or #.")
    if audience == "public":
        key = None
    elif key is not None:
        if not _TOKEN.fullmatch(key):
            raise UnsafeUrl("This is no operator's key: copy it whole, without spaces.")
        if not origin.is_private:
            raise UnsafeUrl("A key is never sent without encryption: use https.")
    fetcher = Fetcher(
        origin,
        audience,
        user_agent=_user_agent(),
        limits=limits,
        key=key,
        redirect_hosts=redirect_hosts,
        insecure_http=insecure_http,
    )
    base = f"{url.rstrip('/')}/{audience}"
    with _writable(Path(folder)):
        cache = Cache(Path(folder), audience)
        with cache.locked():
            cache.tidy()
            kept = cache.bundle()
            run = _Run(cache, fetcher, limits, audience, kept, allow_testing, now)
            try:
                return run.updated(base, root)
            except _Stale as stale:
                return run.kept(str(stale))
            finally:
                cache.download.unlink(missing_ok=True)


@dataclass
class _Run:
    """One call, with the folder locked."""

    cache: Cache
    fetcher: Fetcher
    limits: Limits
    audience: str
    here: Bundle | None
    allow_testing: bool
    now: datetime | None

    def updated(self, base: str, root: bytes | None) -> Fetched:
        """The release that the repository has now."""
        trusted = _root(root, self.cache)
        try:
            updater = Updater(
                str(self.cache.metadata),
                f"{base}/{METADATA}/",
                target_base_url=f"{base}/{TARGETS}/",
                fetcher=self.fetcher,
                config=UpdaterConfig(
                    root_max_length=self.limits.root_bytes,
                    timestamp_max_length=self.limits.timestamp_bytes,
                ),
                bootstrap=trusted,
            )
        except RepositoryError:
            raise NoRoot(
                "The root of trust cannot be used: get root.json from the publisher again."
            ) from None
        with self._translated():
            updater.refresh()
            target = updater.get_targetinfo(bundle_name(self.audience))
        if root is not None and _read(self.cache.root) != root:
            files.write(self.cache.root, root)
        self._check_clock()
        if target is None:
            raise NoRepository(f"The publisher offers no bundle for {self.audience} now. {_KEPT}")
        if self.here is not None and updater.find_cached_target(target, str(self.cache.placed)):
            return self._fetched(self.here, [], updated=False)
        return self._downloaded(updater, target)

    def _downloaded(self, updater: Updater, target: TargetFile) -> Fetched:
        if target.length > self.limits.bundle_bytes:
            raise RefusedBundle(f"The bundle has {target.length} octets: raise the limit. {_KEPT}")
        with self._translated():
            updater.download_target(target, str(self.cache.download))
        bundle = Bundle.open(self.cache.download, verify=True, now=self.now)
        if bundle.audience != self.audience:
            raise RefusedBundle(f"The publisher signed a bundle for {bundle.audience}. {_KEPT}")
        if self.here is not None and parsed(bundle.release) < parsed(self.here.release):
            raise OlderRelease(
                f"The publisher signed release {bundle.release}, here is {self.here.release}: ask"
                f" the publisher. {_KEPT}"
            )
        fetched = self._fetched(bundle, [], updated=True)
        self.cache.place()
        return fetched

    def kept(self, reason: str) -> Fetched:
        """The bundle that is here, if it may still be used."""
        if self.here is None:
            raise NotReached(f"{reason} There is no verified bundle here: try again later.")
        return self._fetched(self.here, [f"{reason} {_KEPT}"], updated=False)

    def _fetched(self, bundle: Bundle, warnings: list[str], *, updated: bool) -> Fetched:
        if bundle.is_testing and not self.allow_testing:
            raise RefusedBundle("The bundle has the testing profile, which hides nobody.")
        freshness = bundle.freshness(self.now)
        if freshness is Freshness.REFUSED:
            raise BundleExpired(
                f"{self.cache.placed} expired on {bundle.valid_until}:"
                f" {warnings[0] if warnings else 'get a newer release of the filter.'}"
            )
        if freshness is Freshness.EXPIRED:
            warnings.append(f"The bundle expired on {bundle.valid_until} and will soon be refused.")
        if freshness is Freshness.EXPIRING:
            warnings.append(f"The bundle expires on {bundle.valid_until}.")
        return Fetched(
            self.cache.placed, bundle.release, bundle.valid_until, tuple(warnings), updated
        )

    def _check_clock(self) -> None:
        """A timestamp is signed for 14 days: one that is valid for longer comes from the future."""
        timestamp: Metadata[Timestamp] = Metadata.from_file(str(self.cache.metadata / TIMESTAMP))
        ahead = timestamp.signed.expires - ONLINE_VALID - datetime.now(UTC)
        if ahead > timedelta(days=1):
            raise ClockBehind(
                f"This machine's clock is at least {ahead.days} days behind the publisher's: set it."
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of tuf as ours."""
        try:
            yield
        except ExpiredMetadataError:
            raise _Stale("The server has only expired metadata.") from None
        except Unanswered as error:
            raise _Stale(f"The server did not answer in full and in time ({error}).") from None
        except DownloadHTTPError as error:
            status = error.status_code
            if status in _TRANSIENT:
                raise _Stale(f"The server answered with status {status}.") from None
            if status == 401 or (status == 403 and self.audience == "operators"):
                raise KeyRefused(
                    f"The server asks for another operator's key (status {status}). {_KEPT}"
                ) from None
            raise NoRepository(
                f"There is no repository for {self.audience} at this address (status {status})."
                f" {_KEPT}"
            ) from None
        except WrongAnswer as error:
            raise NotTrusted(f"The answer is not to be trusted: {error}. {_KEPT}") from None
        except (RepositoryError, DownloadError) as error:
            raise NotTrusted(
                f"The answer is not what the publisher signed ({type(error).__name__}): ask again"
                f" later, and tell the publisher if it stays so. {_KEPT}"
            ) from None


def _root(given: bytes | None, cache: Cache) -> bytes:
    """The root of trust: the one given, else the one given first, else the one installed."""
    for octets in (given, _read(cache.root), _installed_root()):
        if octets is not None:
            return octets
    raise NoRoot(
        "There is no root of trust yet: get root.json from the publisher by a way you trust, and name"
        " it with --root FILE."
    )


def _installed_root() -> bytes | None:
    found = resources.files("filter_service.client") / "data" / "root.json"
    return found.read_bytes() if found.is_file() else None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ClientError(
            f"{folder} cannot be used ({error.strerror}): free the place or choose another folder."
        ) from None


def _user_agent() -> str:
    try:
        return f"lethe/{metadata.version('lethe-llm')}"
    except metadata.PackageNotFoundError:
        return "lethe/0"
