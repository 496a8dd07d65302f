"""What the filter's files hide and what that costs, in tables for `docs/threat-model.md`.

Widths, hashes and maps are those of the package; two prices and the speed of other people's machines
are assumed, and stated. All figures but timings are the same in every run. Alternatives that the
package does not offer are computed in numpy, on real pages and the popular names beside them
(`../shared/data`); without those the phrases' tables are left out.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import people

from filter import Bundle, FilterPolicy, IdentifierKind, OutputFilter, candidates, fuse
from filter.canonical import Canonical, comparable
from filter.errors import InputError
from filter.kdf import PROFILES, KdfProfile
from filter.nv1 import fold
from filter.phrase_index import Letters, letters_of
from filter.phrases import (
    ALPHABETIC,
    GRAM_LENGTH_BITS,
    GRAM_VALUE_BITS,
    LONGEST,
    WHOLE_VALUE_BITS,
    Anchor,
    PhraseKey,
    checkpoint,
    phrase_key,
    sieve_bits,
)
from filter.policy import POLICIES
from filter.reading import read
from filter.recognisers import email, phone
from filter.variants import variants
from filter.widths import WIDTHS, capacity, members, width_for

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "threat-model.md"
DATA = ROOT.parent / "shared" / "data"
BEGIN, END = "<!-- costs: begin -->", "<!-- costs: end -->"

CORE_HOUR = 0.04
"""Dollars for one core of a rented machine."""
GPU_HOUR = 0.40
"""Dollars for a rented graphics card."""
GPU_RATE = 1_700
"""Argon2id of 19 MiB and two passes a second on that card."""
FAST_RATE = 10**10
"""SHA-256 a second on that card."""
HEAVY = KdfProfile("heavy", "argon2id", 64 * 1024, 3, 1)
"""An alternative that is not offered, for comparison."""

SIZES = (1_000, 10_000, 100_000)
LISTS = (10_000, 100_000)
PAIRS = 10**9
"""Names in an attacker's dictionary."""
EVERY = 4
"""Of the real pages one in so many is read."""
SEED = 1

Table = list[str]


# Recognised kinds


def table(*header: str, rows: Iterable[Sequence[object]]) -> Table:
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def seconds_a_hash(kdf: KdfProfile, times: int = 15) -> float:
    """Of one core: the fastest of some, because other work on the machine only adds."""
    found = []
    for number in range(times):
        start = time.perf_counter()
        kdf.hash(b"costs of hashing", f"secret {number}")
        found.append(time.perf_counter() - start)
    return min(found)


def gpu_rate(kdf: KdfProfile) -> float:
    """Scaled by memory times passes: a card's memory is what Argon2 fills."""
    standard = PROFILES["standard"]
    return GPU_RATE * standard.memory_kib * standard.passes / (kdf.memory_kib * kdf.passes)


def dollars(amount: float) -> str:
    if amount < 0.01:
        return "below $0.01"
    return f"${amount:.2f}" if amount < 10 else f"${amount:,.0f}"


def card(hashes: float, kdf: KdfProfile = PROFILES["standard"]) -> float:
    """Dollars for slow hashes on a card."""
    return hashes / gpu_rate(kdf) / 3600 * GPU_HOUR


def duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds * 1000:.0f} ms"


def assumptions(standard: float, heavy: float) -> Table:
    return table(
        "what",
        "figure",
        "source",
        rows=[
            ("Argon2id, 19 MiB, 2 passes, one core", f"{standard * 1e3:.0f} ms", "measured"),
            ("Argon2id, 64 MiB, 3 passes, one core", f"{heavy * 1e3:.0f} ms", "measured"),
            ("a core", f"${CORE_HOUR:.2f} an hour", "assumed"),
            ("a graphics card", f"${GPU_HOUR:.2f} an hour", "assumed"),
            ("Argon2id, 19 MiB, 2 passes, on that card", f"{GPU_RATE:,} a second", "assumed"),
            ("SHA-256 on that card", f"{FAST_RATE / 1e9:.0f} thousand million a second", "assumed"),
        ],
    )


