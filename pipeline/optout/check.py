"""Explaining single verdicts."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.errors import UnknownName
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.robots import DIALECTS, RobotsFile
from pipeline.optout.rules import RuleSet


def explain(policy: Path, urls: list[str]) -> Iterator[dict[str, Any]]:
    """The verdict for each URL under the compiled ``policy``, with what decided it.

    Raises:
        UnreadableFile, WrongVersion: the policy cannot be opened.
    """
    opened = OptOutPolicy.open(policy)
    for url in urls:
        verdict = opened.verdict(url)
        r = verdict.refusal
        yield {
            "verdict": "keep" if verdict.keep else "drop",
            "url": url,
            "host": verdict.host,
            "signal": None if r is None else str(r.signal),
            "signals": [] if r is None else [str(s) for s in r.signals],
            "agents": [] if r is None else list(r.agents),
            "rule": None if r is None else r.rule,
            "line": None if r is None else r.line,
            "source": None if r is None else r.file,
            "source_hash": None if r is None else r.source_hash,
            "source_date": None if r is None else r.source_date,
            "policy": opened.header.spec["name"],
            "policy_version": opened.version,
        }


def answer(line: str, mode: str) -> dict[str, Any]:
    """Answer one question ``{"robots" | "robots_b64", "agents", "url"}`` (JSON).

    ``allowed`` is false as soon as one of the agents is refused; ``agent``, ``rule`` and ``line`` say
    which one and by what. A question that cannot be read gets ``{"error": ...}``.

    Raises:
        UnknownName: there is no such mode.
    """
    if mode not in DIALECTS:
        raise UnknownName(f"There is no mode {mode!r}: use {' or '.join(DIALECTS)}.")
    try:
        question = json.loads(line)
        body, agents, url = _read(question)
    except ValueError as error:
        return {"error": str(error)}
    dialect = DIALECTS[mode]
    try:
        path = dialect.url_path(url)
    except ValueError:
        return {"error": "the URL cannot be split"}
    if path is not None:
        parsed = _parsed(mode, body)
        for agent in agents:
            rule = _rules(mode, body, agent).refuses(path)
            if rule is not None:
                text = dialect.shown(parsed.lines[rule.line - 1])
                return {"allowed": False, "agent": agent, "rule": text, "line": rule.line}
    return {"allowed": True, "agent": None, "rule": None, "line": None}


def _read(question: object) -> tuple[bytes, list[str], str]:
    if not isinstance(question, dict):
        raise ValueError("a line must be a JSON object")  # noqa: TRY004
    agents, url = question.get("agents"), question.get("url")
    if isinstance(agents, str):
        agents = [agents]
    if not isinstance(agents, list) or not all(isinstance(a, str) for a in agents) or not agents:
        raise ValueError('"agents" must be a list of user agents')
    if not isinstance(url, str):
        raise ValueError('"url" must be a string')  # noqa: TRY004
    encoded, text = question.get("robots_b64"), question.get("robots")
    if isinstance(encoded, str):
        try:
            return base64.b64decode(encoded, validate=True), agents, url
        except binascii.Error:
            raise ValueError('"robots_b64" must be base64') from None
    if not isinstance(text, str):
        raise ValueError('"robots" must be a string, or "robots_b64" base64')  # noqa: TRY004
    return text.encode("utf-8", "surrogatepass"), agents, url


@lru_cache(maxsize=256)
def _parsed(mode: str, body: bytes) -> RobotsFile:
    return DIALECTS[mode].parse(body)


@lru_cache(maxsize=1024)
def _rules(mode: str, body: bytes, agent: str) -> RuleSet:
    return RuleSet(DIALECTS[mode].rules_for(_parsed(mode, body), agent))
