"""Presidio as a generic layer, and ours for its users."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from filter import Bundle, FilterPolicy, Identifier, IdentifierKind, OutputFilter
from filter.errors import InputError
from filter.presidio import GenericLayer, bundle_recognizer, lethe_recognizers

# Loaded by the tests that need it: it takes eight seconds, and tests are collected in several processes.
pytestmark = pytest.mark.skipif(
    find_spec("presidio_analyzer") is None, reason="the extra presidio is not installed"
)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


ALL = frozenset(
    {
        IdentifierKind.EMAIL,
        IdentifierKind.PHONE,
        IdentifierKind.IBAN,
        IdentifierKind.CREDIT_CARD,
        IdentifierKind.IP,
        IdentifierKind.AHV,
    }
)


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("email", "write to jane@example.org now", "jane@example.org"),
        ("email", "write to jane at example.org now", None),
        ("email", "user@host.nosuchtld", None),
        ("phone", "call 044 668 18 00 now", "044 668 18 00"),
        ("phone", "version 1.2.3", None),
        ("iban", "to CH93 0076 2011 6238 5295 7 please", "CH93 0076 2011 6238 5295 7"),
        ("iban", "to CH93 0076 2011 6238 5295 8 please", None),
        ("credit_card", "card 4111 1111 1111 1111 it is", "4111 1111 1111 1111"),
        ("credit_card", "card 4111 1111 1111 1112 it is", None),
        ("ip", "host 8.8.8.8 it is", "8.8.8.8"),
        ("ahv", "number 756.9217.0769.85 it is", "756.9217.0769.85"),
        ("ahv", "number 756.9217.0769.84 it is", None),
    ],
)
def test_the_generic_layer_finds(kind: str, text: str, found: str | None) -> None:
    layer = GenericLayer({IdentifierKind(kind)})
    assert [text[a.start : a.end] for a in layer.answers(text)] == ([found] if found else [])


def test_a_policy_turns_it_on(bundle: Bundle) -> None:
    text = "Jürg Müller or nobody@example.org, 8.8.4.4"
    assert OutputFilter(bundle).redact(text).text == "[name removed] or nobody@example.org, 8.8.4.4"
    policy = FilterPolicy(generic=frozenset({IdentifierKind.EMAIL}))
    redaction = OutputFilter(bundle, policy).redact(text)
    assert redaction.text == "[name removed] or [email removed], 8.8.4.4"
    assert [m.reason for m in redaction.matches] == ["listed", "generic"]


def test_streams_cannot_have_it(bundle: Bundle) -> None:
    one = OutputFilter(bundle, FilterPolicy(generic=ALL))
    with pytest.raises(InputError, match="whole texts"):
        one.stream()


def test_phrases_have_no_form() -> None:
    with pytest.raises(InputError, match="Only a list knows name"):
        GenericLayer({IdentifierKind.NAME})


def test_a_layer_without_kinds_is_a_mistake() -> None:
    with pytest.raises(InputError, match="at least one"):
        GenericLayer(frozenset())


@pytest.mark.parametrize(
    ("regions", "found"),
    [
        (("CH",), {"044 668 18 00", "+44 20 7946 0999"}),
        (("GB",), {"020 7946 0999", "+44 20 7946 0999"}),
        ((), {"+44 20 7946 0999"}),
    ],
    ids=["CH", "GB", "none"],
)
def test_regions_say_whose_national_numbers_count(
    regions: tuple[str, ...], found: set[str]
) -> None:
    text = "044 668 18 00, or 020 7946 0999, or +44 20 7946 0999."
    layer = GenericLayer({IdentifierKind.PHONE}, regions=regions)
    assert {text[a.start : a.end] for a in layer.answers(text)} == found


@pytest.mark.parametrize("regions", [("XX",), "CH", ("ch",)], ids=str)
def test_no_such_region(regions: str) -> None:
    with pytest.raises(InputError, match="region"):
        GenericLayer({IdentifierKind.PHONE}, regions=regions)


@pytest.mark.parametrize(
    "filling", ["a.", "a", "a!", "a-", "a@", "a@b-", "@", "@ ", "1.", "1:", "1 "]
)
def test_no_text_is_hard(filling: str) -> None:
    """Presidio's own pattern takes a minute for 20 kB of these, and then lets everything pass."""
    text = f"{filling * 20_000} jane@example.org{' ' + filling * 20_000} joe@example.org"
    started = time.perf_counter()
    found = {text[a.start : a.end] for a in GenericLayer({IdentifierKind.EMAIL}).answers(text)}
    assert found == {"jane@example.org", "joe@example.org"}
    assert time.perf_counter() - started < 30