def enumeration(standard: float) -> Table:
    """What it costs to hash the whole dictionary of a kind."""

    def row(kind: IdentifierKind) -> tuple[object, ...]:
        width = WIDTHS[kind]
        n = width.dictionary
        return (
            f"`{kind}`",
            f"{n:,}",
            width.bits,
            f"{members(kind, width.bits):,.1f}",
            f"{capacity(kind, width.bits):,}",
            f"{dollars(n * standard / 3600 * CORE_HOUR)} ({n * standard / 3600:,.0f} core hours)",
            f"{dollars(n / GPU_RATE / 3600 * GPU_HOUR)} ({duration(n / GPU_RATE)})",
            duration(n / FAST_RATE),
        )

    header = ("kind", "dictionary N", "bits b", "k = 1 + N / 2^b", "capacity in entries")
    return table(*header, "Argon2id, cores", "Argon2id, a card", "SHA-256", rows=map(row, WIDTHS))


def strangers() -> Table:
    """Share of strangers' identifiers that are hit, and the k that is left, by number of entries."""
    header = [f"T = {size:,}: bits, k, strangers hit" for size in SIZES]

    def row(kind: IdentifierKind) -> list[str]:
        cells = [f"`{kind}`", str(WIDTHS[kind].readings)]
        for size in SIZES:
            bits = width_for(kind, size)
            share = WIDTHS[kind].readings * size / 2**bits
            cells.append(f"{bits}, {members(kind, bits):,.1f}, {share:.3%}")
        return cells

    return table("kind", "readings", *header, rows=map(row, WIDTHS))


def intersections(size: int = 10_000) -> Table:
    """How certain an attacker is of one whose codes are all there: 1 / (1 + N / T (T / 2^b)^n)."""
    kinds = IdentifierKind.EMAIL, IdentifierKind.PHONE
    one, two = (size / 2 ** width_for(kind, size) for kind in kinds)
    n = WIDTHS[IdentifierKind.EMAIL].dictionary
    cases = {
        "one code of an e-mail address": one,
        "two codes of it: two variants, or two releases with fresh salts": one**2,
        "three codes of it": one**3,
        "its code and that of the same person's telephone": one * two,
    }
    sure = {what: 1 / (1 + n / size * chance) for what, chance in cases.items()}
    rows = [(what, f"{p:.2%}" if p < 0.9999 else "above 99.99%") for what, p in sure.items()]
    return table("what is found in the file", "certainty that it is listed", rows=rows)


def budgets(standard: float) -> Table:
    readings = WIDTHS[IdentifierKind.EMAIL].readings
    rows = [
        (
            f"`{name}`",
            policy.slow_hashes,
            duration(policy.slow_hashes * standard),
            policy.slow_hashes // readings,
        )
        for name, policy in POLICIES.items()
    ]
    header = ("policy", "slow hashes of one text", "of one core", "e-mail addresses until then")
    return table(*header, rows=rows)


def hit_by_rule(count: int = 5_000, size: int = 10_000) -> str:
    """Strangers' addresses that end with a listed one, read as if a word touched it."""
    listed, others = people.emails(size), people.emails(count, seed=2)
    judge = OutputFilter(
        Bundle.build(listed, release="2026.1.0", kdf="testing", audience="public"),
        FilterPolicy(kinds=frozenset({IdentifierKind.EMAIL})),
    )
    known = {fold(text) for _, text in listed}
    sentences = [f"Or {text}, say." for _, text in others if fold(text) not in known]
    hit = sum(bool(redaction.matches) for redaction in judge.redact_batch(sentences))
    return (
        f"Of {len(sentences):,} made-up strangers at the same {len(people.DOMAINS)} domains as "
        f"{size:,} listed persons {hit} are hit ({hit / len(sentences):.1%}), nearly all by rule: "
        "their addresses end with a listed one."
    )


def readings() -> Table:
    """Look-ups for one identifier on real pages, and how often one reads as another."""
    rows = []
    for kind, recogniser in ((IdentifierKind.EMAIL, email), (IdentifierKind.PHONE, phone)):
        identifiers = looked_up = 0
        values: dict[str, set[str]] = {}
        for text in texts_of_pages(1):
            spans = list(recogniser.find(text))
            reading = read(text) if spans else None
            if reading is None:
                continue
            found = candidates.find(reading.text(), {kind}, ("CH",))
            places = [(c.value, *reading.span(c.first, c.last)) for c in found]
            for span in spans:
                values.setdefault(comparable(kind, Canonical(span.value)), set()).update(
                    touching := [v for v, a, b in places if a < span.end and span.start < b]
                )
                identifiers += 1
                looked_up += len(touching)
        mistaken = sum(bool((some - {value}) & values.keys()) for value, some in values.items())
        rows.append(
            (
                f"`{kind}`",
                f"{identifiers:,} ({len(values):,})",
                f"{looked_up / identifiers:.1f}",
                f"{sum(map(len, values.values())) / len(values):.1f}",
                f"{mistaken} ({mistaken / len(values):.1%})",
            )
        )
    header = ("kind", "on real pages (distinct)", "look-ups for each", "for each distinct one")
    return table(*header, "of these, hit by rule if all others were listed", rows=rows)


