"""The first three rows of the table of figures, measured in one run: `make bench`.

Every engine runs in a process of its own on the same files, in turn, several times; the smallest CPU
time of each (user + system, imports included) counts, because other work on the machine only adds.
Twenty documents a host is little: the million domains whose robots.txt files Apertus used hold hundreds.
What comes out is compared: the same documents, the same agents, the same text.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

DAY = date(2026, 1, 1)
POLICY = "apertus-2025-01"  # Protego's semantics, as the stock engine has them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--hosts", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    parser.add_argument("--json", type=Path, help="also write the figures there")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        from pipeline.collection import rare_collection

        with rare_collection():  # for everybody, as the command line does
            ENGINES[arguments.engine](arguments.out)
        return
    figures = measure(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    from synthetic import make

    out: Path = arguments.out
    shutil.rmtree(out, ignore_errors=True)
    print(f"making {arguments.documents:,} documents and {arguments.hosts:,} robots.txt files ...")
    make(out / "in", arguments.documents, arguments.hosts)
    seconds: dict[str, float] = {}
    for _ in range(arguments.repeat):
        for engine in ("limit", "lethe-cold", "lethe"):
            seconds[engine] = min(seconds.get(engine, 1e9), timed(engine, out))
    seconds["stock"] = timed("stock", out)
    same(out)
    verdicts = json.loads(subprocess.check_output([*command("verdicts", out)]))
    documents = arguments.documents
    cold, warm, stock, limit = (seconds[e] for e in ("lethe-cold", "lethe", "stock", "limit"))
    print(
        f"\n{machine()}; {documents:,} documents, {arguments.hosts:,} robots.txt files, one worker"
    )
    print(f"{'engine':<44}{'CPU s':>8}{'docs/s':>10}{'x stock':>9}{'of limit':>10}")
    for name, value in (
        ("stock: datatrove + Protego + PII formatter", stock),
        ("lethe, policy compiled in the run (cold)", cold),
        ("lethe, policy compiled before", warm),
        ("limit: pyarrow read + zstd write", limit),
    ):
        print(
            f"{name:<44}{value:>8.2f}{documents / value:>10,.0f}{stock / value:>9.1f}{limit / value:>10.2f}"
        )
    ratio = verdicts["lethe"] / verdicts["protego"]
    print(
        f"\nURL verdicts per second and core, 15 agents, everything parsed before:\n"
        f"  Protego {verdicts['protego']:,.0f}   lethe {verdicts['lethe']:,.0f}   {ratio:.0f}x"
    )
    print("decisions, agents and texts of stock and lethe are equal")
    return {
        "machine": machine(),
        "documents": documents,
        "hosts": arguments.hosts,
        "cpu_seconds": seconds,
        "x_stock_cold": stock / cold,
        "x_stock_warm": stock / warm,
        "of_limit_cold": limit / cold,
        "of_limit_warm": limit / warm,
        "verdicts_per_second": verdicts,
        "x_verdicts": ratio,
    }


def machine() -> str:
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def command(engine: str, out: Path) -> list[str]:
    return [sys.executable, str(HERE / "run.py"), "--engine", engine, "--out", str(out)]


def timed(engine: str, out: Path) -> float:
    """CPU seconds (user + system) of one process that does the work, its children included."""
    shutil.rmtree(out / engine, ignore_errors=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command(engine, out), check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"  {engine:<12}{spent:>8.2f} s")
    return spent


def compiled(out: Path, policy: Path) -> None:
    from pipeline.collection import rare_collection
    from pipeline.optout.agents import resolve
    from pipeline.optout.compile import PolicyCompiler
    from pipeline.optout.spec import named

    with rare_collection():
        compiler = PolicyCompiler(named(POLICY), resolve("apertus"), DAY)
        compiler.add_snapshot(out / "in" / "robots.parquet")
        compiler.finish(policy)


def run_lethe(out: Path) -> None:
    from pipeline.reconstruct.engine import run
    from pipeline.reconstruct.manifest import Options

    run(
        "fineweb",
        out / "in" / "corpus",
        out / "policy.parquet",
        out / "lethe",
        options=Options(pii="apertus"),
    )


def run_lethe_cold(out: Path) -> None:
    from pipeline.reconstruct.engine import run
    from pipeline.reconstruct.manifest import Options

    policy = out / "policy.parquet"
    compiled(out, policy)
    run(
        "fineweb", out / "in" / "corpus", policy, out / "lethe-cold", options=Options(pii="apertus")
    )


def run_stock(out: Path) -> None:
    import stock

    from pipeline.optout.agents import resolve

    agents = list(resolve("apertus").agents)
    stock.run(out / "in" / "corpus", out / "in" / "robots.parquet", out / "stock", agents)


def run_limit(out: Path) -> None:
    import pyarrow.parquet as pq

    (out / "limit").mkdir(exist_ok=True)
    for path in sorted((out / "in" / "corpus").glob("*.parquet")):
        with pq.ParquetFile(path) as source:
            target = out / "limit" / path.name
            with pq.ParquetWriter(target, source.schema_arrow, compression="zstd") as writer:
                for batch in source.iter_batches(2000, use_threads=False):
                    writer.write_batch(batch)


def run_verdicts(out: Path) -> None:
    """Verdicts per CPU second, both with everything parsed and met before."""
    import pyarrow.parquet as pq
    import stock

    from pipeline.optout.agents import resolve
    from pipeline.optout.policy import OptOutPolicy

    table = pq.read_table(out / "in" / "corpus", columns=["id", "url"])
    urls = table["url"].to_pylist()[:20_000]
    agents = list(resolve("apertus").agents)
    protego = stock.ProtegoFilter(stock.load_robots(out / "in" / "robots.parquet"), agents)
    policy = OptOutPolicy.open(out / "policy.parquet")
    batches = table.combine_chunks().to_batches(20_000)
    answers = [bool(protego.disallowed(u)) for u in urls]
    ours = [bool(d) for b in batches for d in ~policy.decide(b["id"], b["url"]).keep]
    if answers != ours[: len(urls)]:
        sys.exit("the verdicts differ")
    protego_seconds = min(cpu(lambda: [protego.disallowed(u) for u in urls]) for _ in range(3))
    lethe_seconds = min(
        cpu(lambda: [policy.decide(b["id"], b["url"]) for b in batches]) for _ in range(5)
    )
    print(json.dumps({
        "protego": len(urls) / protego_seconds,
        "lethe": table.num_rows / lethe_seconds,
    }))  # fmt: skip


def cpu(work: object) -> float:
    start = time.process_time()
    work()  # type: ignore[operator]
    return time.process_time() - start


def same(out: Path) -> None:
    """Stop unless both engines kept the same documents with the same text."""
    import pyarrow.parquet as pq

    theirs = pq.read_table(out / "stock" / "data", columns=["id", "text"]).combine_chunks()
    for engine in ("lethe", "lethe-cold"):
        ours = pq.read_table(out / engine / "data", columns=["id", "text"]).combine_chunks()
        if not ours.cast(theirs.schema).equals(theirs):
            sys.exit(f"{engine} and stock kept different documents or texts")


ENGINES = {
    "limit": run_limit,
    "lethe": run_lethe,
    "lethe-cold": run_lethe_cold,
    "stock": run_stock,
    "verdicts": run_verdicts,
}

if __name__ == "__main__":
    main()