@pytest.mark.parametrize("gap", [0, 1, 300, 318, 319, 320, 321, 640, 641, 1000])
def test_windows_cut_no_address(gap: int) -> None:
    text = f"{'. ' * gap}jane.doe@mail.example.org{' .' * gap} joe@example.org"
    found = {text[a.start : a.end] for a in GenericLayer({IdentifierKind.EMAIL}).answers(text)}
    assert found == {"jane.doe@mail.example.org", "joe@example.org"}


QUIET = """
import sys
seen = []
def watch(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        seen.append(event)
        raise OSError
    if event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1]):
        if arguments[0] != "/dev/null":  # looked at by a library when it is imported
            seen.append("write")
sys.addaudithook(watch)
import logging; logging.disable()
from presidio_analyzer.predefined_recognizers import EmailRecognizer
from filter.presidio import GenericLayer, lethe_recognizers
from filter.identifiers import RECOGNISED
"""


def test_neither_network_nor_files(tmp_path: Path) -> None:
    """In a process of its own, from the first import on, with a home where nothing is cached.

    It would be seen: Presidio's own recogniser does both.
    """
    steps = (
        "from filter.presidio import lethe_recognizers; lethe_recognizers()",
        "GenericLayer(RECOGNISED).answers('text')",
        "assert GenericLayer(RECOGNISED).answers('jane@example.org')",
        "EmailRecognizer().analyze('jane@example.org', [])",
    )
    done = subprocess.run(
        [
            sys.executable,
            "-B",
            "-c",
            "\n".join([QUIET, *(f"{s}\nprint(len(seen))" for s in steps)]),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    *ours, theirs = map(int, done.stdout.split())
    assert ours == [0, 0, 0]
    assert theirs > 0


def test_without_the_extra() -> None:
    code = (
        "import sys; sys.modules['presidio_analyzer'] = None\n"
        "from filter.presidio import GenericLayer\n"
        "from filter.errors import MissingExtra\n"
        "try: GenericLayer({'email'})\n"
        "except MissingExtra as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "pip install 'lethe-llm[presidio]'" in done.stdout


def engine(*recognizers: object) -> object:
    import presidio_analyzer as presidio
    from presidio_analyzer.nlp_engine import NoOpNlpEngine

    nlp = NoOpNlpEngine([{"lang_code": "en", "model_name": "no_op"}])
    nlp.load()
    registry = presidio.RecognizerRegistry(recognizers=list(recognizers))
    return presidio.AnalyzerEngine(registry=registry, nlp_engine=nlp)


def test_our_recognisers_serve_presidio() -> None:
    text = "756.9217.0769.85, jörg@müller.de, 756.9217.0769.84"
    found = engine(*lethe_recognizers()).analyze(text, "en")  # type: ignore[attr-defined]
    assert {(r.entity_type, text[r.start : r.end]) for r in found} == {
        ("CH_AHV", "756.9217.0769.85"),
        ("EMAIL_ADDRESS", "jörg@müller.de"),
    }


def test_a_bundle_serves_presidio(
    output_filter: OutputFilter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    text = "Müller, Jürg wrote to nobody@example.org and jane.doe@example.org"
    analyzer = engine(bundle_recognizer(output_filter))
    found = analyzer.analyze(text, "en", return_decision_process=True)  # type: ignore[attr-defined]
    assert {(r.entity_type, text[r.start : r.end]) for r in found} == {
        ("LISTED_NAME", "Müller, Jürg"),
        ("LISTED_EMAIL", "jane.doe@example.org"),
    }
    said = caplog.text + "".join(str(r.analysis_explanation) for r in found)
    assert "jane" not in said.lower()
    assert "ller" not in said.lower()
    only = analyzer.analyze(text, "en", entities=["LISTED_EMAIL"])  # type: ignore[attr-defined]
    assert [r.entity_type for r in only] == ["LISTED_EMAIL"]


def test_what_is_only_generic_is_not_listed(bundle: Bundle) -> None:
    policy = FilterPolicy(generic=frozenset({IdentifierKind.EMAIL}))
    text = "nobody@example.org and jane.doe@example.org"
    analyzer = engine(bundle_recognizer(OutputFilter(bundle, policy)))
    found = analyzer.analyze(text, "en")  # type: ignore[attr-defined]
    assert [text[r.start : r.end] for r in found] == ["jane.doe@example.org"]


def test_what_is_undecided_is_reported(bundle: Bundle) -> None:
    """It may be listed, and the filter itself would remove it."""
    text = "nobody@example.org"
    analyzer = engine(bundle_recognizer(OutputFilter(bundle, FilterPolicy(slow_hashes=0))))
    found = analyzer.analyze(text, "en")  # type: ignore[attr-defined]
    assert [(r.entity_type, r.score) for r in found] == [("LISTED_EMAIL", 1.0)]


def test_the_decision_process_names_nobody(
    output_filter: OutputFilter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    analyzer = engine(bundle_recognizer(output_filter), *lethe_recognizers())
    analyzer.log_decision_process = True  # type: ignore[attr-defined]
    text = "Jürg Müller, jane.doe@example.org, CH93 0076 2011 6238 5295 7, 756.9217.0769.85"
    assert len(analyzer.analyze(text, "en")) > 4  # type: ignore[attr-defined]
    assert "LISTED_NAME" in caplog.text
    for part in ("ller", "jane", "6238", "9217"):
        assert part not in caplog.text


def test_an_engine_with_tokens() -> None:
    """The usual engine: spaCy, and the enhancer that reads the words around a result."""
    import presidio_analyzer as presidio
    import spacy
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    nlp = SpacyNlpEngine()
    nlp.nlp = {"en": spacy.blank("en")}
    registry = presidio.RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"], countries=["ch"])
    registry.remove_recognizer("EmailRecognizer")  # it asks the network
    for one in lethe_recognizers():
        registry.add_recognizer(one)
    assert registry.get_country_codes() == ["ch"]
    text = "My AHV number is 756.9217.0769.85, my address jane@example.org."
    found = presidio.AnalyzerEngine(registry=registry, nlp_engine=nlp).analyze(text, "en")
    assert {("CH_AHV", "756.9217.0769.85", 1.0), ("EMAIL_ADDRESS", "jane@example.org", 1.0)} <= {
        (r.entity_type, text[r.start : r.end], r.score) for r in found
    }


@pytest.mark.parametrize(
    ("kind", "hit", "miss"),
    [
        ("email", "jane@example.org", "jane@localhost"),
        ("phone", "044 668 18 00", "044 668 18"),
        ("iban", "CH93 0076 2011 6238 5295 7", "CH93 0076 2011 6238 5295 8"),
        ("credit_card", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("ip", "208.67.222.222", "192.168.1.1"),
        ("ahv", "756.9217.0769.85", "756.9217.0769.84"),
    ],
)
def test_each_of_our_recognisers(kind: str, hit: str, miss: str) -> None:
    (one,) = lethe_recognizers([IdentifierKind(kind)], language="de")
    assert one.supported_language == "de"
    (entity,) = one.supported_entities
    text = f"😀 {hit}; {miss}"
    assert [text[r.start : r.end] for r in one.analyze(text, [entity])] == [hit]
    assert one.analyze(text, ["PERSON"]) == []


def test_an_exempt_identifier_passes_the_generic_layer_too(bundle: Bundle) -> None:
    policy = FilterPolicy(generic=ALL).exempting(
        [Identifier(IdentifierKind.EMAIL, "nobody@example.org")]
    )
    said = OutputFilter(bundle, policy).redact("nobody@example.org, somebody@example.org").text
    assert said == "nobody@example.org, [email removed]"


def test_listed_is_told_before_generic(bundle: Bundle) -> None:
    redaction = OutputFilter(bundle, FilterPolicy(generic=ALL)).redact("x jane.doe@example.org")
    assert [m.reason for m in redaction.matches] == ["listed"]


def test_generic_kinds_need_markers_too() -> None:
    markers = {IdentifierKind.NAME: "x"}
    with pytest.raises(InputError, match="no marker for email"):
        FilterPolicy(
            kinds=frozenset({IdentifierKind.NAME}),
            markers=markers,
            generic=frozenset({IdentifierKind.EMAIL}),
        )
