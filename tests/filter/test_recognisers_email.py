"""E-mail addresses: what is found, what stands beside it and is not, and in which form."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.errors import InputError
from filter.identifiers import IdentifierKind
from filter.recognisers import email

HITS = {
    "bare": ("jane@example.org", "jane@example.org", "jane@example.org"),
    "RFC 5322 3.2.3: dot-atom": ("a.b-c+d_e@example.org", "a.b-c+d_e@example.org", None),
    "an apostrophe inside": ("o'brien@example.org", "o'brien@example.org", None),
    "case": ("Jane.DOE@Example.ORG", "Jane.DOE@Example.ORG", "jane.doe@example.org"),
    "subdomains": ("a@mail.eu.example.org", "a@mail.eu.example.org", None),
    "digits in the domain": ("a@163.example", "a@163.example", None),
    "RFC 6531: UTF-8 on both sides": (
        "jörg@müller.example",
        "jörg@müller.example",
        "jörg@xn--mller-kva.example",
    ),
    "Cyrillic throughout": ("почта@пример.рф", "почта@пример.рф", "почта@xn--e1afmkfd.xn--p1ai"),
    "Devanagari with its vowel signs": (
        "डाक@डाटामेल.भारत",
        "डाक@डाटामेल.भारत",
        "डाक@xn--c2bd4bq1db8d.xn--h2brj9c",
    ),
    "Han throughout": ("用户@例子.公司", "用户@例子.公司", "用户@xn--fsqu00a.xn--55qx5d"),
    "A-labels": ("a@xn--mller-kva.example", "a@xn--mller-kva.example", None),
    "an A-label on top": ("a@example.xn--p1ai", "a@example.xn--p1ai", None),
    "NFKC": ("ｊａｎｅ@example.org", "ｊａｎｅ@example.org", "jane@example.org"),
    "decomposed": ("jo\u0308rg@example.org", "jo\u0308rg@example.org", "jörg@example.org"),
    "full-width at-sign": ("jane＠example.org", "jane＠example.org", "jane@example.org"),
    "RFC 5321 4.1.3: IPv4 literal": ("a@[192.0.2.1]", "a@[192.0.2.1]", None),
    "IPv6 literal": ("a@[IPv6:2001:DB8::0:1]", "a@[IPv6:2001:DB8::0:1]", "a@[IPv6:2001:db8::1]"),
    "64 octets": ("x" * 64 + "@example.org", "x" * 64 + "@example.org", None),
    "64 octets in 32 letters": ("ä" * 32 + "@example.org", "ä" * 32 + "@example.org", None),
    "253 octets": (
        "a@" + "b." * 125 + "org",
        "a@" + "b." * 125 + "org",
        None,
    ),
    # around it
    "mailto": ("mailto:jane@example.org?subject=x", "jane@example.org", None),
    "angle brackets": ("Jane <jane@example.org>", "jane@example.org", None),
    "single quotes": ("'jane@example.org'", "jane@example.org", None),
    "curly quotes": ("“jane@example.org”", "jane@example.org", None),
    "full stop": ("Write to jane@example.org.", "jane@example.org", None),
    "comma": ("jane@example.org, then", "jane@example.org", None),
    "ellipsis": ("jane@example.org…", "jane@example.org", None),
    "leaders": ("Email....jane@example.org", "jane@example.org", None),
    "emphasis": ("**jane@example.org**", "jane@example.org", None),
    "underscores as emphasis": ("_jane@example.org_", "jane@example.org", None),
    "Markdown's escape": (
        r"jane\_doe@example.org",
        r"jane\_doe@example.org",
        "jane_doe@example.org",
    ),
    "list bullet": ("-jane@example.org", "jane@example.org", None),
    "table": ("|jane@example.org|", "jane@example.org", None),
    "path": ("https://example.org/page/jane@example.org", "jane@example.org", None),
    "query": ("?email=jane@example.org&x=1", "jane@example.org", None),
    "percent-encoded bracket": ("%3Cjane@example.org%3E", "jane@example.org", None),
    "hyphen behind": ("jane@example.org-Tel", "jane@example.org", None),
    "a sentence that lost its space": ("jane@example.org.Please", "jane@example.org", None),
    "no sentence": ("jane@Mail.example.Org", "jane@Mail.example.Org", "jane@mail.example.org"),
    "footnote": ("jane@example.org.2", "jane@example.org", None),
    "Chinese around": ("请联系jane@example.org谢谢", "jane@example.org", None),
    "Japanese around": ("連絡はjane@example.orgまで。", "jane@example.org", None),
    "Korean around": ("메일은jane@example.org입니다", "jane@example.org", None),
    "long Chinese before": ("联" * 90 + "jane@example.org", "jane@example.org", None),
    "Cyrillic behind": ("jane@example.orgи", "jane@example.org", None),
}


@pytest.mark.parametrize(("text", "written", "value"), HITS.values(), ids=HITS)
def test_found(text: str, written: str, value: str | None) -> None:
    (span,) = email.find(text)
    assert text[span.start : span.end] == written
    assert span.value == (value or written)
    assert span.kind is IdentifierKind.EMAIL


MISSES = {
    "no domain": "jane@",
    "handle": "@jane",
    "RFC 5321 2.3.5: a name without a dot": "jane@localhost",
    "one letter on top": "jane@example.o",
    "digits on top": "jane@example.c0",
    "digits behind the top": "jane@example.org2",
    "an address without brackets": "jane@192.0.2.1",
    "too many octets in the literal": "jane@[192.0.2.1.5]",
    "retina image": "logo@2x.png",
    "file": "report@final.pdf",
    "package": "left-pad@1.0.0",
    "package, pre-release": "left-pad@1.0.0-beta.next",
    "module": "example@v1.2.3-fixed",
    "dot before the at-sign": "jane.@example.org",
    "nothing before the at-sign": "write @example.org",
    "quotes before the at-sign": '"jane doe"@example.org',
    "empty label": "jane@example..org",
    "dot behind the at-sign": "jane@.example.org",
    "hyphen first": "jane@-example.org",
    "hyphen last": "jane@example-.org",
    "underscore in the domain": "jane@exam_ple.org",
    "two at-signs": "jane@example.org@example.com",
    "handle of another network": "@jane@social.example",
    "65 octets": "x" * 65 + "@example.org",
    "66 octets in 33 letters": "ä" * 33 + "@example.org",
    "255 octets": "a@" + "b." * 126 + "org",
    "UTS 46 makes digits of it": "jane@example.①②",
    "NFKC makes spaces of it": "ﷺ@example.org",
    "spaces": "jane @ example.org",
    "written out": "jane (at) example (dot) org",
    "times": "meet @ 10.30",
}


@pytest.mark.parametrize("text", MISSES.values(), ids=MISSES)
def test_not_found(text: str) -> None:
    assert list(email.find(text)) == []


def test_neighbours_do_not_mix() -> None:
    """Replacing a@b.co everywhere must not leave an m where a@b.com stood."""
    text = "a@b.co a@b.com a@b.co,a@b.com;x-a@b.co a@b.org-c@d.org"
    assert [text[s.start : s.end] for s in email.find(text)] == [
        *("a@b.co", "a@b.com", "a@b.co", "a@b.com", "x-a@b.co", "a@b.org", "c@d.org"),
    ]


@pytest.mark.parametrize("text", [" Jane@Example.org\n", "jane@example.org"])
def test_canonicalize(text: str) -> None:
    assert email.canonicalize(text) == "jane@example.org"


@pytest.mark.parametrize(
    "text", ["", "secret", "Secret <secret@example.org>", "secret@example.org.", "s@e.org s@e.org"]
)
def test_canonicalize_refuses_without_an_echo(text: str) -> None:
    with pytest.raises(InputError) as caught:
        email.canonicalize(text)
    assert "secret" not in str(caught.value).lower()


LOCALS = st.from_regex(r"[a-z0-9äéйßΣ]([\w.+'%-]{0,20}[a-z0-9ä])?", fullmatch=True)
DOMAINS = st.from_regex(r"([a-zäé0-9]{1,9}\.){1,3}[a-z]{2,5}", fullmatch=True)


@settings(max_examples=200, deadline=None)
@given(LOCALS, DOMAINS, st.sampled_from(["", " ", "<", "«", "mailto:", "\n"]))
def test_values_are_fixed_points(local: str, domain: str, before: str) -> None:
    text = f"{before}{local}@{domain}"
    for span in email.find(text):
        assert email.canonicalize(text[span.start : span.end]) == span.value
        assert email.canonicalize(span.value) == span.value
        if span.value.isascii():
            assert email.canonicalize(span.value.upper()) == span.value


@settings(max_examples=200, deadline=None)
@given(st.from_regex(r"[a-z][a-z0-9+-]{0,20}", fullmatch=True), DOMAINS)
def test_ordinary_addresses_are_found_whole(local: str, domain: str) -> None:
    text = f"To: {local}@{domain}, Cc:"
    found = [text[s.start : s.end] for s in email.find(text)]
    labels = domain.split(".")
    expected = not (labels[0].isdigit() and labels[1].isdigit())
    if email._patterns().file_type.fullmatch(labels[-1]) is None:
        assert found == ([f"{local}@{domain}"] if expected else [])


HOSTILE = {
    "dotted letters": "a." * 200_000,
    "at-signs": "@" * 500_000,
    "letters and at-signs": "a@" * 250_000,
    "umlauts and at-signs": "ä@" * 250_000,
    "one endless domain": "a@" + "b." * 250_000,
    "hyphens": "a@" + "a-" * 250_000,
    "escapes": "%41" * 150_000 + "@",
    "backslashes": "\\_" * 250_000 + "@example.org",
    "long domains": ("a@" + "b-" * 120) * 2_000,
    "glued": "a@b." * 125_000,
    "Chinese": "联" * 500_000 + "@example.org",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_linear(text: str) -> None:
    """Half a million characters: anything quadratic would not come back."""
    assert len(list(email.find(text))) <= 1
