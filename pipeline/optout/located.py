"""Where the URLs of a batch lead: the host of each, and its number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filter.errors import InputError
from filter.urls import split_url
from pipeline.optout.hosts import NO_AUTHORITY, SILENT, HostIndex, canonical_or_empty, has_port
from pipeline.optout.netloc import raw_authority
from pipeline.optout.spec import PolicySpec

_HOST = r"^https?://(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)+)(?:[/?#]|$)"
"""URLs whose host the canonical form leaves alone, which is nearly all of them."""
_NETLOC = r"^https?://(?P<host>[!-\"$-.0->@-Z^-~]+)(?:[/?#]|$)"
"""URLs whose authority the standard library reads off without objection."""
_MAX_LABEL = 63


@dataclass(frozen=True, slots=True)
class Where:
    """Where the URLs of a batch lead."""

    hosts: pa.Array
    """Host of every row, null where there is none."""
    numbers: npt.NDArray[np.int64]
    """Its number in the `HostIndex`."""
    plain: npt.NDArray[np.bool_]
    """Rows that are written in the usual way."""
    lengths: npt.NDArray[np.int64]
    """Octets of the authority in plain rows."""
    paths: dict[int, str | None]
    """Comparable paths of the other rows, so that they are split only once."""


class Locator:
    """Reads the hosts off URLs, as a policy looks them up."""

    def __init__(self, hosts: HostIndex, spec: PolicySpec) -> None:
        self._hosts = hosts
        self._is_raw = not spec.canonical_hosts
        self._canonical: dict[str, str | None] = {}

    def forget(self) -> None:
        """Let go of what was met."""
        self._canonical.clear()

    def locate(self, urls: pa.Array) -> Where:
        """Which host every row belongs to."""
        pattern = _NETLOC if self._is_raw else _HOST
        found = pc.extract_regex(urls, pattern=pattern).field(0)
        lengths = pc.fill_null(pc.binary_length(found), 0).to_numpy(zero_copy_only=False)
        # A name of up to 63 octets has no label that is too long; longer ones are looked at.
        plain = (lengths > 0) & (lengths <= _MAX_LABEL)
        keys = found
        paths: dict[int, str | None] = {}
        if not plain.all():
            odd: dict[int, str] = {}
            there = pc.is_valid(urls).to_numpy(zero_copy_only=False)
            for row in np.flatnonzero(~plain & there).tolist():
                located = self._locate_one(urls[row].as_py())
                if located is not None:
                    odd[row], paths[row] = located
            keys = pc.if_else(pa.array(plain), found, pa.scalar(None, pa.string()))
            if odd:
                mask = np.zeros(len(urls), dtype=bool)
                mask[list(odd)] = True
                values = pa.array(list(odd.values()), pa.string())
                keys = pc.replace_with_mask(keys, pa.array(mask), values)
        encoded = keys.dictionary_encode()
        names = encoded.dictionary.to_pylist()
        codes = pc.fill_null(encoded.indices, len(names)).to_numpy(zero_copy_only=False)
        numbers = np.append(self._hosts.numbers(names), SILENT)[codes]
        shown = self._shown(names) if paths or self._is_raw else names
        hosts = keys if shown == names else pa.array(shown, pa.string()).take(encoded.indices)
        return Where(hosts, numbers, plain, lengths.astype(np.int64), paths)

    def _shown(self, keys: list[str]) -> list[str | None]:
        """The canonical host behind each key, ``None`` where there is none."""
        if not self._is_raw:
            return [key.rpartition(":")[0] if has_port(key) else key for key in keys]
        known = self._canonical
        for key in keys:
            if key not in known:
                known[key] = canonical_or_empty(key) or None
        return [known[key] for key in keys]

    def _locate_one(self, url: str) -> tuple[str, str | None] | None:
        """Key of a URL that is written in an unusual way, and its comparable path."""
        try:
            host, port, path = split_url(url)
        except InputError:
            host, port, path = None, None, None
        if self._is_raw:
            authority = raw_authority(url)
            if authority is None and host is not None:
                authority = NO_AUTHORITY + host  # no robots.txt is looked up, opt-outs are
            return None if authority is None else (authority, path)
        if host is None:
            return None
        return (host if port is None else f"{host}:{port}"), path
