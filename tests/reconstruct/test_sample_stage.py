"""Drawing a sample: by lot, the same for everybody, for ever."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import WrongColumns
from pipeline.optout.verdicts import KEEP
from pipeline.reconstruct.chunk import Chunk, Decisions
from pipeline.reconstruct.languages import OTHER, Languages
from pipeline.reconstruct.recipes import recipe
from pipeline.reconstruct.selection import Shares, drawn
from pipeline.reconstruct.steps.select import DrawSample, lot

GERMAN, FRENCH, RUSSIAN = "deu_Latn", "fra_Latn", "rus_Cyrl"


def chunk(ids: list[str | None], languages: list[str | None], first_row: int = 0) -> Chunk:
    count = len(ids)
    array = pa.array(ids, pa.string())
    nothing = pa.nulls(count, pa.string())
    decisions = Decisions(
        array, nothing, nothing, nothing, pa.nulls(count, pa.int64()),
        np.full(count, KEEP, np.int32), [],
    )  # fmt: skip
    return Chunk(
        file="a.parquet", index=0, first_row=first_row, rows=count,
        row_groups=np.zeros(count, np.int32), last=True,
        table=pa.table({"id": array, "language": pa.array(languages, pa.string())}),
        survivors=np.arange(count), decisions=decisions,
    )  # fmt: skip


def kept(
    ids: list[str | None],
    others: Fraction,
    by_language: tuple[Fraction, ...] = (),
    languages: list[str | None] | None = None,
    known: tuple[str, ...] = (),
    first_row: int = 0,
    seed: int = 42,
) -> list[str | None]:
    step = DrawSample(Shares(seed, by_language, others), Languages(known))
    given = chunk(ids, languages or ["xho_Latn"] * len(ids), first_row)
    (found,) = step.run(iter([given]))
    left: list[str | None] = found.table["id"].to_pylist()
    return left


def test_lots_are_what_the_documentation_says() -> None:
    """Fixed values: a change would draw other documents for everybody who draws again."""
    assert lot(42, "doc-1") == 5801060539412624335
    assert lot(43, "doc-1") == 16572610051431760496
    assert lot(42, "über/猫") == 15314663075268388014
    for seed, document in ((42, "doc-1"), (0, ""), (2**64 - 1, "über/猫")):
        octets = struct.pack(">Q", seed) + document.encode()
        digest = hashlib.blake2b(octets, digest_size=8).digest()
        assert lot(seed, document) == struct.unpack(">Q", digest)[0]


IDS = st.lists(st.text(max_size=20), max_size=30)
SHARES = st.fractions(0, 1, max_denominator=10_000)


@given(IDS, SHARES, SHARES)
def test_a_smaller_sample_is_a_part_of_a_larger_one(
    ids: list[str | None], one: Fraction, other: Fraction
) -> None:
    small, large = sorted((one, other))
    few, many = Counter(kept(ids, small)), Counter(kept(ids, large))
    assert few <= many


@given(IDS, IDS, SHARES)
def test_a_document_is_drawn_whatever_the_others_are(
    ids: list[str | None], more: list[str | None], share: Fraction
) -> None:
    together = kept(ids + more, share, first_row=7)
    assert together == kept(ids, share) + kept(more, share, first_row=99)


@given(IDS)
def test_nothing_and_everything(ids: list[str | None]) -> None:
    assert kept(ids, Fraction(0)) == []
    assert kept(ids, Fraction(1)) == ids


@pytest.mark.parametrize("share", ["0.95", "0.095", "0.3135"])
def test_about_the_share_is_drawn_and_no_more(share: str) -> None:
    ids: list[str | None] = [f"<urn:uuid:{n}>" for n in range(20_000)]
    found = kept(ids, Fraction(share))
    expected = [i for i in ids if lot(42, str(i)) < int(Fraction(share) * 2**64)]
    assert found == expected
    assert abs(len(found) / 20_000 - float(share)) < 0.01
    assert kept(ids, Fraction(share), seed=43) != found


def test_a_document_without_an_id_has_the_lot_of_its_place() -> None:
    rows = [n for n in range(40) if lot(42, f"a.parquet/{n + 100}") < 2**63]
    assert len(kept([None] * 40, Fraction(1, 2), first_row=100)) == len(rows)
    assert 0 < len(rows) < 40


def test_each_language_has_its_share() -> None:
    ids: list[str | None] = [f"{language}-{n}" for n in range(300) for language in "abc"]
    languages: list[str | None] = [GERMAN, RUSSIAN, "xho_Latn"] * 300
    shares = (Fraction(1), Fraction(1, 2))
    found = kept(ids, Fraction(0), shares, languages, (GERMAN, RUSSIAN))
    counts = Counter(str(i)[0] for i in found)
    assert counts["a"] == 300
    assert 100 < counts["b"] < 200
    assert counts["c"] == 0


@pytest.mark.parametrize(
    ("keep", "others"), [(None, "0.095"), (0.33, "0.3135"), (0.1, "0.095")], ids=str
)
def test_the_shares_of_the_recipe(keep: float | None, others: str) -> None:
    chosen = recipe("fineweb-2-hq")
    chosen = chosen if keep is None else chosen.changed("quality", keep=keep)
    shares, languages = drawn(chosen)
    assert shares.seed == 42
    assert shares.others == Fraction(others)
    by_language = dict(zip(languages.known, shares.by_language, strict=True))
    toxic = chosen.settings["toxicity"]["below"]
    for name in chosen.settings["quality"]["languages"]:
        assert by_language[name] == Fraction("1" if name in toxic else "0.95")
    assert len(by_language) == 20
    assert len(toxic) == 8


@pytest.mark.parametrize(
    ("language", "script", "expected"),
    [
        ("deu", "Latn", 0),
        ("deu_Latn", None, 0),
        ("deu_Latn", "Latn", 0),
        ("deu", None, 0),
        ("deu", "", 0),
        ("DEU", "LATN", 0),
        (" deu-Latn ", None, 0),
        ("deu", "Cyrl", OTHER),
        ("rus_Latn", None, OTHER),
        ("rus", "Cyrl", 1),
        ("rus", None, 1),
        ("xho", "Latn", OTHER),
        ("xho", None, OTHER),
        (None, "Latn", None),
        (None, None, None),
        ("de", "Latn", "refused"),
        ("de", None, "refused"),
        ("German", None, "refused"),
        ("", None, "refused"),
        ("", "Latn", "refused"),
        ("deu_Latn_CH", None, "refused"),
        ("deu_La", None, "refused"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_languages_are_told_apart(
    language: str | None, script: str | None, expected: Any, kind: pa.DataType
) -> None:
    columns = {"language": pa.array(["fra_Latn", language], pa.string()).cast(kind)}
    if script is not None:
        columns["language_script"] = pa.array(["Latn", script], pa.string()).cast(kind)
    read = Languages((GERMAN, RUSSIAN)).read
    rows = np.array([5, 9])
    if expected == "refused":
        with pytest.raises(
            WrongColumns, match=r"'language' of a.parquet holds no language code in row 9"
        ):
            read(pa.table(columns), "a.parquet", rows)
        return
    found = read(pa.table(columns), "a.parquet", rows)
    assert found.said.tolist() == [True, expected is not None]
    assert found.numbers.tolist() == [OTHER, OTHER if expected is None else expected]


def test_a_null_script_leaves_the_language() -> None:
    table = pa.table({"language": ["deu", "deu_Latn"], "language_script": pa.nulls(2, pa.string())})
    assert Languages((GERMAN,)).read(table, "a", np.arange(2)).numbers.tolist() == [0, 0]


def test_a_data_set_of_one_language_need_not_say_which() -> None:
    found = Languages((FRENCH, GERMAN), GERMAN).read(
        pa.table({"id": ["a", "b"]}), "a", np.arange(2)
    )
    assert (found.numbers.tolist(), found.said.tolist()) == ([1, 1], [True, True])
    assert Languages((GERMAN,)).read(pa.table({"language": pa.array([], pa.string())}), "a", np.arange(0)).numbers.tolist() == []  # fmt: skip