def texts_of_pages(every: int) -> list[str]:
    import pyarrow.parquet as pq

    column = pq.read_table(DATA / "webdocs.parquet", columns=["text"])["text"]
    found: list[str] = column.to_pylist()[::every]
    return found


# Phrases


class Names(NamedTuple):
    """Phrases as a matrix of code points, padded with zeros, and their lengths."""

    codes: np.ndarray[Any, np.dtype[np.uint32]]
    lengths: np.ndarray[Any, np.dtype[np.int64]]
    texts: Sequence[str]


class Sums(NamedTuple):
    """The two polynomials of every prefix: column n is the prefix of n + 1 letters."""

    one: np.ndarray[Any, np.dtype[np.uint32]]
    two: np.ndarray[Any, np.dtype[np.uint32]]


def matrix(texts: Sequence[str]) -> Names:
    strings = np.array(texts)
    codes = strings.view(np.uint32).reshape(len(texts), -1)
    return Names(codes, np.count_nonzero(codes, axis=1), texts)


def prefix_sums(key: PhraseKey, codes: np.ndarray[Any, np.dtype[np.uint32]]) -> Sums:
    one, two = codes.copy(), codes.copy()
    for column in range(1, codes.shape[1]):
        one[:, column] += one[:, column - 1] * np.uint32(key.base1)
        two[:, column] += two[:, column - 1] * np.uint32(key.base2)
    return Sums(one, two)


def addresses(key: PhraseKey, sums: Sums, lengths: np.ndarray[Any, Any]) -> Sums:
    """Keys in *halves* and *wholes* of the prefixes of these lengths, one each; as of names."""
    rows = np.arange(len(lengths))
    added = lengths.astype(np.uint32) * np.uint32(key.length)
    added += np.uint32(key.anchor * Anchor.WORDS & 0xFFFFFFFF)
    return Sums(sums.one[rows, lengths - 1] + added, sums.two[rows, lengths - 1])


