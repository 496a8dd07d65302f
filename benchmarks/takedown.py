"""What a takedown costs beside making everything again: `make bench`.

    python benchmarks/takedown.py [--documents 200000] [--hosts 100000 10000] [--files 4] [--repeat 2] [--json FILE]

A corpus is made under a policy; then 20, and 1,000, of its sites opt out; then 20 people more are listed in a bundle
of 200. Whole commands are timed, each in a process of its own, imports included: `lethe reconstruct takedown` against
`lethe reconstruct run` with the newer policy or bundle into an empty folder. The smallest CPU time (user + system) of
each counts, because other work on the machine only adds. Sites are taken at random, and the documents of each stand
anywhere in the corpus, two a site (of real pages in a sample of the web hardly any has more) or twenty. What comes
out is compared, octet by octet.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled modules are kept, as people have it

SITES = (20, 1000)
PEOPLE, MORE, MENTIONS = 200, 20, 5
"""Listed before, listed then, documents that mention each."""


def timed(command: list[str]) -> tuple[float, float]:
    """CPU seconds and seconds of a command that must succeed."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "lethe", *command], check=True, capture_output=True)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, end - begin


def listed(hosts: list[str], path: Path) -> Path:
    """An opt-out list of these sites."""
    common = {"scope": "domain", "effective": "2026-01-01", "origin": "benchmark"}
    lines = [
        json.dumps({**common, "value": host, "request_id": f"r-{n}"})
        for n, host in enumerate(hosts)
    ]
    path.write_text("\n".join(lines))
    return path


def policy(folder: Path, name: str, hosts: list[str]) -> str:
    out = folder / f"{name}.parquet"
    command = [
        "optout",
        "compile",
        "--robots",
        str(folder / "in/robots.parquet"),
        "--out",
        str(out),
    ]
    command += ["--as-of", "2026-01-01", "--optouts", str(listed(hosts, folder / f"{name}.jsonl"))]
    timed(command)
    return str(out)


def contents(corpus: Path) -> dict[str, bytes]:
    parts = ("data", "ledger", "state")
    found = [
        path for part in parts for path in sorted((corpus / part).rglob("*")) if path.is_file()
    ]
    return {str(path.relative_to(corpus)): path.read_bytes() for path in found}


def measure(arguments: argparse.Namespace, hosts: int) -> dict[str, object]:
    from synthetic import make

    folder: Path = arguments.out
    shutil.rmtree(folder, ignore_errors=True)
    print(f"making {arguments.documents:,} documents of {hosts:,} sites ...", flush=True)
    make(folder / "in", arguments.documents, hosts)
    corpus = folder / "in/corpus"
    people = addresses(PEOPLE + MORE)
    sites = split(corpus, arguments.files, people)
    run = ["reconstruct", "run", "fineweb", "--input", str(corpus)]
    old = policy(folder, "old", [])
    bundles = [bundle(folder, n, people[:n]) for n in (PEOPLE, PEOPLE + MORE)]
    timed([*run, "--policy", old, "--out", str(folder / "base")])
    found: dict[str, object] = {}
    for count in SITES:
        new = policy(folder, f"new-{count}", random.Random(count).sample(sites, count))
        found[f"{count} sites"] = compared(arguments, [*run, "--policy", new], ["--policy", new])
    shutil.rmtree(folder / "base")
    listed = ["--policy", old, "--bundle"]
    timed([*run, *listed, bundles[0], "--out", str(folder / "base")])
    new = bundles[1]
    found[f"{MORE} people"] = compared(arguments, [*run, *listed, new], ["--bundle", new])
    for name, figures in found.items():
        print(f"{name}: {said(figures)}", flush=True)
    return found


def compared(
    arguments: argparse.Namespace, run: list[str], options: list[str]
) -> dict[str, object]:
    """The same corpus, made again and taken down."""
    folder: Path = arguments.out
    best: dict[str, tuple[float, float]] = {}
    for _ in range(arguments.repeat):
        for name in ("again", "taken"):
            shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(folder / "base", folder / "taken")
        for name, command in {
            "run": [*run, "--out", str(folder / "again")],
            "takedown": ["reconstruct", "takedown", str(folder / "taken"), *options],
        }.items():
            best[name] = min(best.get(name, (1e9, 1e9)), timed(command))
    assert contents(folder / "again") == contents(folder / "taken"), "they differ"
    told = json.loads(next((folder / "taken/takedowns").glob("*/certificate.json")).read_text())
    return {
        "cpu": {name: spent for name, (spent, _) in best.items()},
        "wall": {name: took for name, (_, took) in best.items()},
        "documents": told["documents"]["gone"],
        "files": len(told["files"]),
    }


def said(figures: Any) -> str:
    cpu, wall = figures["cpu"], figures["wall"]
    return (
        f"{figures['documents']:,} documents went, {figures['files']} files changed: run {cpu['run']:.2f} s CPU "
        f"({wall['run']:.2f} s), takedown {cpu['takedown']:.2f} s CPU ({wall['takedown']:.2f} s) = "
        f"{cpu['run'] / cpu['takedown']:.1f}x"
    )


def addresses(count: int) -> list[str]:
    """Postal addresses of people who do not exist."""
    return [f"Nebelgasse {n + 1}, {9000 + n} Musterlingen" for n in range(count)]


def bundle(folder: Path, count: int, people: list[str]) -> str:
    """An operators' bundle that lists them, with the hashes of the standard profile."""
    from datetime import date

    from filter import Bundle, IdentifierKind

    path = folder / f"people-{count}.safetensors"
    entries = [(IdentifierKind.POSTAL_ADDRESS, one) for one in people]
    Bundle.build(entries, release=f"2026.2.{count}", valid_until=date(2999, 12, 31)).write(path)
    return str(path)


def split(corpus: Path, files: int, people: list[str]) -> list[str]:
    """Spread the documents over so many files, some of which mention people; the sites are returned."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from filter.urls import split_url

    paths = sorted(corpus.rglob("*.parquet"))
    table = pa.concat_tables([pq.read_table(path) for path in paths])
    for path in paths:
        path.unlink()
    texts = table["text"].to_pylist()
    dice = random.Random(5)
    for one in people * MENTIONS:
        texts[dice.randrange(len(texts))] += f" Write to {one}."
    table = table.set_column(0, table.schema.field(0), pa.array(texts))
    size = -(-table.num_rows // files)
    for number in range(files):
        part = table.slice(number * size, size)
        pq.write_table(part, corpus / f"{number:04}.parquet", compression="zstd")
    some = random.Random(3).sample(table["url"].to_pylist(), min(20_000, table.num_rows))
    return sorted({host for url in some if (host := split_url(url).host)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--hosts", type=int, nargs="+", default=[100_000, 10_000])
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    figures = {str(hosts): measure(arguments, hosts) for hosts in arguments.hosts}
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
