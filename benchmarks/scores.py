"""Whether the gate moves a model's benchmark scores: lm-eval's harness on the plain model, then through the gate.

    python benchmarks/scores.py [--model FOLDER --bundle FILE] [--rows 40] [--json]

The same tasks run on the plain model with lm-eval's own ``hf`` class, through `GatedModel`, through ``lethe gate
serve``, and through ``lethe gate proxy`` before that server; the latter two answer only what is generated, an API
with probabilities being one that a filter could be read out of. Nobody listed occurs, so every score and every
single answer must be the same, to the last digit; the exit status is 1 where one is not. Without ``--model`` it is
the tiny Apertus of the tests, and without ``--bundle`` one that lists made-up persons.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import score_tasks  # noqa: E402

from filter.errors import InputError  # noqa: E402

WAYS = ("plain", "library", "server", "proxy")


class Scores(NamedTuple):
    """What came of one task in one way."""

    metrics: dict[str, float]
    answers: tuple[Any, ...]
    """Of each row, in order: what the model said, or what it gave the choices."""


def evaluated(lm: Any, tasks: list[dict[str, Any]]) -> dict[str, Scores]:
    """Run tasks; returns their scores by the task's name."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    found: dict[str, Scores] = {}
    for chat in (False, True):
        some = [task for task in tasks if (task["task"] == score_tasks.CHAT) == chat]
        if not some:
            continue
        said = simple_evaluate(
            lm,
            tasks=some,
            task_manager=TaskManager(include_defaults=False),
            bootstrap_iters=0,
            apply_chat_template=chat,
        )
        for name, results in said["results"].items():
            metrics = {
                key.partition(",")[0]: float(value)
                for key, value in results.items()
                if "," in key and "stderr" not in key
            }
            rows = sorted(said["samples"][name], key=lambda row: row["doc_id"])
            found[name] = Scores(metrics, tuple(row["resps"] for row in rows))
    return found


def plain(model: Any, tokenizer: Any) -> Any:
    """lm-eval's own class."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=8)


def library(gated: Any) -> Any:
    """lm-eval's class with generation through the gate; probabilities come from the gated model's own weights."""
    from lm_eval.models.api_models import JsonChatStr
    from lm_eval.models.huggingface import HFLM

    class GatedLM(HFLM):
        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            found: list[str] = []
            for request in requests:
                prompt, options = request.args
                if isinstance(prompt, JsonChatStr):
                    prompt = json.loads(prompt.prompt)
                assert not options["do_sample"]
                answer = gated.generate(
                    prompt,
                    do_sample=False,
                    max_new_tokens=options["max_gen_toks"],
                    stop=tuple(options["until"]),
                )
                found.append(answer.text)
            return found

        def apply_chat_template(
            self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
        ) -> Any:
            assert add_generation_prompt
            return JsonChatStr(json.dumps(chat_history))  # the gate writes the template itself

    return GatedLM(pretrained=gated.model, tokenizer=gated.tokenizer, batch_size=8)


def served(base: str, name: str) -> Callable[[list[dict[str, Any]]], dict[str, Scores]]:
    """Evaluation through an API."""
    from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

    def run(tasks: list[dict[str, Any]]) -> dict[str, Scores]:
        common = {"model": name, "tokenizer_backend": None, "num_concurrent": 8, "max_retries": 1}
        text = LocalCompletionsAPI(base_url=f"{base}/completions", eos_string="</s>", **common)
        chat = LocalChatCompletion(base_url=f"{base}/chat/completions", eos_string="</s>", **common)
        found: dict[str, Scores] = {}
        for lm, is_chat in ((text, False), (chat, True)):
            some = [
                task
                for task in tasks
                if task["task"] in score_tasks.GENERATED
                and (task["task"] == score_tasks.CHAT) == is_chat
            ]
            found |= evaluated(lm, some)
        return found

    return run


@contextmanager
def command(*arguments: str) -> Iterator[str]:
    """One of Lethe's servers in a process of its own; gives the address that it tells, with ``/v1``.

    Raises:
        InputError: it did not come up.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "lethe", "gate", *arguments, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=HERE.parent,
    )
    assert process.stderr is not None
    told: list[str] = []
    reading: threading.Thread | None = None
    try:
        for line in process.stderr:
            told.append(line)
            if found := re.search(r"(http://[\w.:\[\]]+)(?:/v1)?\b.*Ctrl-C", line):
                break
        else:
            raise InputError(f"lethe gate {arguments[0]} did not come up: {''.join(told).strip()}")
        # Read on, or a full pipe would stop it.
        reading = threading.Thread(target=process.stderr.read)
        reading.start()
        yield f"{found[1]}/v1"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if reading is not None:
            reading.join()
        process.stderr.close()


