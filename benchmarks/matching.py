"""The output filter's figures: ``make bench`` prints them, ``--write`` puts them and a plot into ``docs/``.

Text is real web pages where ``../shared/data`` has them, else made-up sentences; persons are made up and do
not occur in it. All bundles are of the standard profile (Argon2id, 19 MiB, two passes); the codes of listed
persons are invented, since none of them is ever looked up, and every candidate in the text is hashed for real
where a row says "with". CPU time of this process unless a row says otherwise; the smallest of some runs.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import people  # noqa: E402
from carriers import carried  # noqa: E402
from run import machine  # noqa: E402

from filter import Bundle, FilterPolicy, Identifier, IdentifierKind, OutputFilter  # noqa: E402
from filter.identifiers import PHRASES  # noqa: E402

DOCS = HERE.parent / "docs"
SIZES = (10_000, 100_000, 1_000_000)
_SYLLABLES = (
    "ba be bi bo bu da de di do du fa fe ga ge ha he ka ke ki ko "
    "la le li lo ma me mi mo na ne ni no pa pe ra re ri ro sa se si so ta te ti to va ve wi za"
).split()
_ENDINGS = "mann meier er son ski ini ova berg stein feld ez ard".split()


def persons(count: int) -> Iterator[Identifier]:
    """Distinct made-up persons: common forenames, invented surnames."""
    rng = random.Random(7)
    forenames = sorted({one.text.split()[0] for one in people.GROUPS["Latin"](2000)})
    seen: set[str] = set()
    while len(seen) < count:
        surname = "".join(rng.choices(_SYLLABLES, k=rng.randint(1, 3))) + rng.choice(_ENDINGS)
        name = f"{rng.choice(forenames)} {surname.title()}"
        if name not in seen:
            seen.add(name)
            yield Identifier(IdentifierKind.NAME, name)


def addresses(count: int) -> Iterator[Identifier]:
    for number in range(count):
        yield Identifier(IdentifierKind.EMAIL, f"person{number}@mail{number % 977}.example")


def built(phrases: int) -> Bundle:
    """A bundle that stores about so many phrases, and a tenth as many addresses."""
    each = 5.0  # stored phrases of one made-up name, variants included
    return Bundle.build(
        [*persons(round(phrases / each)), *addresses(phrases // 10)],
        release="2026.2.0",
        slow=lambda secret: zlib.crc32(secret.encode()),
    )


def pages(limit: int) -> list[str]:
    """About ``limit`` code points of text."""
    path = HERE.parent.parent / "shared" / "data" / "webdocs.parquet"
    if path.is_file():
        import pyarrow.parquet as pq

        texts = pq.read_table(path, columns=["text"])["text"].to_pylist()
        random.Random(5).shuffle(texts)
    else:
        rng = random.Random(5)
        texts = [" ".join(carried("it", rng)[0] for _ in range(40)) for _ in range(4000)]
    found, size = [], 0
    for text in texts:
        if size >= limit:
            break
        found.append(text[:50_000])
        size += len(found[-1])
    return found


def cpu(work: Callable[[], object], repeat: int = 3) -> float:
    best = 1e9
    for _ in range(repeat):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


def octets(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def presidio_speed(texts: list[str]) -> float:
    """MB/s of presidio-analyzer with its English pattern recognisers and no language model."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NoOpNlpEngine

    nlp = NoOpNlpEngine([{"lang_code": "en", "model_name": "no_op"}])
    nlp.load()
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(nlp_engine=nlp)
    registry.recognizers = [r for r in registry.recognizers if r.name != "EmailRecognizer"]
    engine = AnalyzerEngine(registry=registry, nlp_engine=nlp)
    engine.analyze("warm up 044 668 18 00", "en")
    return octets(texts) / 1e6 / cpu(lambda: [engine.analyze(t, "en") for t in texts], 1)


def streamed(output_filter: OutputFilter, text: str, token: int = 4) -> tuple[list[int], float]:
    """Nanoseconds of every push, and the mean hold-back in octets."""
    stream = output_filter.stream()
    clock = time.perf_counter_ns
    spent, given, got, held = [], 0, 0, 0
    for at in range(0, len(text), token):
        piece = text[at : at + token]
        begin = clock()
        out = stream.push(piece)
        spent.append(clock() - begin)
        given += len(piece.encode())
        got += len(out.encode())
        held += given - got
    return sorted(spent), held / len(spent)


