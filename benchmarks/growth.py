"""How the costs of the corpus side grow, with documents and with opted-out sites.

::

    python benchmarks/growth.py --json bench-out/growth.json --write           # everything, then docs/growth.*
    python benchmarks/growth.py --documents 10000 --hosts 1000                 # the smallest points alone
    python benchmarks/growth.py --documents --hosts --json FILE --write        # nothing but docs/, from a file

Whole commands are measured, each in a process of its own, imports included: ``optout compile``, ``reconstruct run``
with one worker, ``reconstruct takedown``. CPU is user + system; of several repetitions the smallest counts, because other
work on the machine only adds; memory is the largest resident set that the kernel saw. Every point goes into the JSON
file as soon as it is there, and one that is in it is not measured again: the same command goes on. All folders of a
point are deleted with it; the largest takes 3 GB.

Documents: N made-up ones of 10,000 sites with robots.txt, in files of 50,000. Then 20 sites opt out that stand in one
file, and after that 20 sites that stand in every file. Opted-out sites: 100,000 documents, and a list of H sites of
which always the same 1,000 have documents, so that only the list grows.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled modules are kept, as people have it

from run import machine  # noqa: E402

DOCS = HERE.parent / "docs"
DOCUMENTS = (10_000, 100_000, 1_000_000)
HOSTS = (1_000, 100_000, 1_000_000)
SITES, PER_FILE, FIXED, GOING, CONCERNED = 10_000, 50_000, 100_000, 20, 1_000
TOKENS, OCTETS_PER_TOKEN = 15e12, 4.4
LOOKS = 4
"""Times that each of two takedowns is made that changes no file: little of it grows, so noise must be less."""
MEMORY = 64e9
"""Octets of memory for which the size of a part is computed."""

Figures = dict[str, Any]

# -- inputs; made in processes of their own, because a process begins with the peak of who starts it ----


def make_corpus(folder: Path, documents: int) -> None:
    """``in/corpus/*.parquet``, ``in/robots.parquet`` and ``sites.txt`` in ``folder``."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from synthetic import make

    (folder / "in/corpus").mkdir(parents=True)
    octets = 0
    for number, begin in enumerate(range(0, documents, PER_FILE)):
        piece = folder / "piece"
        make(piece, min(PER_FILE, documents - begin), SITES, seed=7 + number)
        table = pq.read_table(piece / "corpus/000.parquet")
        octets += pc.sum(pc.binary_length(table["text"])).as_py()
        if not number:
            (piece / "robots.parquet").rename(folder / "in/robots.parquet")
            table = with_gathered(table)
        target = folder / f"in/corpus/{number:04}.parquet"
        pq.write_table(table, target, compression="zstd", row_group_size=1000)
        shutil.rmtree(piece)
    sites = pq.read_table(folder / "in/robots.parquet", columns=["domain"])["domain"].to_pylist()
    (folder / "sites.txt").write_text("\n".join(sites))
    print(json.dumps({"octets": octets}))


def with_gathered(table: Any) -> Any:
    """200 documents, here and there in the file, are of 20 sites that no other file has."""
    import pyarrow as pa

    urls = table["url"].to_pylist()
    for count, row in enumerate(range(0, len(urls), len(urls) // 200)):
        urls[row] = f"https://gathered{count % GOING}.example/{row}.html"
    return table.set_column(table.schema.get_field_index("url"), "url", pa.array(urls))


def open_policy(path: Path) -> None:
    """Open the policy at ``path`` as a single process does, then as the workers of a run do."""
    import resource

    from pipeline.optout.policy import OptOutPolicy
    from pipeline.optout.ready import made_ready

    def cpu(work: Any) -> float:
        begin = time.process_time()
        work()
        return time.process_time() - begin

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    alone = cpu(lambda: OptOutPolicy.open(path))
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        folder = Path(temporary) / "ready"
        ready = cpu(lambda: made_ready(path, folder))
        mapped = min(cpu(lambda: OptOutPolicy.open(path, folder)) for _ in range(5))
        size = sizes(folder)
    print(
        json.dumps(
            {"open": alone, "memory": memory, "ready": ready, "mapped": mapped, "size": size}
        )
    )


def index_memory(corpus: Path, documents: int) -> None:
    """Octets for each document that making the index takes at its peak.

    So that they stand out, all files are counted four times in the end.
    """
    import resource

    from pipeline.reconstruct import index
    from pipeline.reconstruct.folder import Folder

    names = sorted(path.name for path in (corpus / "ledger").glob("*.parquet"))
    peaks = []
    for times in (1, 4):
        index.write(Folder(str(corpus)), names * times)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    print(json.dumps({"index_memory": (peaks[1] - peaks[0]) / (3 * documents)}))


def sizes(path: Path) -> int:
    """Octets of all files at or below ``path``."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


# -- commands ----------------------------------------------------------------------------------


def measured(*command: str) -> tuple[Figures, Figures]:
    """What a Python command that must succeed cost, and the JSON that it printed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        begin = time.perf_counter()
        process = subprocess.Popen([sys.executable, *command], stdout=out, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), errors.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{errors.read().decode()[-2000:]}")
        said = json.loads(out.read())
    cost = {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "memory": usage.ru_maxrss * 1024}
    return cost, said


def child(*arguments: str) -> Figures:
    return measured(str(HERE / "growth.py"), *arguments)[1]


def compiled(folder: Path, name: str, hosts: Iterable[str]) -> tuple[Figures, str]:
    """A policy of the robots.txt files and an opt-out list of ``hosts``."""
    out, listed = folder / f"{name}.parquet", folder / f"{name}.jsonl"
    common = {"scope": "domain", "effective": "2026-01-01", "origin": "benchmark"}
    with listed.open("w") as lines:
        for number, host in enumerate(hosts):
            entry = {**common, "value": host, "request_id": f"r-{number}"}
            lines.write(json.dumps(entry) + "\n")
    options = ["--robots", str(folder / "in/robots.parquet"), "--optouts", str(listed)]
    options += ["--as-of", "2026-01-01", "--out", str(out), "--json"]
    cost, _ = measured("-m", "lethe", "optout", "compile", *options)
    return cost, str(out)


def rebuilt(folder: Path, policy: str, out: str) -> Figures:
    options = ["--input", str(folder / "in/corpus"), "--policy", policy, "--out", str(folder / out)]
    return measured(
        "-m", "lethe", "reconstruct", "run", "fineweb", *options, "--workers", "1", "--json"
    )[0]


def taken_down(corpus: Path, policy: str) -> Figures:
    cost, said = measured(
        "-m", "lethe", "reconstruct", "takedown", str(corpus), "--policy", policy, "--json"
    )
    return {**cost, "gone": said["documents_gone"], "files": said["files"]}


def better(one: Figures | None, other: Figures) -> Figures:
    """Of two repetitions: the smaller times, the larger memory."""
    if one is None:
        return other
    times = {key: min(one[key], other[key]) for key in ("cpu", "wall")}
    return {**other, **times, "memory": max(one["memory"], other["memory"])}


def chosen(folder: Path, count: int) -> list[str]:
    """So many sites that have documents, drawn by chance."""
    sites = (folder / "sites.txt").read_text().split()
    return random.Random(count).sample(sites, count)


# -- points ------------------------------------------------------------------------------------


def by_documents(folder: Path, documents: int, repeat: int) -> Figures:
    found: Figures = {
        "machine": machine(),
        **child("--make", str(documents), "--out", str(folder)),
    }
    gathered = [f"gathered{number}.example" for number in range(GOING)]
    for _ in range(repeat):
        shutil.rmtree(folder / "base", ignore_errors=True)
        cost, old = compiled(folder, "old", [])
        found["compile"] = better(found.get("compile"), cost)
        found["run"] = better(found.get("run"), rebuilt(folder, old, "base"))
        found["sizes"] = {
            part: sizes(folder / "base" / part)
            for part in ("data", "ledger", "index/hosts.parquet", "index/ids.parquet", "state")
        } | {"input": sizes(folder / "in/corpus")}
        _, one = compiled(folder, "one", gathered)
        cost = taken_down(folder / "base", one)
        found["takedown_one"] = better(found.get("takedown_one"), cost)
        _, spread = compiled(folder, "spread", [*gathered, *chosen(folder, GOING)])
        cost = taken_down(folder / "base", spread)
        found["takedown"] = better(found.get("takedown"), cost)
    gone = [*gathered, *chosen(folder, GOING)]
    absent = [
        compiled(folder, name, [*gone, *(f"{name}{number}.example" for number in range(GOING))])[1]
        for name in ("far", "away")
    ]
    for policy in absent * LOOKS:
        cost = taken_down(folder / "base", policy)
        found["takedown_none"] = better(found.get("takedown_none"), cost)
    return found | child("--index", str(documents), "--out", str(folder / "base"))


def by_hosts(folder: Path, counts: Sequence[int], repeat: int, done: Figures) -> Iterable[Figures]:
    """One point for each of the lengths of the list; 0 is the policy before."""
    child("--make", str(FIXED), "--out", str(folder))
    concerned = chosen(folder, CONCERNED)
    _, old = compiled(folder, "old", [])
    base = rebuilt(folder, old, "base")
    if "0" not in done:
        yield {"hosts": 0, "machine": machine(), "run": base, **policy_figures(folder, "old", [])}
    for count in counts:
        others = (f"elsewhere{number}.example" for number in range(count - CONCERNED))
        found = {"hosts": count, "machine": machine()}
        found |= policy_figures(folder, "new", [*concerned, *others])
        new = str(folder / "new.parquet")
        for _ in range(repeat):
            for name in ("again", "taken"):
                shutil.rmtree(folder / name, ignore_errors=True)
            found["run"] = better(found.get("run"), rebuilt(folder, new, "again"))
            subprocess.run(["cp", "-r", folder / "base", folder / "taken"], check=True)
            cost = taken_down(folder / "taken", new)
            found["takedown"] = better(found.get("takedown"), cost)
        states = [
            {path.name: path.read_bytes() for path in (folder / name / "state").iterdir()}
            for name in ("again", "taken")
        ]
        assert states[0] == states[1], "run and takedown differ"
        yield found


def policy_figures(folder: Path, name: str, hosts: Iterable[str]) -> Figures:
    cost, policy = compiled(folder, name, hosts)
    opened = child("--open", policy)
    return {"compile": cost, "size": sizes(Path(policy)), "opened": opened}


def measure(arguments: argparse.Namespace) -> None:
    target: Path = arguments.json
    target.parent.mkdir(parents=True, exist_ok=True)
    held: Figures = json.loads(target.read_text()) if target.exists() else {}
    series = {part: held.setdefault(part, {}) for part in ("documents", "hosts")}

    def keep(part: str, at: int, found: Figures) -> None:
        series[part][str(at)] = found
        target.write_text(json.dumps(held, indent=1))
        costs = {
            n: f"{c['cpu']:.2f} s, {c['memory'] / 1e6:.0f} MB"
            for n, c in found.items()
            if is_cost(c)
        }
        print(f"{at:,} {part}: {costs}", flush=True)

    def empty() -> Path:
        shutil.rmtree(arguments.out, ignore_errors=True)
        return arguments.out

    for documents in arguments.documents:
        if str(documents) not in series["documents"]:
            keep("documents", documents, by_documents(empty(), documents, arguments.repeat))
    missing = [count for count in arguments.hosts if str(count) not in series["hosts"]]
    if missing:
        for found in by_hosts(empty(), missing, arguments.repeat, series["hosts"]):
            keep("hosts", found.pop("hosts"), found)
    shutil.rmtree(arguments.out, ignore_errors=True)
    if arguments.write:
        (DOCS / "growth.md").write_text(page(held), encoding="utf-8")
        (DOCS / "growth.svg").write_text(plot(held), encoding="utf-8")


def is_cost(value: object) -> bool:
    return isinstance(value, dict) and "cpu" in value


# -- docs/growth.md ----------------------------------------------------------------------------


def octets(value: float) -> str:
    """``1.23 GB``: three digits, powers of a thousand."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    return f"{significant(value)} {unit}"


def significant(value: float) -> str:
    """Three digits that count, thousands parted."""
    if not value:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    digits = round(value, 2 - math.floor(math.log10(abs(value))))
    return f"{digits:,.{decimals}f}"


def numerous(value: float) -> str:
    size, name = (1e9, "billion") if value >= 1e9 else (1e6, "million")
    return f"{significant(value / size)} {name}"


def duration(seconds: float) -> str:
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{significant(seconds / size)} {unit}"
    return f"{significant(seconds)} s"


def points(held: Figures, part: str) -> list[tuple[int, Figures]]:
    return sorted((int(at), found) for at, found in held[part].items())


def table(title: str, columns: Sequence[int], rows: Iterable[tuple[str, Iterable[str]]]) -> str:
    lines = [f"| {title} | " + " | ".join(f"{n:,}" for n in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    lines += [f"| {name} | " + " | ".join(values) + " |" for name, values in rows]
    return "\n".join(lines)


def seconds(found: Sequence[Figures], name: str) -> list[str]:
    return [f"{significant(one[name]['cpu'])} s" if name in one else "" for one in found]


def memory(found: Sequence[Figures], name: str) -> list[str]:
    return [octets(one[name]["memory"]) if name in one else "" for one in found]


def documents_table(held: Figures) -> str:
    counts = [count for count, _ in points(held, "documents")]
    found = [one for _, one in points(held, "documents")]

    def each(part: str) -> list[str]:
        parts = ("index/hosts.parquet", "index/ids.parquet") if part == "index" else (part,)
        totals = [sum(one["sizes"][p] for p in parts) for one in found]
        return [f"{significant(total / n)} B" for total, n in zip(totals, counts, strict=True)]

    per_document = [
        f"{significant(1e6 * one['run']['cpu'] / n)} us"
        for n, one in zip(counts, found, strict=True)
    ]
    rows = [
        ("text", [octets(one["octets"]) for one in found]),
        ("**compile**, CPU", seconds(found, "compile")),
        ("**run**, CPU", seconds(found, "run")),
        ("run, CPU a document", per_document),
        ("run, wall clock", [duration(one["run"]["wall"]) for one in found]),
        ("**takedown** of 20 sites that have no document here, CPU", seconds(found, "takedown_none")),
        ("takedown of 20 sites in one file, CPU", seconds(found, "takedown_one")),
        ("takedown of 20 sites in all files, CPU", seconds(found, "takedown")),
        ("files, documents of those that went", [f"{one['takedown']['files']}, {one['takedown']['gone']:,}" for one in found]),
        ("compile, peak memory", memory(found, "compile")),
        ("run, peak memory", memory(found, "run")),
        ("takedown in all files, peak memory", memory(found, "takedown")),
        ("input, octets a document", each("input")),
        ("data, octets a document of the input", each("data")),
        ("ledger, octets a document", each("ledger")),
        ("index, octets a document", each("index")),
    ]  # fmt: skip
    return table("documents", counts, rows)


def hosts_table(held: Figures) -> str:
    counts = [count for count, _ in points(held, "hosts")]
    found = [one for _, one in points(held, "hosts")]
    nothing = next((one["size"] for count, one in points(held, "hosts") if not count), 0)
    opened = [one["opened"] for one in found]
    rows = [
        ("**compile**, CPU", seconds(found, "compile")),
        ("**run**, CPU", seconds(found, "run")),
        ("**takedown** from the policy without the list, CPU", seconds(found, "takedown")),
        ("documents that went", [f"{one['takedown']['gone']:,}" if "takedown" in one else "" for one in found]),
        ("compile, peak memory", memory(found, "compile")),
        ("run, peak memory", memory(found, "run")),
        ("takedown, peak memory", memory(found, "takedown")),
        ("policy file", [octets(one["size"]) for one in found]),
        ("of it, octets a listed site", [significant((one["size"] - nothing) / n) if n else "" for n, one in zip(counts, found, strict=True)]),
        ("opening it in a process of its own, CPU", [f"{significant(one['open'])} s" for one in opened]),
        ("memory that this takes at its peak", [octets(one["memory"]) for one in opened]),
        ("making it ready for the workers of a run, once, CPU", [f"{significant(one['ready'])} s" for one in opened]),
        ("what they map", [octets(one["size"]) for one in opened]),
        ("mapping it, CPU", [f"{significant(1000 * one['mapped'])} ms" for one in opened]),
    ]  # fmt: skip
    return table("listed sites", counts, rows)


class Extrapolated:
    """Straight lines through the two largest corpora, for so many tokens."""

    def __init__(self, held: Figures) -> None:
        if len(points(held, "documents")) < 2 or len(points(held, "hosts")) < 2:
            sys.exit("--write needs two points of each series at least: measure them first.")
        (self.few, one), (self.many, other) = points(held, "documents")[-2:]
        if other["takedown"]["files"] < 2:
            sys.exit(f"--write needs a corpus of several files: more than {PER_FILE:,} documents.")

        def slope(name: str, what: str) -> float:
            return max(0.0, other[name][what] - one[name][what]) / (self.many - self.few)

        self.document = other["octets"] / self.many
        self.documents = TOKENS * OCTETS_PER_TOKEN / self.document
        self.files = self.documents / PER_FILE
        self.run = slope("run", "cpu")
        self.index_memory = other["index_memory"]
        self.looking = slope("takedown_none", "cpu")
        self.start = max(0.0, other["takedown_none"]["cpu"] - self.looking * self.many)
        more = other["takedown"]["cpu"] - other["takedown_none"]["cpu"]
        self.touched = max(0.0, more) / other["takedown"]["files"]
        self.each = {part: size / self.many for part, size in other["sizes"].items()}
        self.each["index"] = self.each["index/hosts.parquet"] + self.each["index/ids.parquet"]
        self.parts = math.ceil(self.documents * self.index_memory / MEMORY)

    def takedown(self, documents: float, touched: float) -> float:
        """CPU seconds of a takedown of sites in so many files of a corpus."""
        return self.start + self.looking * documents + self.touched * touched


def extrapolation(held: Figures) -> str:
    x = Extrapolated(held)
    rows = [
        ("documents", f"15e12 x {OCTETS_PER_TOKEN} / {x.document:,.0f}", numerous(x.documents)),
        ("tokens a document", f"{x.document:,.0f} / {OCTETS_PER_TOKEN}", f"{x.document / OCTETS_PER_TOKEN:,.0f}"),
        ("text", f"15e12 x {OCTETS_PER_TOKEN}", octets(TOKENS * OCTETS_PER_TOKEN)),
        (f"files of {PER_FILE:,} documents", f"documents / {PER_FILE:,}", f"{significant(x.files)} of {octets(PER_FILE * x.each['input'])}"),
        ("a run", f"documents x {significant(1e6 * x.run)} us / 3,600", f"{significant(x.documents * x.run / 3600)} core-hours"),
        ("data", f"documents x {significant(x.each['data'])} B", octets(x.documents * x.each["data"])),
        ("ledgers", f"documents x {significant(x.each['ledger'])} B", octets(x.documents * x.each["ledger"])),
        ("index", f"documents x {significant(x.each['index'])} B", octets(x.documents * x.each["index"])),
        ("memory to make it", f"documents x {significant(x.index_memory)} B", octets(x.documents * x.index_memory)),
        (f"hence parts, each within {MEMORY / 1e9:g} GB", f"memory / {MEMORY / 1e9:g} GB", f"{x.parts:,} of {numerous(x.documents / x.parts)} documents"),
    ]  # fmt: skip
    lines = ["| | arithmetic | |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {how} | {what} |" for name, how, what in rows)])


def takedowns(held: Figures) -> str:
    x = Extrapolated(held)
    documents, files = x.documents / x.parts, x.files / x.parts
    steps = [n for n in (1, 20, 1_000, 10_000, 100_000) if n < files] + [round(files)]
    lines = [
        "| files with a document of the 20 sites | a part | of it, in these files |",
        "|---|---|---|",
    ]
    for n in steps:
        whole, own = x.takedown(documents, n), x.touched * n
        lines.append(f"| {n:,} | {duration(whole)} | {duration(own)} |")
    return "\n".join(lines)


def unfinished(held: Figures) -> str:
    """A warning where the largest sizes are not there: what small corpora say of slopes is mostly noise."""
    wanted = {"documents": DOCUMENTS, "hosts": HOSTS}
    if all(str(count) in held[part] for part, counts in wanted.items() for count in counts):
        return ""
    return (
        "\n\n**Preliminary**: the largest sizes are not measured yet, and start-up and noise are most of what "
        "the small ones\nsay. What is computed from them below will change."
    )


def page(held: Figures) -> str:
    x = Extrapolated(held)
    machines = sorted(
        {one["machine"] for part in ("documents", "hosts") for _, one in points(held, part)}
    )
    most, last = points(held, "hosts")[-1]
    return f"""# How the costs grow

Written by `benchmarks/growth.py --write`. {"; ".join(machines)}. Made-up documents of {x.document / 1000:.1f} kB in files of
{PER_FILE:,}, of {SITES:,} sites with robots.txt, as `benchmarks/synthetic.py` makes them: zstd takes as long for them as for web pages.
Whole commands, each in a process of its own, imports included. CPU is user + system time, of several repetitions the smallest;
memory is the largest resident set. Runs have one worker and the recipe `fineweb`.{unfinished(held)}

![CPU seconds against documents, and against listed sites](growth.svg)

Both axes are logarithmic. Takedowns are, on the left, of 20 sites in all files; on the right, of {CONCERNED:,} of {SITES:,} sites.

## With documents

{documents_table(held)}

The first 20 sites have 200 documents, all in one file; the other 20 have documents in every file.

## With opted-out sites

{FIXED:,} documents; an opt-out list of so many sites, of which always the same {CONCERNED:,} have documents here. So only the list grows,
not what is taken down. What `takedown` left was compared with what `run` with the same policy made: the states of all files are equal,
and with them the SHA-256 of data and ledgers.

{hosts_table(held)}

Opening includes what its first use loads of libraries.

## What grows with what

**Compiling** does not know the corpus. It grows with the octets of the snapshot, of which each distinct body is parsed once, and with the
entries of the list. All sources are in memory until they are written. An entry is a source of its own, with its hash, request
and line, so the policy file grows with the list.

**A run** grows with the octets of text: everything is read, scanned and compressed once, in chunks of 2,000 documents. It hardly grows with the
policy, which is made ready once (its sites are sorted by hash); a site that was not met yet is found by binary search in a mapped table. One process
ends a run, however many workers it had: the index sorts 64 bits of every id in memory; manifest, card and provenance read the state of
every file.

**A takedown** grows with four things, each of them linear:

- the two policies, which are compared row group by row group; those that are not the same in both are decoded;
- the row groups of the index in which a wanted site may stand;
- the files in which it does: their ledgers are decoded; where documents go, the file is copied and hashed, and only the pages of texts
  that had one of them are made anew;
- all files, because manifest, card and provenance read their states; no other ledger and no other data are opened.

Which files are concerned decides. Sites of which every file has documents, as in a shuffled corpus, are the worst case. The best is a
corpus whose files are ordered by site.

## Fifteen trillion tokens

**Extrapolated, not measured**: straight lines through the corpora of {x.few:,} and {x.many:,} documents, on the machine above. A token is taken to have
{OCTETS_PER_TOKEN} octets, as in English; that is an assumption, and other languages and tokenizers have fewer or more. T tokens of w octets, in
documents of b octets, are T x w / b documents. Reading, scanning and compressing go with octets, verdicts and ledgers with documents; the
line takes b as it is here.

{extrapolation(held)}

It is the index that makes parts necessary, because one process sorts it in memory. A part is a folder with a run of its own, one crawl
say. Workers share the rest of a run, file by file, so its hours are divided by as many cores as there are. Disks, networks and object
stores were not measured.

A takedown of 20 sites from one of these parts takes, in CPU time of one process,
{significant(x.start)} s + {significant(1e6 * x.looking)} us x documents + {significant(x.touched)} s x files with a document of them:

{takedowns(held)}

Parts can be taken down at the same time. To open a policy with {most:,} listed sites takes a process of its own {significant(last["opened"]["open"])} s,
and each worker of a run {significant(1000 * last["opened"]["mapped"])} ms, once that is made ready.

What these lines leave out: here {SITES:,} sites have all documents, in a corpus of more sites the ledgers compress less and the index names more; real
robots.txt files are longer; more markers and more opt-outs mean more work for each document; files that are not in the page cache are
read at the speed of the disk.
"""


# -- docs/growth.svg ---------------------------------------------------------------------------

STYLE = """<style>
.back{fill:#fff}.text{fill:#222}.soft{fill:#666}.grid{stroke:#e4e4e4}.axis{stroke:#888}
.run{color:#1f5fa8}.takedown{color:#b8480c}.compile{color:#2c7a3f}
@media (prefers-color-scheme:dark){.back{fill:#0d1117}.text{fill:#e6edf3}.soft{fill:#9aa4af}.grid{stroke:#262c36}
.axis{stroke:#6b7480}.run{color:#6cb0f5}.takedown{color:#f59a5f}.compile{color:#6cc784}}
</style>"""
LINES = ("run", "takedown", "compile")
LEFT, TOP, WIDTH, HEIGHT, APART = 62, 56, 270, 220, 420
"""The first panel; the second stands so far to the right."""


def plot(held: Figures) -> str:
    """Two panels in SVG, both axes logarithmic: CPU seconds against documents, against listed sites."""
    series = {part: [p for p in points(held, part) if p[0]] for part in ("documents", "hosts")}
    spent = [one[name]["cpu"] for found in series.values() for _, one in found for name in LINES]
    span = (math.floor(math.log10(min(spent))), math.ceil(math.log10(max(spent))))
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 840 330" width="840" height="330">',
        '<g font-family="system-ui, sans-serif" font-size="12">',
        STYLE,
        '<rect class="back" width="840" height="330"/>',
    ]
    titles = ("documents", "listed sites")
    for number, (found, title) in enumerate(zip(series.values(), titles, strict=True)):
        parts += panel(LEFT + APART * number, title, found, span)
    return "\n".join([*parts, "</g></svg>", ""])


def panel(
    left: int, title: str, found: list[tuple[int, Figures]], span: tuple[int, int]
) -> list[str]:
    low, high = (math.log10(found[at][0]) for at in (0, -1))
    bottom, right = TOP + HEIGHT, left + WIDTH

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - low) / (high - low or 1)
        up = (math.log10(y) - span[0]) / (span[1] - span[0])
        return left + WIDTH * across, bottom - HEIGHT * up

    parts = [
        f'<text class="text" x="{left}" y="26" font-weight="600">CPU seconds against {title}</text>'
    ]
    for power in range(span[0], span[1] + 1):
        _, y = place(found[0][0], 10.0**power)
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{right}"/>')
        parts.append(
            f'<text class="soft" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>'
        )
    for power in range(math.ceil(low), math.floor(high) + 1):
        x, _ = place(10.0**power, 1)
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>')
        parts.append(
            f'<text class="soft" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{10**power:,}</text>'
        )
    parts.append(f'<path class="axis" d="M{left} {TOP}V{bottom}H{right}" fill="none"/>')
    parts.append(
        f'<text class="soft" x="{left + WIDTH / 2}" y="{bottom + 38}" text-anchor="middle">{title}</text>'
    )
    parts.append(f'<text class="soft" x="{left - 8}" y="{TOP - 12}" text-anchor="end">s</text>')
    ends: list[tuple[float, str]] = []
    for name in LINES:
        where = [place(at, one[name]["cpu"]) for at, one in found]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in where)
        parts.append(f'<g class="{name}" fill="currentColor" stroke="currentColor">')
        parts.append(f'<polyline points="{line}" fill="none" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in where]
        parts.append("</g>")
        ends.append((where[-1][1], name))
    lowest = -math.inf
    for y, name in sorted(ends):  # names at the ends of lines, none over another
        lowest = max(y, lowest + 15)
        parts.append(
            f'<text class="{name}" fill="currentColor" x="{right + 10}" y="{lowest + 4:.1f}">{name}</text>'
        )
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--documents", type=int, nargs="*", default=DOCUMENTS)
    parser.add_argument(
        "--hosts", type=int, nargs="*", default=HOSTS, help=f"at least {CONCERNED:,}"
    )
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("bench-out/growth"), help="emptied")
    parser.add_argument("--json", type=Path, default=Path("bench-out/growth.json"), help="added to")
    parser.add_argument("--write", action="store_true", help="into docs/")
    parser.add_argument("--make", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--index", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if min(arguments.hosts, default=CONCERNED) < CONCERNED:
        parser.error(f"--hosts: at least {CONCERNED:,}")
    if min(arguments.documents, default=1_000) < 1_000:
        parser.error("--documents: at least 1,000")
    if arguments.make:
        make_corpus(arguments.out, arguments.make)
    elif arguments.index:
        index_memory(arguments.out, arguments.index)
    elif arguments.open:
        open_policy(arguments.open)
    else:
        measure(arguments)


if __name__ == "__main__":
    main()
