"""What a takedown costs beside making everything again: `make bench`.

    python benchmarks/takedown.py [--documents 200000] [--hosts 10000] [--files 20] [--repeat 2] [--json FILE]

A corpus is made under a policy; then 20, and 1,000, of its sites opt out. Whole commands are timed, each in a process
of its own, imports included: `lethe reconstruct takedown` against `lethe reconstruct run` with the newer policy into an
empty folder. The smallest CPU time (user + system) of each counts, because other work on the machine only adds. Sites
are taken at random, and the documents of each stand anywhere in the corpus. What comes out is compared, octet by octet.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

SITES = (20, 1000)


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


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    import pyarrow.parquet as pq
    from synthetic import make

    from filter.urls import split_url

    folder: Path = arguments.out
    shutil.rmtree(folder, ignore_errors=True)
    print(f"making {arguments.documents:,} documents of {arguments.hosts:,} sites ...", flush=True)
    make(folder / "in", arguments.documents, arguments.hosts)
    split(folder / "in/corpus", arguments.files)
    urls = [
        u
        for p in sorted((folder / "in/corpus").rglob("*.parquet"))
        for u in pq.read_table(p)["url"].to_pylist()
    ]
    sites = sorted(
        {host for url in random.Random(3).sample(urls, 20_000) if (host := split_url(url).host)}
    )
    run = ["reconstruct", "run", "fineweb", "--input", str(folder / "in/corpus")]
    old = policy(folder, "old", [])
    timed([*run, "--policy", old, "--out", str(folder / "base")])
    found: dict[str, object] = {}
    for count in SITES:
        new = policy(folder, f"new-{count}", random.Random(count).sample(sites, count))
        best: dict[str, tuple[float, float]] = {}
        for _ in range(arguments.repeat):
            for name in ("again", "taken"):
                shutil.rmtree(folder / name, ignore_errors=True)
            shutil.copytree(folder / "base", folder / "taken")
            for name, command in {
                "run": [*run, "--policy", new, "--out", str(folder / "again")],
                "takedown": ["reconstruct", "takedown", str(folder / "taken"), "--policy", new],
            }.items():
                best[name] = min(best.get(name, (1e9, 1e9)), timed(command))
        assert contents(folder / "again") == contents(folder / "taken"), "they differ"
        gone = json.loads(next((folder / "taken/takedowns").glob("*/certificate.json")).read_text())
        cpu = {name: spent for name, (spent, _) in best.items()}
        wall = {name: took for name, (_, took) in best.items()}
        found[str(count)] = {
            "cpu": cpu,
            "wall": wall,
            "documents": gone["documents"]["gone"],
            "files": len(gone["files"]),
        }
        print(
            f"{count:5} sites, {gone['documents']['gone']:,} documents in {len(gone['files'])} files: run "
            f"{cpu['run']:.2f} s CPU ({wall['run']:.2f} s), takedown {cpu['takedown']:.2f} s CPU "
            f"({wall['takedown']:.2f} s) = {cpu['run'] / cpu['takedown']:.1f}x",
            flush=True,
        )
    return found


def split(corpus: Path, files: int) -> None:
    """Spread the documents over so many files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = sorted(corpus.rglob("*.parquet"))
    table = pa.concat_tables([pq.read_table(path) for path in paths])
    for path in paths:
        path.unlink()
    size = -(-table.num_rows // files)
    for number in range(files):
        part = table.slice(number * size, size)
        pq.write_table(part, corpus / f"{number:04}.parquet", compression="zstd")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--hosts", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    figures = measure(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
