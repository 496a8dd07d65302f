"""What the gate costs: ``make bench`` prints it, ``--write`` puts the tables into ``docs/gate-performance.md``.

    python benchmarks/gate.py [--only decoding stream proxy] [--rounds 7] [--write] [--quick]

Three ways of decoding take turns in one process: transformers' ``generate`` round by round, our loop without a filter
and our loop with it step by step; of these two the differences of neighbouring steps are what counts. The filter reads real web pages (made-up
sentences where ``../shared/data`` has none) token by token, whatever the model draws, so that it has the
work that it has in use, and the weights need not be trained; nobody listed occurs in them. The bundle is of the
standard profile and lists 100,000 phrases.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import torch  # noqa: E402
from gate_decoding import GATED, LOOP, PLAIN, Cost, cost, made, shapes  # noqa: E402
from gate_proxy import Proxied, proxied  # noqa: E402
from gate_text import Text, filtering, held, reading_matter  # noqa: E402
from run import machine  # noqa: E402

DOCUMENT = HERE.parent / "docs" / "gate-performance.md"
PARTS = ("decoding", "stream", "proxy")


def table(header: str, rows: list[list[str]]) -> str:
    lines = [f"| {header} |", "|---" * (header.count("|") + 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def decoding(costs: list[Cost]) -> str:
    rows = []
    for one in costs:
        added = 100 * (one.ratio - 1)
        rows.append(
            [
                one.shape,
                str(one.batch),
                *(
                    f"{one.step[way]:.2f}" if way in one.step else ""
                    for way in (PLAIN, LOOP, GATED)
                ),
                " / ".join(
                    f"{1000 * found / one.batch:.0f}" for found in (one.work, one.alone, one.cold)
                ),
                f"{added:+.1f} %",
                f"{100 * (one.against_generate - 1):+.1f} %" if one.against_generate else "",
                f"{100 * one.hidden:.0f} %" if one.hidden is not None else "",
                f"{100 * one.spread / one.step[LOOP]:.1f} %",
            ]
        )
    return table(
        "model | batch | `generate`, ms a step | our loop | with the filter | the gate's work, us a token: in the loop / alone / alone, caches emptied "
        "| filter against none | against `generate` | hidden | noise",
        rows,
    )


def single(text: Text) -> str:
    spent, waited = filtering(text), held(text)
    rows = [
        [f"`{name.partition(',')[0]}`{name.partition('push')[2]}", f"{us:.1f} us a token"]
        for name, us in spent.items()
    ]
    rows += [
        ["held back, mean", f"{waited.mean:.2f} tokens"],
        ["held back, median", f"{waited.median} tokens"],
        ["held back, 99th percentile", f"{waited.p99} tokens"],
        ["held back, mean", f"{waited.octets:.1f} characters"],
        ["characters of a token, mean", f"{text.characters:.2f}"],
    ]
    return table("one stream | ", rows)


def beside(found: Proxied) -> str:
    return table(
        "the proxy | ",
        [
            ["characters a second on one core", f"{found.characters_a_cpu_second:,.0f}"],
            ["CPU time for a chunk of one token", f"{found.chunk_us:.0f} us"],
            ["from the engine to the client, directly, median", f"{found.direct_ms:.2f} ms"],
            ["through the proxy, median", f"{found.through_ms:.2f} ms"],
            ["directly, 95th percentile", f"{found.direct_p95_ms:.2f} ms"],
            ["through the proxy, 95th percentile", f"{found.through_p95_ms:.2f} ms"],
        ],
    )


def machine_line(text: Text, quick: bool) -> str:
    import transformers

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    report = text.guard.in_force().bundle.report
    count = sum(report.stored.values()) if report is not None else 0
    return (
        f"{machine()}{gpu}, torch {torch.__version__.partition('+')[0]}, transformers "
        f"{transformers.__version__}, {torch.get_num_threads()} thread(s) of torch's. The bundle stores "
        f"{count:,} codes.{' A quick run: no figures.' if quick else ''}\n\n"
    )


def of_decoding(text: Text, quick: bool, rounds: int) -> str:
    costs: list[Cost] = []
    for shape in shapes(quick):
        model: Any = made(shape, len(text.vocabulary.octets))
        for batch in shape.batches:
            costs.append(cost(shape, model, text, batch, rounds))
            print(json.dumps(costs[-1]._asdict()), flush=True)
        del model
    return decoding(costs)


def of_proxy(text: Text) -> str:
    words = text.vocabulary.detokeniser()
    pieces = [[words.push(token) for token in script] for script in text.scripts[:8]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "filter.safetensors"
        text.guard.in_force().bundle.write(path)
        return beside(proxied(pieces, path))


def written(page: str, part: str, found: str) -> str:
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    head, _, rest = page.partition(begin)
    return f"{head}{begin}\n{found}\n{end}{rest.partition(end)[2]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--rounds", type=int, default=0, help="7, or 3 of a quick run")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts")
    parser.add_argument("--write", action="store_true", help="into docs/")
    arguments = parser.parse_args()
    quick, rounds = arguments.quick, arguments.rounds or (3 if arguments.quick else 7)
    text = reading_matter(quick)
    measures = {
        "decoding": lambda: of_decoding(text, quick, rounds),
        "stream": lambda: single(text),
        "proxy": lambda: of_proxy(text),
    }
    for part in arguments.only:
        found = measures[part]()
        found = f"{machine_line(text, quick)}{found}"
        print(f"\n{found}", flush=True)
        if arguments.write:
            page = written(DOCUMENT.read_text(encoding="utf-8"), part, found)
            DOCUMENT.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
