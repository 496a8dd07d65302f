"""Presidio beside the list: its recognisers as a generic layer here, ours and the bundle for its users.

The one file that knows presidio-analyzer, which is loaded when something here is first used. Neither a
language model nor the network is touched: the engine is Presidio's ``no_op``, and the suffix list with
which it judges e-mail addresses is the one that tldextract carries.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from filter.errors import InputError, MissingExtra
from filter.identifiers import IdentifierKind
from filter.questions import Answer
from filter.recognisers import RECOGNISERS, find_all

if TYPE_CHECKING:
    from collections.abc import Collection

    from filter.output_filter import OutputFilter

ENTITIES = {
    IdentifierKind.EMAIL: "EMAIL_ADDRESS",
    IdentifierKind.PHONE: "PHONE_NUMBER",
    IdentifierKind.IBAN: "IBAN_CODE",
    IdentifierKind.CREDIT_CARD: "CREDIT_CARD",
    IdentifierKind.IP: "IP_ADDRESS",
    IdentifierKind.AHV: "CH_AHV",
}
"""Presidio's names; for AHV numbers, which it lacks, one of the same make."""

LISTED = "LISTED_"
"""Before the name of a kind: the entity type of what a bundle lists (``LISTED_NAME``)."""

THRESHOLD = 0.4
"""Presidio's score from which on something is personal data: its patterns alone, no context."""

_WINDOW = 320
"""Characters on each side of an at-sign that may belong to an address (RFC 5321, section 4.5.3.1: 64 and
255). Presidio's pattern is quadratic in what stands there, and after a minute it lets a text pass."""


class GenericLayer:
    """Whatever looks like personal data of some kinds, listed or not, in whole texts.

    Raises:
        InputError: no kind, one that nobody can recognise by its form, or no such telephone region.
        MissingExtra: presidio-analyzer is not installed.
    """

    def __init__(
        self,
        kinds: Collection[IdentifierKind],
        *,
        regions: Collection[str] = ("CH",),
        threshold: float = THRESHOLD,
    ) -> None:
        if strange := set(kinds) - ENTITIES.keys():
            raise InputError(
                f"Only a list knows {', '.join(sorted(strange))}: choose generic kinds among "
                f"{', '.join(ENTITIES)}."
            )
        if not kinds:
            raise InputError(f"Name at least one generic kind: {', '.join(ENTITIES)}.")
        find_all("", [IdentifierKind.PHONE], regions=regions)  # refuses what is no region
        self._kinds = {ENTITIES[kind]: kind for kind in kinds}
        self._engine = _engine(frozenset(kinds), tuple(regions))
        self._threshold = threshold

    def answers(self, text: str, begin: int = 0) -> list[Answer]:
        """What was found from ``begin`` on: offsets in code points, reason ``generic``."""
        found = self._engine.analyze(
            text, "en", entities=list(self._kinds), score_threshold=self._threshold
        )
        return [
            Answer(one.start, one.end, self._kinds[one.entity_type], "generic")
            for one in found
            if one.end > begin
        ]


def lethe_recognizers(
    kinds: Collection[IdentifierKind] = tuple(ENTITIES), language: str = "en"
) -> list[Any]:
    """Our recognisers as Presidio's `EntityRecognizer`, for a `RecognizerRegistry`.

    Raises:
        MissingExtra: presidio-analyzer is not installed.
    """
    made = _classes()
    return [made.Recognised(kind, language) for kind in kinds]


def bundle_recognizer(output_filter: OutputFilter, language: str = "en") -> Any:
    """A bundle as Presidio's `EntityRecognizer`: entity types `LISTED` and the kind, score 1.

    The generic kinds of its policy are left to Presidio.

    Raises:
        MissingExtra: presidio-analyzer is not installed.
    """
    return _classes().Listed(output_filter, language)


def _presidio() -> Any:
    try:
        import presidio_analyzer
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("filter"):
            raise
        raise MissingExtra(
            f"Generic kinds need the package {error.name!r}: pip install 'lethe-llm[presidio]'."
        ) from None
    return presidio_analyzer


