"""What opening a policy costs: time, and memory that processes do not share.

::

    python benchmarks/policy_opening.py --hosts 300000 --workers 1 2 4

Makes a policy over so many invented hosts, then lets that many processes open it and decide the same
eight batches of 2,000 URLs, and sums up their memory while all of them are there. Memory is PSS: pages
that several processes have in common count once in the sum. Printed as Markdown; the figures are in
docs/policy.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import tempfile
import time
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from synthetic import robots

BATCHES, ROWS = 8, 2000


def compiled(folder: Path, hosts: int) -> Path:
    """A policy over invented robots.txt files; made once."""
    from pipeline.optout.agents import resolve
    from pipeline.optout.compile import PolicyCompiler
    from pipeline.optout.spec import named

    path = folder / f"policy-{hosts}.parquet"
    if path.exists():
        return path
    rng = random.Random(7)
    names = [f"www.site{i}.example" if i % 3 else f"site{i}.example" for i in range(hosts)]
    snapshot = {"domain": names, "content": [robots(rng, i) for i in range(hosts)]}
    pq.write_table(pa.table(snapshot), folder / "robots.parquet")
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), date(2026, 1, 1))
    compiler.add_snapshot(folder / "robots.parquet")
    compiler.finish(path)
    return path


def batches(hosts: int) -> list[pa.Array]:
    """URLs of which half lead to hosts of the policy."""
    rng = random.Random(11)
    found = []
    for _ in range(BATCHES):
        sites = [rng.randrange(2 * hosts) for _ in range(ROWS)]
        urls = [f"https://www.site{s}.example/{rng.choice('abc')}/{s}.html" for s in sites]
        found.append(pa.array(urls))
    return found


def pss() -> int:
    """Octets of this process, shared pages in shares."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this kernel does not tell the PSS")


def worker(path: Path, ready: Path | None, hosts: int, parent: Connection) -> None:
    """Open, decide, say how long that took; then, when all are there, how much memory it holds."""
    from pipeline.optout.policy import OptOutPolicy

    urls = batches(hosts)
    parent.send(None)
    parent.recv()
    before = pss()
    begin = time.perf_counter()
    policy = OptOutPolicy.open(path) if ready is None else OptOutPolicy.open(path, ready)
    opened = time.perf_counter()
    kept = sum(int(policy.decide(None, batch).keep.sum()) for batch in urls)
    decided = time.perf_counter()
    parent.send((opened - begin, decided - opened, kept))
    parent.recv()
    parent.send(pss() - before)
    parent.recv()


def measured(path: Path, ready: Path | None, hosts: int, count: int) -> tuple[float, float, int]:
    """Seconds to open and to decide (the slowest process), and memory of all processes together."""
    context = multiprocessing.get_context("spawn")
    ends, processes = [], []
    for _ in range(count):
        ours, theirs = context.Pipe()
        process = context.Process(target=worker, args=(path, ready, hosts, theirs), daemon=True)
        process.start()
        ends.append(ours)
        processes.append(process)
    answers: list[list[object]] = []
    for _ in range(3):
        answers.append([end.recv() for end in ends])
        for end in ends:
            end.send(None)
    for process in processes:
        process.join()
    times = [t for t in answers[1] if isinstance(t, tuple)]
    assert len({kept for *_, kept in times}) == 1
    memory = sum(m for m in answers[2] if isinstance(m, int))
    return max(t[0] for t in times), max(t[1] for t in times), memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=300_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--folder", type=Path, help="where the policy is kept for the next time")
    parser.add_argument("--ways", nargs="+", default=["alone", "shared"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        path = compiled(folder, arguments.hosts)
        print(f"{arguments.hosts} hosts, policy file {path.stat().st_size / 1e6:.1f} MB\n")
        ready: Path | None = None
        if "shared" in arguments.ways:
            from pipeline.optout.ready import made_ready

            begin = time.perf_counter()
            ready = made_ready(path, Path(temporary) / "ready")
            size = sum(p.stat().st_size for p in ready.rglob("*") if p.is_file())
            print(f"ready form: {size / 1e6:.1f} MB in {time.perf_counter() - begin:.2f} s\n")
        print("| way | processes | open | decide 16,000 | memory of all (PSS) |")
        print("|---|---|---|---|---|")
        for way in arguments.ways:
            for count in arguments.workers:
                where = ready if way == "shared" else None
                opened, decided, memory = measured(path, where, arguments.hosts, count)
                print(
                    f"| {way} | {count} | {1000 * opened:.0f} ms | {1000 * decided:.0f} ms | {memory / 1e6:.0f} MB |"
                )


if __name__ == "__main__":
    main()
