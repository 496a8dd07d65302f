"""A bundle of made-up people, and the real pages where there are any."""

from __future__ import annotations

from pathlib import Path

import pytest

from filter import Bundle, Identifier, IdentifierKind, OutputFilter

PEOPLE = (
    ("name", "Jürg Müller"),
    ("name", "Ann Lee"),
    ("name", "Anna Leemann"),
    ("name", "王小明"),
    ("name", "김철수"),
    ("name", "Νίκος Παπαδάκης"),
    ("name", "Анна Петрова"),
    ("email", "jane.doe@example.org"),
    ("email", "jörg@müller.example"),
    ("phone", "044 668 18 00"),
    ("phone", "+44 20 7946 0999"),
    ("handle", "@jane_doe"),
    ("postal_address", "Seestrasse 5, 8001 Zürich"),
    ("iban", "CH93 0076 2011 6238 5295 7"),
    ("ahv", "756.9217.0769.85"),
    ("credit_card", "4111 1111 1111 1111"),
    ("ip", "8.8.8.8"),
    ("ip", "2a00:1450:4001:81b::200e"),
    ("url", "https://www.people.example/jane-doe"),
    ("name", "山 Smith"),
    ("postal_address", "港区1丁目2番3号"),
    ("text", "kein Wort davon ist wahr"),
)


@pytest.fixture(scope="session")
def people() -> tuple[Identifier, ...]:
    return tuple(Identifier(IdentifierKind(kind), text) for kind, text in PEOPLE)


@pytest.fixture(scope="session")
def bundle(people: tuple[Identifier, ...]) -> Bundle:
    return Bundle.build(people, release="2026.2.0", kdf="testing")


@pytest.fixture(scope="session")
def output_filter(bundle: Bundle) -> OutputFilter:
    return OutputFilter(bundle)


@pytest.fixture(scope="session")
def pages() -> list[str]:
    """Texts of real web pages."""
    path = Path(__file__).resolve().parents[3] / "shared" / "data" / "webdocs.parquet"
    if not path.is_file():
        pytest.skip("shared/data/webdocs.parquet is not there")
    import pyarrow.parquet as pq

    found: list[str] = pq.read_table(path, columns=["text"])["text"].to_pylist()
    return found
