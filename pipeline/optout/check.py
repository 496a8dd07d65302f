"""Explaining single verdicts."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from filter.errors import InputError
from pipeline.errors import UnknownName
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.robots import DIALECTS
from pipeline.optout.rules import Rule, RuleSet


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


def check_mode(mode: str) -> None:
    """Raises `UnknownName` if there is no such mode."""
    if mode not in DIALECTS:
        raise UnknownName(f"There is no mode {mode!r}: use {' or '.join(DIALECTS)}.")


def answer(line: str, mode: str) -> dict[str, Any]:
    """Answer one question ``{"robots" | "robots_b64", "agents", "url"}`` (JSON).

    ``allowed`` is false as soon as one of the agents is refused; ``agent``, ``rule`` and ``line`` say
    which one and by what. A question that cannot be read gets ``{"error": ...}``, which never repeats
    any of it.

    Raises:
        UnknownName: there is no such mode.
    """
    check_mode(mode)
    try:
        body, agents, url = _read(line)
        path = _path(mode, url)
    except _Unanswerable as error:
        return {"error": str(error)}
    if path is not None:
        asked = _asked(mode, body)
        for agent in agents:
            rule = asked.rules(agent).refuses(path)
            if rule is not None:
                return {
                    "allowed": False,
                    "agent": agent,
                    "rule": asked.shown(rule),
                    "line": rule.line,
                }
    return {"allowed": True, "agent": None, "rule": None, "line": None}


_LONGEST_AGENT = 1000
"""Characters; whole User-Agent headers have about 200. Agents are remembered with their answers."""


class _Unanswerable(InputError):
    """A question that cannot be read; the message says how to write it."""


def _read(line: str) -> tuple[bytes, list[str], str]:
    """The octets of the robots.txt, the agents and the URL of a question."""
    try:
        question = json.loads(line)
    except (ValueError, RecursionError):
        raise _Unanswerable("A line must be one JSON object.") from None
    if not isinstance(question, dict):
        raise _Unanswerable("A line must be one JSON object.")
    agents, url = question.get("agents"), question.get("url")
    if isinstance(agents, str):
        agents = [agents]
    if not isinstance(agents, list) or not all(map(_is_agent, agents)) or not agents:
        raise _Unanswerable(
            f'"agents" must list user agents of at most {_LONGEST_AGENT} characters.'
        )
    if not isinstance(url, str):
        raise _Unanswerable('"url" must be a string.')
    return _body(question.get("robots"), question.get("robots_b64")), agents, url


def _is_agent(agent: object) -> bool:
    return isinstance(agent, str) and len(agent) <= _LONGEST_AGENT


def _body(text: object, encoded: object) -> bytes:
    if encoded is None and isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    if text is None and isinstance(encoded, str):
        try:
            return base64.b64decode(encoded, validate=True)
        except ValueError:
            raise _Unanswerable('"robots_b64" must be base64.') from None
    raise _Unanswerable('Give either "robots", a string, or "robots_b64", base64.')


def _path(mode: str, url: str) -> str | None:
    try:
        return DIALECTS[mode].url_path(url)
    except ValueError:
        raise _Unanswerable('"url" cannot be split: give scheme, host and path.') from None


class _Asked:
    """A parsed robots.txt, with the rules of the agents that were asked about."""

    _MOST_AGENTS = 64

    def __init__(self, mode: str, body: bytes) -> None:
        self._dialect = DIALECTS[mode]
        self._file = self._dialect.parse(body)
        self._rules: dict[str, RuleSet] = {}

    def rules(self, agent: str) -> RuleSet:
        """The rules that ``agent`` obeys."""
        if agent not in self._rules:
            if len(self._rules) == self._MOST_AGENTS:
                self._rules.clear()
            self._rules[agent] = RuleSet(self._dialect.rules_for(self._file, agent))
        return self._rules[agent]

    def shown(self, rule: Rule) -> str:
        """The line that ``rule`` stands on."""
        return self._dialect.shown(self._file.lines[rule.line - 1])


_SMALL = 1 << 16
"""Octets up to which several files are remembered: questions about one file need not stand together."""
_asked_of_small = lru_cache(maxsize=64)(_Asked)
_asked_of_large = lru_cache(maxsize=1)(_Asked)


def _asked(mode: str, body: bytes) -> _Asked:
    return (_asked_of_small if len(body) <= _SMALL else _asked_of_large)(mode, body)