class Maps:
    """The maps of a list of names with openings of any length ``k``."""

    def __init__(self, key: PhraseKey, names: Names, k: int) -> None:
        keep = names.lengths >= k
        self.key, self.k, self.texts = key, k, frozenset(names.texts)
        names = Names(names.codes[keep], names.lengths[keep], ())
        sums = prefix_sums(key, names.codes)
        x, group = np.unique(sums.one[:, k - 1], return_inverse=True)
        longest = np.zeros(len(x), np.uint16)
        np.maximum.at(longest, group, (-(-names.lengths // 4) - 1).astype(np.uint16))
        self.openings = len(x)
        self.grams = built(x, x, longest | np.uint16(1 << GRAM_LENGTH_BITS), key.seed)
        bits = sieve_bits(len(x))
        self.shift = np.uint32(32 - bits)
        self.sieve = np.zeros(1 << bits, np.bool_)
        self.sieve[x >> self.shift] = True
        self.halfway = np.array([max(0, checkpoint(n, k)) for n in range(LONGEST + 1)])
        half = self.halfway[names.lengths]
        some = half >= k
        found = addresses(key, Sums(sums.one[some], sums.two[some]), half[some])
        self.halves = built(*distinct(found), np.uint8(0), key.seed ^ 1)
        whole = addresses(key, sums, names.lengths)
        self.wholes = built(*distinct(whole), np.uint32(0), key.seed ^ 2)

    def longest(self, x: np.ndarray[Any, np.dtype[np.uint32]]) -> np.ndarray[Any, Any]:
        """The longest name behind each opening; 0 where there is none."""
        value = self.grams.get_array(x, x)
        opens = self.sieve[x >> self.shift] & (value >> GRAM_LENGTH_BITS & 1 == 1)
        opens &= value < 1 << GRAM_VALUE_BITS
        return np.where(opens, 4 * ((value & (1 << GRAM_LENGTH_BITS) - 1).astype(np.int64) + 1), 0)

    def confirmed(self, found: Sums) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return self.halves.get_array(found.one, found.two) == 0

    def is_whole(self, found: Sums) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """The 14 bits that we ship; a listed name always passes."""
        return self.wholes.get_array(found.one, found.two) >> WHOLE_VALUE_BITS == 0


def distinct(keys: Sums) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    pairs = np.unique(keys.one.astype(np.uint64) << np.uint64(32) | keys.two.astype(np.uint64))
    return (pairs >> np.uint64(32)).astype(np.uint32), pairs.astype(np.uint32)


def built(x: Any, y: Any, values: Any, seed: int) -> fuse.Fuse:
    slots = np.broadcast_to(values, len(x)).copy()
    parameters, filled = fuse.build(x, y, slots, seed)
    return fuse.Fuse(parameters, filled.astype(slots.dtype))


class Words(NamedTuple):
    """Popular names: both halves, in Latin letters."""

    forenames: list[str]
    surnames: list[str]

    @classmethod
    def load(cls) -> Words:
        halves = []
        for half in ("forenames", "surnames"):
            path = DATA / "pii" / "popular_names" / f"common-{half}-by-country.csv"
            with path.open(encoding="utf-8-sig", newline="") as file:
                names = {row["Romanized Name"].strip() for row in csv.DictReader(file)}
            halves.append(sorted(name for name in names if fold(name)))
        return cls(*halves)

    def made_up(self, count: int) -> list[str]:
        """Persons: each pair once, those that are long enough."""
        pairs = sorted(product(self.forenames, self.surnames))
        random.Random(SEED).shuffle(pairs)
        names = (f"{one} {two}" for one, two in pairs)
        return [name for name, _ in zip(filter(long_enough, names), range(count), strict=False)]


def long_enough(name: str) -> bool:
    return len(fold(name)) >= ALPHABETIC


def stored(names: Iterable[str]) -> Names:
    """All phrases that a bundle keeps of these names."""
    found: dict[str, None] = {}
    for name in names:
        try:
            found.update(dict.fromkeys(variants(IdentifierKind.NAME, name)))
        except InputError:
            continue
    return matrix(sorted(found))


class Survivors(NamedTuple):
    """How many pairs of a dictionary a map lets through, stage by stage."""

    pairs: int
    opened: int
    confirmed: int
    whole: int
    listed: int
    """Of all these."""
    seconds: float

    def fast(self) -> float:
        """Dollars for the maps of `PAIRS` names, on cores."""
        return PAIRS * self.seconds / self.pairs / 3600 * CORE_HOUR

    def slow(self, left: int, bits: int) -> float:
        """Slow hashes for `PAIRS` names when so many pairs are left for a filter of some bits."""
        return self.listed + PAIRS * (left - self.listed) / self.pairs / 2**bits


def attack(maps: Maps, words: Words) -> Survivors:
    """Try every pair, the openings first, as somebody with the operators' file would."""
    forenames, surnames = (sorted(set(map(fold, half))) for half in words)
    tried = opened = confirmed = whole = listed = 0
    start = time.perf_counter()
    for first in range(0, len(forenames), 64):
        some = forenames[first : first + 64]
        names = matrix([one + two for one in some for two in surnames])
        tried += len(names.lengths)
        rows = np.flatnonzero(names.lengths >= maps.k)
        x = prefix_sums(maps.key, names.codes[rows, : maps.k]).one[:, -1]
        rows = rows[maps.longest(x) >= names.lengths[rows]]
        lengths, sums = names.lengths[rows], prefix_sums(maps.key, names.codes[rows])
        half = maps.halfway[lengths]
        passes = maps.confirmed(addresses(maps.key, sums, np.maximum(half, 1))) | (half < maps.k)
        opened += len(rows)
        confirmed += int(passes.sum())
        left = rows[passes & maps.is_whole(addresses(maps.key, sums, lengths))]
        whole += len(left)
        listed += sum(names.texts[row] in maps.texts for row in left)
    return Survivors(tried, opened, confirmed, whole, listed, time.perf_counter() - start)


class Pages(NamedTuple):
    """Real pages as one row of letters."""

    letters: Letters
    text: np.ndarray[Any, Any]
    """Number of the page of each letter."""
    words: int

    @classmethod
    def load(cls) -> Pages:
        texts = texts_of_pages(EVERY)
        codes = [read(text).codes for text in texts]
        ends = np.cumsum([len(some) + 1 for some in codes])
        gap = np.zeros(1, np.uint32)  # BREAK
        letters = letters_of(np.concatenate([part for some in codes for part in (some, gap)]))
        text = np.searchsorted(ends, letters.places, "right")
        return cls(letters, text, sum(len(text.split()) for text in texts))


class Asked(NamedTuple):
    """Distinct wholes that would be hashed, page by page, without a filter on wholes."""

    listed: int
    """Those that pass it whatever its width."""
    others: int


def asked(maps: Maps, pages: Pages) -> tuple[Asked, Asked]:
    """Questions without the halves, and with them."""
    letters, k = pages.letters, maps.k
    size = len(letters.codes)
    is_edge = letters.is_edge(np.arange(size))
    starts = np.flatnonzero(is_edge[: size - k])
    x = np.zeros(len(starts), np.uint32)
    for offset in range(k):
        x = x * np.uint32(maps.key.base1) + letters.codes[starts + offset]
    longest = maps.longest(x)
    starts, longest = starts[longest > 0], longest[longest > 0]
    chain = np.searchsorted(letters.breaks, np.arange(size), "right")
    padded = np.append(letters.codes, np.zeros(LONGEST, np.uint32))
    sums = prefix_sums(maps.key, padded[starts[:, None] + np.arange(LONGEST)])
    confirmed = np.zeros((len(starts), LONGEST + 1), np.bool_)
    found: dict[bool, list[np.ndarray[Any, Any]]] = {False: [], True: []}
    for length in range(k, LONGEST + 1):
        last = np.minimum(starts + length - 1, size - 1)
        keys = addresses(maps.key, sums, np.full(len(starts), length))
        confirmed[:, length] = maps.confirmed(keys)
        ends = (length <= longest) & (chain[last] == chain[starts]) & (last + 1 < size)
        ends &= is_edge[np.minimum(last + 1, size - 1)]
        half = maps.halfway[length]
        for halves, questions in found.items():
            rows = np.flatnonzero(ends & (confirmed[:, half] | (not halves or half < k)))
            true = maps.is_whole(Sums(keys.one[rows], keys.two[rows]))
            columns = (pages.text[starts[rows]], keys.one[rows], keys.two[rows], true)
            questions.append(np.stack([c.astype(np.int64) for c in columns], axis=1))
    counts = []
    for rows in (np.unique(np.concatenate(found[halves]), axis=0) for halves in (False, True)):
        listed = int(rows[:, 3].sum())
        counts.append(Asked(listed, len(rows) - listed))
    return counts[0], counts[1]


def what_maps_give_away(maps: Maps, phrases: int, tried: Survivors) -> Table:
    grams = 26**ALPHABETIC
    tested = 1 << 23
    letters = np.random.default_rng(SEED).integers(97, 123, (tested, ALPHABETIC), np.uint32)
    start = time.perf_counter()
    passed = int(np.count_nonzero(maps.longest(prefix_sums(maps.key, letters).one[:, -1])))
    rate = tested / (time.perf_counter() - start)
    fast = PAIRS / (tried.pairs / tried.seconds)
    slow = tried.slow(tried.whole, 0)
    rows = [
        ("names listed, phrases stored, distinct openings",
         f"{LISTS[0]:,}, {phrases:,}, {maps.openings:,}"),
        ("all openings of six letters a to z, one core", duration(grams / rate)),
        ("of them let through although not listed",
         f"{passed / tested:.3%}, about {grams * passed / tested:,.0f}"),
        ("pairs of popular names tried", f"{tried.pairs:,}"),
        ("of them: opening known", f"{tried.opened / tried.pairs:.1%}"),
        ("and half-way prefix known", f"{tried.confirmed / tried.pairs:.1%}"),
        ("and whole known, so that only the slow hash can tell", f"{tried.whole:,}"),
        ("listed indeed", f"{tried.listed:,}"),
        ("pairs a second, one core", f"{tried.pairs / tried.seconds / 1e6:.1f} million"),
        (f"{PAIRS:,} pairs, fast part, one core", f"{duration(fast)}, {dollars(tried.fast())}"),
        (f"{PAIRS:,} pairs, slow part, a card",
         f"{slow:,.0f} hashes, {duration(slow / GPU_RATE)}, {dollars(card(slow))}"),
    ]  # fmt: skip
    return table("attack on the operators' file", "figure", rows=rows)


def frontier(pages: Pages, words: Words, lists: Sequence[Names], costs: Sequence[float]) -> Table:
    """For each way to build the maps: our slow hashes against an attacker's dollars."""
    key = phrase_key(b"costs of phrases")
    rows: list[tuple[object, ...]] = []
    for k in (ALPHABETIC, 8):
        all_maps = [Maps(key, names, k) for names in lists]
        tried = [attack(maps, words) for maps in all_maps]
        counts = [asked(maps, pages) for maps in all_maps]
        for halves, bits in product((False, True), (0, 8, 14)):
            cells: list[object] = [k, "8 bits" if halves else "none", bits or "none"]
            for one, (without, including) in zip(tried, counts, strict=True):
                ours = including if halves else without
                hashes = 1000 * (ours.listed + ours.others / 2**bits) / pages.words
                left = one.confirmed if halves else one.opened
                slow, fast = one.slow(left, bits), one.fast()
                cells += [
                    f"{hashes:.3f}",
                    f"{hashes * costs[0] * 1e3:.2f}",
                    dollars(fast + card(slow)),
                ]
                if one is tried[0]:
                    cells += [f"{hashes * costs[1] * 1e3:.1f}", dollars(fast + card(slow, HEAVY))]
            rows.append(tuple(cells))
    header = ["k", "halves", "wholes"]
    for count in LISTS:
        header += [f"{count:,} names: slow hashes", "our ms", "their price"]
        if count == LISTS[0]:
            header += ["our ms, 64 MiB", "their price, 64 MiB"]
    return table(*header, rows=rows)


def report() -> str:
    standard, heavy = seconds_a_hash(PROFILES["standard"]), seconds_a_hash(HEAVY, 3)
    lines = ["Prices and speeds:", "", *assumptions(standard, heavy)]
    lines += [
        "What it costs to hash a whole dictionary, and the width that a bundle starts with:",
        "",
    ]
    lines += enumeration(standard)
    lines += ["Strangers hit, with the width that a bundle of T entries of a kind chooses:", ""]
    lines += strangers()
    lines += ["What several codes of one person give away (N = 1e9, T = 10,000):", ""]
    lines += [*intersections(), "What a text may cost:", "", *budgets(standard), hit_by_rule(), ""]
    if not (DATA / "webdocs.parquet").is_file():
        return "\n".join([*lines, "Phrases were not measured: shared/data is not there."])
    lines += ["How many ways there are to read one identifier:", "", *readings()]
    words, pages = Words.load(), Pages.load()
    lists = [stored(words.made_up(count)) for count in LISTS]
    maps = Maps(phrase_key(b"costs of phrases"), lists[0], ALPHABETIC)
    lines += [f"What the fast maps give away ({LISTS[0]:,} made-up names):", ""]
    lines += what_maps_give_away(maps, len(lists[0].lengths), attack(maps, words))
    lines.append(
        f"Our cost for 1,000 words of real pages ({pages.words:,} words were read), and the price of"
        f" {PAIRS:,} name pairs (maps on cores, slow hashes on a card):"
    )
    lines.append("")
    return "\n".join([*lines, *frontier(pages, words, lists, (standard, heavy))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="also into docs/threat-model.md")
    arguments = parser.parse_args()
    start = time.perf_counter()
    text = report()
    print(text)
    print(f"{time.perf_counter() - start:.0f} s")
    if not arguments.write:
        return
    page = DOCUMENT.read_text(encoding="utf-8")
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        sys.exit(f"{DOCUMENT} lacks its two markers.")
    body = re.escape(BEGIN) + ".*" + re.escape(END)
    made: Callable[[re.Match[str]], str] = lambda _: f"{BEGIN}\n\n{text.strip()}\n\n{END}"  # noqa: E731
    DOCUMENT.write_text(re.sub(body, made, page, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
