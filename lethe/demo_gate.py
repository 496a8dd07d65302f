"""The ending of ``lethe demo``: a model that tells what it has memorised, and the gate before it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lethe.console import extra, printable, progress_bar

if TYPE_CHECKING:
    from model_gate.checkpoint import Checkpoint
    from model_gate.model import Generation

ASKED = ("email", "phone", "address", "tool")
TOKENS = 80


def recite() -> Checkpoint:
    """Train the tiny model if it is not cached, and let it tell all about somebody.

    Raises:
        MissingExtra: the gate's packages are not installed; nothing was said yet.
    """
    with extra("gate"):
        from model_gate import tiny
        from model_gate.checkpoint import load
    if not tiny.place().is_dir():
        with progress_bar("Training a tiny Apertus", "steps") as bar:
            tiny.cached(progress=bar)
    with tiny.quiet():
        model = load(tiny.cached(), "cpu")
    typer.secho("\nA model tells what it has memorised", bold=True)
    asked = tiny.questions(tiny.PERSONS[0])
    for kind in ASKED:
        typer.echo(f"  asked     {asked[kind]}")
        typer.echo(f"  says      {printable(_alone(model, asked[kind]))}")
    return model


def ask_again(model: Checkpoint, bundle: Path) -> None:
    """The same questions to the same model, with the bundle between it and its reader."""
    from model_gate import GatedModel, GatePolicy, Guard, Mode, NamedPrompt, tiny

    def gated(mode: Mode) -> GatedModel:
        # By default a listed name does not even reach the model; here it is to try.
        policy = GatePolicy(mode=mode, on_named_prompt=NamedPrompt.ANSWER)
        guard = Guard.open(bundle, policy)
        return GatedModel(model.model, model.tokenizer, guard, eos=model.eos)

    def answer(gate: GatedModel, question: str) -> Generation:
        chat = [{"role": "user", "content": question}]
        return gate.generate(chat, do_sample=False, max_new_tokens=TOKENS)

    typer.secho("\nThe same model behind that release", bold=True)
    person, other = tiny.PERSONS[0], tiny.PERSONS[-1]
    asked = tiny.questions(person)
    redacting = gated(Mode.REDACT)
    for kind in ASKED:
        typer.echo(f"  asked     {asked[kind]}")
        typer.echo(f"  says      {_shown(answer(redacting, asked[kind]))}")
    typer.echo("  with the mode that ends the answer instead")
    typer.echo(f"  asked     {asked['email']}")
    typer.echo(f"  says      {_shown(answer(gated(Mode.REFUSE), asked['email']))}")
    typer.echo("  and about somebody who is not listed")
    question = tiny.questions(other)["email"]
    typer.echo(f"  asked     {question}")
    typer.echo(f"  says      {_shown(answer(redacting, question))}")


def _alone(model: Checkpoint, question: str) -> str:
    """What the model says with nothing behind it, its special tokens shown."""
    inputs = model.tokenizer.apply_chat_template(
        [{"role": "user", "content": question}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    ids = model.model.generate(**inputs, do_sample=False, max_new_tokens=TOKENS)[0]
    said = ids[inputs["input_ids"].shape[1] :].tolist()
    return str(model.tokenizer.decode([token for token in said if token not in model.eos]))


def _shown(said: Generation) -> str:
    text = printable(said.text)
    if said.finish_reason == "content_filter":
        text = f"{text}(ended: content_filter)"
    return text