def measure(sizes: tuple[int, ...], quick: bool) -> dict[str, object]:
    texts = pages(400_000 if quick else 6_000_000)
    words = sum(len(t.split()) for t in texts)
    megabytes = octets(texts) / 1e6
    prose = [t for t in texts if t.isascii()][:60]
    stream_text = " ".join(t[:1500] for t in prose)
    presidio = presidio_speed([t[:4000] for t in texts[: 20 if quick else 150]])
    rows: list[dict[str, float]] = []
    for size in sizes:
        bundle = built(size)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "b.safetensors"
            bundle.write(path)
            opened = min(_timed(lambda path=path: Bundle.open(path)) for _ in range(20))
            arrays = {k: v.nbytes for k, v in bundle._arrays.items() if not k.startswith("codes")}  # noqa: SLF001
            bulk = OutputFilter(Bundle.open(path), FilterPolicy(kinds=frozenset(PHRASES)))
            scan = megabytes / cpu(lambda bulk=bulk: bulk.redact_batch(texts), 1 if quick else 5)
            small = texts[: max(4, len(texts) // 12)]
            both = OutputFilter(Bundle.open(path))
            begin = time.perf_counter()
            redactions = both.redact_batch(small)
            whole = time.perf_counter() - begin
            fast = OutputFilter(Bundle.open(path))
            fast.asker.slow_hash = lambda secret: zlib.crc32(secret.encode())  # type: ignore[method-assign]
            runs = [streamed(fast, stream_text) for _ in range(1 if quick else 5)]
            spent, held = min(runs, key=lambda run: run[0][len(run[0]) // 2])
            slow_spent, _ = streamed(both, stream_text[: 4000 if quick else 30_000])
        stored = bundle.report.stored[IdentifierKind.NAME]  # type: ignore[union-attr]
        rows.append(
            {
                "phrases": stored,
                "bytes_per_phrase": sum(arrays.values()) / stored,
                "open_ms": opened * 1e3,
                "bulk_mb_s": scan,
                "x_presidio": scan / presidio,
                "redact_mb_s": octets(small) / 1e6 / whole,
                "slow_per_1000_words": sum(r.slow_hashes for r in redactions)
                / sum(len(t.split()) for t in small)
                * 1000,
                "stream_us": spent[len(spent) // 2] / 1e3,
                "stream_mean_us": sum(spent) / len(spent) / 1e3,
                "stream_with_us": sum(slow_spent) / len(slow_spent) / 1e3,
                "held_octets": held,
            }
        )
        print(json.dumps({k: round(v, 3) for k, v in rows[-1].items()}), flush=True)
    return {
        "machine": machine(),
        "megabytes": megabytes,
        "words": words,
        "presidio_mb_s": presidio,
        "rows": rows,
        "growth": growth(texts),
    }


def growth(texts: list[str]) -> list[tuple[float, float]]:
    """(Megabytes, CPU seconds) of a bulk scan of ever longer texts."""
    bulk = OutputFilter(built(10_000), FilterPolicy(kinds=frozenset(PHRASES)))
    text = "\n".join(texts)
    found = []
    for part in (64, 32, 16, 8, 4, 2, 1):
        piece = text[: len(text) // part]
        found.append((len(piece.encode()) / 1e6, cpu(lambda piece=piece: bulk.redact(piece), 2)))
    return found


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


ROWS = (
    ("stored phrases", "phrases", "{:,.0f}"),
    ("octets a phrase (maps)", "bytes_per_phrase", "{:.1f}"),
    ("to open the file", "open_ms", "{:.2f} ms"),
    ("bulk scan, phrases", "bulk_mb_s", "{:.0f} MB/s"),
    ("the same against presidio-analyzer, patterns only", "x_presidio", "{:.0f}x"),
    ("whole texts, both tiers, wall clock, all cores hashing", "redact_mb_s", "{:.2f} MB/s"),
    ("slow hashes per 1,000 words, both tiers", "slow_per_1000_words", "{:.2f}"),
    ("stream, per token of 4 characters, median, without slow hashes", "stream_us", "{:.1f} us"),
    ("the same, mean", "stream_mean_us", "{:.1f} us"),
    ("the same with slow hashes in `push`, mean", "stream_with_us", "{:.0f} us"),
    ("held back by a stream, mean", "held_octets", "{:.1f} octets"),
)


def table(figures: dict[str, object]) -> str:
    rows: list[dict[str, float]] = figures["rows"]  # type: ignore[assignment]
    lines = ["| | " + " | ".join(f"{r['phrases']:,.0f} phrases" for r in rows) + " |"]
    lines.append("|---" * (len(rows) + 1) + "|")
    for title, key, form in ROWS[1:]:
        lines.append(f"| {title} | " + " | ".join(form.format(r[key]) for r in rows) + " |")
    return "\n".join(lines)


def plot(figures: dict[str, object]) -> str:
    """Two panels in SVG: cost against entries, cost against text."""
    rows: list[dict[str, float]] = figures["rows"]  # type: ignore[assignment]
    growing: list[tuple[float, float]] = figures["growth"]  # type: ignore[assignment]
    panels = (
        ("CPU per megabyte (ms) against stored phrases", [(r["phrases"], 1000 / r["bulk_mb_s"]) for r in rows], True),
        ("CPU seconds against megabytes of text", growing, False),
    )  # fmt: skip
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 260" font-family="sans-serif" font-size="12">',
        '<rect width="760" height="260" fill="#fff"/>',
    ]
    for number, (title, points, logarithmic) in enumerate(panels):
        left = 50 + 380 * number
        xs = [math.log10(x) if logarithmic else x for x, _ in points]
        low, high = (min(xs), max(xs)) if logarithmic else (0.0, max(xs))
        top = max(y for _, y in points) * 1.1
        place = [
            (left + 290 * (x - low) / (high - low or 1), 210 - 160 * y / top)
            for x, (_, y) in zip(xs, points, strict=True)
        ]
        parts.append(f'<text x="{left}" y="24" fill="#111">{title}</text>')
        parts.append(f'<path d="M{left} 50V210H{left + 290}" fill="none" stroke="#999"/>')
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in place)
        parts.append(f'<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="2"/>')
        for (x, y), (value, cost) in zip(place, points, strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#1f5fa8"/>')
            if logarithmic or value == points[-1][0]:
                label = f"{value:,.0f}" if logarithmic else f"{value:.1f} MB"
                parts.append(
                    f'<text x="{x:.1f}" y="228" text-anchor="middle" fill="#444">{label}</text>'
                )
                parts.append(
                    f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle" fill="#111">{cost:.3g}</text>'
                )
    return "\n".join([*parts, "</svg>", ""])


def page(figures: dict[str, object]) -> str:
    return f"""# What the filter costs

Written by `benchmarks/matching.py --write`. {figures["machine"]}. Real web pages, {figures["megabytes"]:.1f} MB,
{figures["words"]:,} words, in which nobody listed occurs; made-up persons with their variants, and a tenth as many e-mail
addresses; profile `standard` (Argon2id, 19 MiB, two passes). presidio-analyzer with its English pattern recognisers
and no language model read {figures["presidio_mb_s"]:.2f} MB/s in the same run.

{table(figures)}

![Cost against entries and against text](filter-cost.svg)

E-mail addresses are what the slow hashes go to: each may touch the word before it, so it has several readings
([threat-model.md](threat-model.md)). In a stream they run beside the caller where it hands in an executor; only the text of
that stream waits.

Where time goes: of a bulk scan a third is reading characters, a fifth parting letters from separators, the rest looking phrases up.
A bundle of a million phrases outgrows the processor's caches, which is all that makes it slower.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--write", action="store_true", help="into docs/")
    arguments = parser.parse_args()
    figures = measure((1_000, 10_000) if arguments.quick else SIZES, arguments.quick)
    print(
        f"\n{figures['machine']}\npresidio-analyzer, patterns only: {figures['presidio_mb_s']:.2f} MB/s\n"
    )
    print(table(figures))
    if arguments.write:
        (DOCS / "filter-performance.md").write_text(page(figures), encoding="utf-8")
        (DOCS / "filter-cost.svg").write_text(plot(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