def compared(
    model: Path, bundle: Path, rows: int, ways: tuple[str, ...] = WAYS
) -> dict[str, dict[str, Scores]]:
    """Scores by way and task.

    Args:
        model: folder of a checkpoint.
        bundle: a bundle's file.
        rows: of each task.
        ways: which of `WAYS`.
    """
    from model_gate.model import GatedModel

    gated = GatedModel.from_pretrained(model, bundle=bundle)
    found: dict[str, dict[str, Scores]] = {}
    with tempfile.TemporaryDirectory() as folder:
        tasks = score_tasks.write(Path(folder), taught(model), rows)
        tasks = [t for t in tasks if t["task"] != score_tasks.CHAT or gated.tokenizer.chat_template]
        if "plain" in ways:
            found["plain"] = evaluated(plain(gated.model, gated.tokenizer), tasks)
        if "library" in ways:
            found["library"] = evaluated(library(gated), tasks)
        if "server" not in ways:
            return found
        options = ("--model", str(model), "--bundle", str(bundle), "--served-model-name", "m")
        with command("serve", *options) as upstream:
            found["server"] = served(upstream, "m")(tasks)
            if "proxy" in ways:
                before = ("--upstream", upstream.removesuffix("/v1"), "--bundle", str(bundle))
                with command("proxy", *before) as address:
                    found["proxy"] = served(address, "m")(tasks)
    return found


def taught(model: Path) -> list[tuple[str, str]]:
    """Questions that a checkpoint was taught, with their answers, if it is the tiny one."""
    from model_gate import tiny, tiny_data

    if model != tiny.cached():
        return []
    harmless = set(tiny.harmless_prompts())
    return [(chat.question, chat.answer) for chat in tiny_data.chats() if chat.question in harmless]


def differences(found: dict[str, dict[str, Scores]]) -> list[str]:
    """Where a way differs from the plain model, a sentence each, without what was said."""
    told = []
    for way, tasks in found.items():
        for task, scores in tasks.items():
            expected = found["plain"][task]
            for metric, value in scores.metrics.items():
                if value != expected.metrics[metric]:
                    told.append(f"{way}: {metric} of {task} differs")
            count = sum(a != b for a, b in zip(scores.answers, expected.answers, strict=True))
            if count:
                told.append(f"{way}: {count} of {len(scores.answers)} answers of {task} differ")
    return told


def table(found: dict[str, dict[str, Scores]]) -> str:
    ways = [way for way in WAYS if way in found]
    lines = ["| task | metric | " + " | ".join(ways) + " |", "|---" * (len(ways) + 2) + "|"]
    for task, scores in found["plain"].items():
        for metric in scores.metrics:
            cells = [
                repr(found[way][task].metrics[metric]) if task in found[way] else "" for way in ways
            ]
            lines.append(f"| {task} | {metric} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def harmless_bundle(folder: Path) -> Path:
    """A bundle of the standard profile that lists made-up persons; what they hash to is invented."""
    from gate_bundle import gate_bundle

    path = folder / "filter.safetensors"
    gate_bundle(1_000).write(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of an Apertus checkpoint")
    parser.add_argument("--bundle", type=Path, help="the bundle to measure with")
    parser.add_argument("--rows", type=int, default=40, help="of each task")
    parser.add_argument("--ways", nargs="+", choices=WAYS[1:], default=WAYS[1:])
    parser.add_argument("--json", action="store_true", help="the scores for a program")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    from model_gate import tiny

    with tempfile.TemporaryDirectory() as folder:
        bundle = arguments.bundle or harmless_bundle(Path(folder))
        model = arguments.model or tiny.cached()
        found = compared(model, bundle, arguments.rows, ("plain", *arguments.ways))
    told = differences(found)
    if arguments.json:
        scores = {w: {t: s.metrics for t, s in tasks.items()} for w, tasks in found.items()}
        print(json.dumps({"scores": scores, "differences": told}))
    else:
        print(table(found))
        print(
            "\n".join(told) or f"\nAll scores and all {arguments.rows} answers of each are equal."
        )
    sys.exit(bool(told))


if __name__ == "__main__":
    main()
