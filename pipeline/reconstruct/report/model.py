"""What a report says, as values: everything is counted before a word is written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.optout.signals import Signal

FORMAT = 1
"""Version of the JSON form of a `Summary`."""


@dataclass(frozen=True, slots=True)
class Count:
    """Documents, and the tokens of those whose number of tokens is known."""

    documents: int
    tokens: int | None
    """``None`` where no document brought a number."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What came in and what became of it."""

    total: Count
    kept: Count
    dropped: Count


@dataclass(frozen=True, slots=True)
class SignalCount:
    """What one signal, stage or stock filter explains the loss of."""

    signal: str | None
    """As in `SignalLoss`."""
    dropped: Count


@dataclass(frozen=True, slots=True)
class LanguageFlow:
    """One value of the language column."""

    language: str | None
    flow: Flow
    signals: tuple[SignalCount, ...] = ()
    """Losses by what explains them, each document once; in the order of `Summary.signals`."""


@dataclass(frozen=True, slots=True)
class SignalLoss:
    """Documents dropped by one signal, one stage of the recipe or one stock filter."""

    signal: str | None
    """``None`` where the ledger records no reason, which is a defect of the run."""
    dropped: Count
    """Documents whose drop this signal explains: each document counts once."""
    also: int
    """Documents that another signal explains and this one refuses, too."""


@dataclass(frozen=True, slots=True)
class AgentLoss:
    """Dropped documents for which one user agent is disallowed; a document counts for each."""

    agent: str
    documents: int


@dataclass(frozen=True, slots=True)
class HostLoss:
    """What one host lost."""

    host: str
    documents: int
    kept: int
    dropped: int


@dataclass(frozen=True, slots=True)
class RuleLoss:
    """Documents that one line decided, wherever it stands."""

    signal: str | None
    rule: str | None
    documents: int


@dataclass(frozen=True, slots=True)
class MonthLoss:
    """Dropped documents by the date of the deciding file."""

    month: str | None
    """``YYYY-MM``; ``None`` where the source bears no date."""
    documents: int


@dataclass(frozen=True, slots=True)
class Hosts:
    """Losses by host: the hosts that lost most, and how many there are."""

    distinct: int
    losing: int
    """Hosts that lost at least one document."""
    top: tuple[HostLoss, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """Losses by deciding line: the lines that decided most, and how many there are."""

    distinct: int
    top: tuple[RuleLoss, ...]


@dataclass(frozen=True, slots=True)
class Unchecked:
    """What nobody could be asked about."""

    no_host: Flow
    """Documents whose URL is missing or names no host."""
    unasked: int
    """Documents dropped for that reason alone, where the policy says so: nobody opted out."""
    unreachable: int
    """Documents dropped only because their site could not be reached: nobody opted out."""
    sources: dict[str, int]
    """Files of the policy that were unreachable, unreadable or not understood, by coded reason."""


@dataclass(frozen=True, slots=True)
class PersonalData:
    """What scrubbing replaced in the documents that stayed: numbers only."""

    mode: str
    """``strict``, ``apertus`` or ``none``."""
    documents: int
    markers: dict[str, int]
    """By kind."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """The corpus that came in."""

    recipe: str
    title: str
    dataset: str | None
    revision: str | None
    homepage: str | None
    license: str | None


@dataclass(frozen=True, slots=True)
class Policy:
    """What was asked, of whom, as of when."""

    name: str
    version: str
    as_of: str
    agent_set: str
    agents: tuple[str, ...]
    signals: tuple[str, ...]
    counts: dict[str, int]
    falls: dict[str, str]
    """Which way the open cases fall (``unreachable``, ``unreadable``, ``no_url``), if recorded."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Which release of the output filter was applied; what it lists and removed is not said."""

    release: str
    content_sha256: str
    testing: bool
    """With cheap hashes, for tests."""


@dataclass(frozen=True, slots=True)
class Run:
    """Which run the figures are of."""

    fingerprint: str
    engine_version: int
    input: str
    """A URL without credentials, or the last part of a local path."""
    pii: str
    """The mode for personal data."""
    steps: tuple[str, ...]
    """Stock filters between the policy and the scrubbing, by their class."""
    limit: int | None
    removed: str
    """What became of removed documents: ``none``, ``scrubbed`` or ``verbatim`` copies."""
    bundle: Bundle | None
    unpublished: bool
    """Names that the bundle lists were removed, too."""
    files: int
    missing: int
    """Input files that are not finished; more than none of them: nothing here is final."""
    first_missing: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Whether every input file has been worked off."""
        return self.missing == 0

    @property
    def publishable(self) -> bool:
        """Whether a marker could stand for anything: it must not show where a listed phrase stood."""
        return not self.unpublished and (self.bundle is None or self.pii != "none")


@dataclass(frozen=True, slots=True)
class Summary:
    """All figures of a report."""

    run: Run
    dataset: Dataset
    policy: Policy
    flow: Flow
    without_tokens: int
    """Documents without a number of tokens: they are missing from every count of tokens."""
    languages: tuple[LanguageFlow, ...]
    signals: tuple[SignalLoss, ...]
    agents: tuple[AgentLoss, ...]
    everybody: int
    """Documents dropped by a signal that names no agent: it speaks to everybody who trains."""
    hosts: Hosts
    rules: Rules
    months: tuple[MonthLoss, ...]
    unchecked: Unchecked
    personal_data: PersonalData

    @property
    def filtered(self) -> int:
        """Documents that stock filters left out: no opt-outs."""
        return sum(s.dropped.documents for s in self.signals if is_filter(s.signal))

    @property
    def unexplained(self) -> int:
        """Documents dropped without a recorded reason."""
        return sum(s.dropped.documents for s in self.signals if s.signal is None)

    @property
    def opted_out(self) -> int:
        """Documents that somebody's opt-out removed."""
        others = self.filtered + self.unexplained
        nobody = self.unchecked.unasked + self.unchecked.unreachable
        return self.flow.dropped.documents - others - nobody

    def described(self) -> dict[str, Any]:
        """All figures, JSON-able."""
        derived = {
            "format": FORMAT,
            "finished": self.run.finished,
            "publishable": self.run.publishable,
            "opted_out": self.opted_out,
            "filtered": self.filtered,
            "unexplained": self.unexplained,
        }
        return derived | asdict(self)


_OPT_OUTS = frozenset(map(str, Signal))


def is_filter(signal: str | None) -> bool:
    """Whether a drop is a stage's or a stock filter's and not an opt-out.

    The ledger gives the name of the stage, or ``filter:NAME``, where an opt-out has its signal.
    """
    return signal is not None and signal not in _OPT_OUTS
