"""Presidio as a generic layer, and ours for its users."""

from __future__ import annotations

import logging
import socket

import pytest

presidio = pytest.importorskip("presidio_analyzer", reason="the extra presidio is not installed")

from filter import Bundle, FilterPolicy, IdentifierKind, OutputFilter  # noqa: E402
from filter.errors import InputError  # noqa: E402
from filter.presidio import GenericLayer, bundle_recognizer, lethe_recognizers  # noqa: E402


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


def engine(*recognizers: object) -> object:
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