def _engine(kinds: frozenset[IdentifierKind], regions: tuple[str, ...]) -> Any:
    presidio = _presidio()
    from phonenumbers import UNKNOWN_REGION
    from presidio_analyzer.nlp_engine import NoOpNlpEngine
    from presidio_analyzer.predefined_recognizers import (
        CreditCardRecognizer,
        IbanRecognizer,
        IpRecognizer,
        PhoneRecognizer,
    )

    makers = {
        IdentifierKind.EMAIL: _email,
        IdentifierKind.PHONE: lambda: PhoneRecognizer(
            supported_regions=regions or (UNKNOWN_REGION,)
        ),
        IdentifierKind.IBAN: IbanRecognizer,
        IdentifierKind.CREDIT_CARD: CreditCardRecognizer,
        IdentifierKind.IP: IpRecognizer,
        IdentifierKind.AHV: lambda: _classes().Recognised(IdentifierKind.AHV, "en"),
    }
    registry = presidio.RecognizerRegistry(recognizers=[makers[kind]() for kind in sorted(kinds)])
    engine = NoOpNlpEngine([{"lang_code": "en", "model_name": "no_op"}])
    engine.load()
    return presidio.AnalyzerEngine(registry=registry, nlp_engine=engine)


def _email() -> Any:
    """Presidio's recogniser, with the suffix list that is installed, and linear in the text."""
    import tldextract
    from presidio_analyzer.predefined_recognizers import EmailRecognizer

    suffixes = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    class Email(EmailRecognizer):  # type: ignore[misc]
        def analyze(
            self, text: str, entities: list[str], nlp_artifacts: Any = None, regex_flags: Any = None
        ) -> list[Any]:
            found = []
            for begin, end in _around_at_signs(text):
                for one in super().analyze(text[begin:end], entities, nlp_artifacts, regex_flags):
                    one.start, one.end = one.start + begin, one.end + begin
                    found.append(one)
            return found

        def validate_result(self, pattern_text: str) -> bool:
            return bool(suffixes(pattern_text).fqdn)

    return Email()


def _around_at_signs(text: str) -> list[tuple[int, int]]:
    """Where addresses may stand, ascending and apart."""
    windows: list[tuple[int, int]] = []
    at = text.find("@")
    while at >= 0:
        begin, end = max(0, at - _WINDOW), at + _WINDOW
        if windows and begin <= windows[-1][1]:
            begin = windows.pop()[0]
        windows.append((begin, end))
        at = text.find("@", at + 1)
    return windows


@cache
def _classes() -> Any:
    """Subclasses of Presidio's, made once its package is there."""
    presidio = _presidio()

    def result(entity: str, start: int, end: int, by: Any) -> Any:
        # The explanation names who found it, never what: it may be logged.
        why = presidio.AnalysisExplanation(recognizer=by.name, original_score=1.0)
        about = {"recognizer_name": by.name, "recognizer_identifier": by.id}
        return presidio.RecognizerResult(entity, start, end, 1.0, why, about)

    class Recognised(presidio.EntityRecognizer):  # type: ignore[misc,name-defined]
        """One of our recognisers."""

        def __init__(self, kind: IdentifierKind, language: str) -> None:
            self._find = RECOGNISERS[kind].find
            super().__init__(
                [ENTITIES[kind]],
                name=f"Lethe {kind}",
                supported_language=language,
                country_code="ch" if kind is IdentifierKind.AHV else None,
            )

        def load(self) -> None:
            """Nothing to load."""

        def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Any]:
            entity = self.supported_entities[0]
            if entities and entity not in entities:
                return []
            return [result(entity, span.start, span.end, self) for span in self._find(text)]

    class Listed(presidio.EntityRecognizer):  # type: ignore[misc,name-defined]
        """A bundle."""

        def __init__(self, output_filter: OutputFilter, language: str) -> None:
            # What is only generic is not listed.
            listed = replace(output_filter.policy, generic=frozenset())
            self._filter = type(output_filter)(output_filter.bundle, listed)
            names = [f"{LISTED}{kind.upper()}" for kind in sorted(output_filter.policy.kinds)]
            super().__init__(names, name="Lethe bundle", supported_language=language)

        def load(self) -> None:
            """Nothing to load."""

        def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Any]:
            return [
                result(entity, match.start, match.end, self)
                for match in self._filter.redact(text).matches
                if (entity := f"{LISTED}{match.kind.upper()}")
                in (entities or self.supported_entities)
            ]

    class Made:
        """The two of them."""

    made: Any = Made
    made.Recognised, made.Listed = Recognised, Listed
    return made
