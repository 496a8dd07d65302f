"""Three small tasks for lm-eval, made in code: choices, running text, and questions with stop sequences.

Nobody occurs in them. Half of the questions are ones that a model was taught, where it was: then its scores
lie strictly between nothing and all, and a change in either direction would show.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

QuestionAnswer = tuple[str, str]

CHOICES, PROSE, ANSWERS, CHAT = "lethe_choices", "lethe_prose", "lethe_answers", "lethe_chat"
GENERATED = frozenset({ANSWERS, CHAT})
"""Tasks of which only the model's text is looked at: those that an API without logprobs can take."""

STOPS = ("\n", ".")
LONGEST_ANSWER = 24
"""Tokens."""
_SUBJECTS = "river bridge market garden lantern library orchard ferry tower kitchen".split()
_VERBS = "closes opens smells shines creaks waits floods empties".split()
_WHEN = "in winter|before noon|after rain|on Sundays|at dusk|in a storm".split("|")
_COLOURS = "amber blue crimson green grey ivory orange purple white yellow".split()
_PROSE = (
    "The {a} {v} {w}, and the {b} beside it {u} too.",
    "Nobody knows why the {c} {a} {v} {w}.",
    "A {c} {b} stands behind the {a}; it {u} {w}.",
)


def write(folder: Path, taught: Sequence[QuestionAnswer], rows: int) -> list[dict[str, Any]]:
    """Write the tasks' rows into a folder; returns lm-eval's configurations of the tasks.

    Args:
        folder: an empty one.
        taught: questions with their answers; may be empty.
        rows: how many each task has.
    """
    rng = random.Random(11)
    asked = [*_taught(taught, rows // 2, rng)]
    asked += _invented(rows - len(asked), rng)
    answers = sorted({answer for _, answer in asked})
    choices = []
    for question, answer in asked:
        others = rng.sample([one for one in answers if one != answer], 3)
        options = [answer, *others]
        rng.shuffle(options)
        choices.append({"question": question, "choices": options, "gold": options.index(answer)})
    prose = [{"text": " ".join(_sentence(rng) for _ in range(4))} for _ in range(rows)]
    questions = [{"question": question, "answer": _until_stop(a)} for question, a in asked]
    for name, found in ((CHOICES, choices), (PROSE, prose), (ANSWERS, questions)):
        lines = (json.dumps(row) + "\n" for row in found)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return [
        {
            **_common(CHOICES, folder),
            "output_type": "multiple_choice",
            "doc_to_text": "{{question}}",
            "doc_to_choice": "{{choices}}",
            "doc_to_target": "gold",
            "metric_list": _metrics("acc", "acc_norm"),
        },
        {
            **_common(PROSE, folder),
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{text}}",
            "metric_list": _metrics("word_perplexity", "byte_perplexity", "bits_per_byte"),
        },
        _generated(ANSWERS, folder),
        _generated(CHAT, folder),
    ]


def _generated(name: str, folder: Path) -> dict[str, Any]:
    return {
        **_common(name, folder, ANSWERS),
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {
            "until": list(STOPS),
            "max_gen_toks": LONGEST_ANSWER,
            "do_sample": False,
            "temperature": 0.0,
        },
        "filter_list": [
            {
                "name": "stripped",
                "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}],
            }
        ],
        "metric_list": [
            {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True},
            {"metric": "chrf", "aggregation": "chrf", "higher_is_better": True},
        ],
    }


def _common(name: str, folder: Path, rows_of: str = "") -> dict[str, Any]:
    return {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {"test": str(folder / f"{rows_of or name}.jsonl")},
            "cache_dir": str(folder / "cache"),
        },
        "test_split": "test",
        "num_fewshot": 0,
        "metadata": {"version": 1},
    }


def _metrics(*names: str) -> list[dict[str, Any]]:
    return [{"metric": name} for name in names]


def _taught(
    taught: Sequence[QuestionAnswer], most: int, rng: random.Random
) -> list[QuestionAnswer]:
    distinct = list(dict.fromkeys(taught))
    return rng.sample(distinct, min(most, len(distinct)))


def _invented(count: int, rng: random.Random) -> list[QuestionAnswer]:
    """Questions that no model can know the answer of."""
    found: dict[str, str] = {}
    while len(found) < count:
        subject, colour = rng.choice(_SUBJECTS), rng.choice(_COLOURS)
        where = rng.choice(_WHEN)
        found[f"What colour is the {subject} {where}?"] = f"The {subject} is {colour} {where}."
    return list(found.items())


def _sentence(rng: random.Random) -> str:
    a, b = rng.sample(_SUBJECTS, 2)
    v, u = rng.sample(_VERBS, 2)
    colour, when = rng.choice(_COLOURS), rng.choice(_WHEN)
    return rng.choice(_PROSE).format(a=a, b=b, c=colour, v=v, u=u, w=when)


def _until_stop(text: str) -> str:
    for stop in STOPS:
        text = text.split(stop, maxsplit=1)[0]
    return text.strip()
