"""Finding columns, and reading values out of them whatever holds them."""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import WrongColumns
from pipeline.reconstruct.columns import check_utf8, holders, integers, resolve, strings
from pipeline.reconstruct.form import Form
from pipeline.reconstruct.recipes import recipe, recipes

TEXT, BIG = pa.string(), pa.large_string()
CATEGORY = pa.dictionary(pa.int32(), pa.string())
BASE = {"text": TEXT, "id": TEXT, "url": TEXT}


def schema(**kinds: pa.DataType) -> pa.Schema:
    return pa.schema({k: v for k, v in (BASE | kinds).items() if v is not None})


@pytest.mark.parametrize("name", list(recipes()))
def test_every_recipe_finds_its_first_candidates(name: str) -> None:
    chosen = recipe(name)
    names = [c[0] for c in (chosen.id, chosen.url, chosen.language, chosen.tokens) if c]
    forms = [Form.parse(name) for name in names]
    plain = {
        c: TEXT for f, n in zip(forms, names, strict=True) for c in [g[0] for g in f.gaps] or [n]
    }
    found = resolve(chosen, pa.schema({chosen.text: TEXT} | plain), "a.parquet")
    first = {
        name: next(iter(getattr(chosen, name)), None) for name in ("url", "language", "tokens")
    }
    assert (found.text, found.id) == (chosen.text, chosen.id[0])
    assert {name: getattr(found, name) for name in first} == first


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("fineweb-2", {"language": TEXT, "language_script": TEXT}, {"language": "language"}),
        ("fineweb-2", {"language_script": TEXT}, {"language": "language_script"}),
        ("fineweb", {"text": BIG, "url": CATEGORY, "id": BIG}, {"url": "url"}),
        ("fineweb", {"language": CATEGORY}, {"language": "language"}),
        ("fineweb", {"language": pa.list_(TEXT)}, {"language": None}),
        ("fineweb", {"language": pa.int32()}, {"language": None}),
        ("fineweb", {}, {"language": None, "tokens": None, "pages": ()}),
        ("fineweb", {"meta_robots": TEXT, "x_robots_tag": pa.int8()}, {"pages": ("meta_robots",)}),
        (
            "fineweb",
            {"meta_robots": pa.null(), "x_robots_tag": CATEGORY},
            {"pages": ("x_robots_tag",)},
        ),
        ("fineweb", {"tdm_reservation": pa.int8()}, {"pages": ("tdm_reservation",)}),
        ("fineweb", {"tdm_reservation": pa.bool_()}, {"pages": ("tdm_reservation",)}),
        ("dclm-edu", {"url": None, "metadata": TEXT}, {"url": "metadata:url|WARC-Target-URI"}),
        (
            "dclm-edu",
            {"url": None, "id": None, "metadata": pa.struct([("WARC-Target-URI", TEXT)])},
            {"url": "metadata:url|WARC-Target-URI", "id": "@row"},
        ),
        (
            "dclm-edu",
            {"id": None, "metadata": pa.map_(TEXT, TEXT)},
            {"id": "metadata:WARC-Record-ID"},
        ),
        ("finemath", {"id": None}, {"id": "@row"}),
        (
            "starcoder",
            {"content": TEXT, "max_stars_repo_name": CATEGORY},
            {"url": "https://github.com/{max_stars_repo_name|repo_name}/"},
        ),
        (
            "stack-v2-edu",
            {"metadata": pa.struct([("repo_name", TEXT)]), "repo_name": TEXT},
            {"url": "https://github.com/{metadata:repo_name}/"},
        ),
        ("stack-v2-edu", {"repo_name": TEXT}, {"url": "https://github.com/{repo_name}/"}),
    ],
    ids=str,
)
def test_what_is_found(name: str, given: dict[str, Any], expected: dict[str, Any]) -> None:
    found = resolve(recipe(name), schema(**given), "a.parquet")
    assert {k: getattr(found, k) for k in expected} == expected


@pytest.mark.parametrize(
    ("name", "given", "match"),
    [
        ("fineweb", {"text": None}, "^a.parquet has no column 'text', .*found: id, url"),
        ("fineweb", {"url": None}, "no URLs, .*reads them from url .found: text, id"),
        ("fineweb", {"id": None}, "no document ids"),
        ("fineweb", {"text": pa.binary()}, "Column 'text' of a.parquet is binary: it must be text"),
        ("fineweb", {"id": pa.int64()}, "Column 'id' of a.parquet is int64: ids must be text"),
        ("fineweb", {"url": pa.list_(TEXT)}, "URLs must be text"),
        ("fineweb", {"meta_robots": pa.list_(TEXT)}, "Column 'meta_robots' of a.parquet is list"),
        ("fineweb", {"tdm_reservation": pa.float32()}, "must be text; convert the column or leave"),
        ("dclm-edu", {"url": None, "metadata": pa.int64()}, "no URLs"),
        (
            "starcoder",
            {"content": TEXT},
            "from https://github.com/{max_stars_repo_name|repo_name}/ .f",
        ),
        ("starcoder", {"content": TEXT, "repo_name": pa.int64()}, "no URLs"),
        ("stack-v2-edu", {"metadata": pa.struct([("path", TEXT)])}, "no URLs"),
        ("dclm-edu", {"url": None, "metadata": pa.struct([("a", TEXT)])}, "no URLs"),
    ],
    ids=str,
)
def test_what_is_not_there(name: str, given: dict[str, Any], match: str) -> None:
    with pytest.raises(WrongColumns, match=match):
        resolve(recipe(name), schema(**given), "a.parquet")


def test_many_columns_are_not_all_listed() -> None:
    with pytest.raises(WrongColumns) as caught:
        resolve(
            recipe("fineweb"), pa.schema({f"column{i}": TEXT for i in range(5000)}), "a.parquet"
        )
    assert len(str(caught.value)) < 500


def test_a_url_out_of_other_columns() -> None:
    url = "https://x.test/{repo_name}/{metadata:path|path}"
    metadata = pa.array([json.dumps({"path": "a b.py"}), "{}", None, "{}"])
    names = pa.array(["acme/{tool}", "acme/tool", "acme/tool", None])
    held = pa.table({"repo_name": names.dictionary_encode(), "metadata": metadata})
    expected = ["https://x.test/acme/{tool}/a b.py", None, None, None]
    assert strings(held, url, "a", 0).to_pylist() == expected
    other = pa.table({"repo_name": names, "path": names})
    assert strings(other, url, "a", 0)[1].as_py() == "https://x.test/acme/tool/acme/tool"
    assert strings(other, url, "a", 0).type == TEXT


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("url", {"url"}),
        ("a:b", {"a:b"}),
        ("metadata:url", {"metadata"}),
        ("@row", set()),
        ("https://x.test/{none|url}/{metadata:path}", {"url", "metadata"}),
    ],
)
def test_which_columns_must_be_read(column: str, expected: set[str]) -> None:
    held = pa.schema({"url": TEXT, "a:b": TEXT, "metadata": TEXT})
    assert holders(column, held) == expected


METADATA = [
    ('{"url": "https://x.example/"}', "https://x.example/"),
    ('{"url": null}', None),
    ('{"URL": "https://x.example/"}', None),
    ("{}", None),
    ("[]", None),
    ('[["url", "x"]]', None),
    ("[1, 2]", None),
    ('"url"', None),
    ("null", None),
    ("not JSON", None),
    ("", None),
    (None, None),
    ('{"url": 3}', "3"),
    ('{"url": ["a"]}', '["a"]'),
    ('{"url": "\\ud83d\\ude00"}', "😀"),
    ('{"url": "half \\ud83d"}', "half \ufffd"),
    ('{"url": "\\u0000"}', "\x00"),
    ("[" * 100_000, None),
    ('{"url": ' + "9" * 10_000 + "}", None),
]


@pytest.mark.parametrize("kind", [TEXT, BIG, CATEGORY], ids=str)
def test_a_key_of_json_metadata(kind: pa.DataType) -> None:
    values = pa.array([held for held, _ in METADATA], TEXT).cast(kind)
    found = strings(pa.table({"metadata": values}), "metadata:url", "a.parquet", 0)
    assert found.to_pylist() == [value for _, value in METADATA]
    assert found.type == TEXT


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([{"url": "x", "at": 1}, None, {}], pa.struct([("url", TEXT), ("at", pa.timestamp("ns"))])),
        ([[("url", "x"), ("b", "y")], None, []], pa.map_(TEXT, TEXT)),
        ([b'{"url": "x"}', None, b"\xff"], pa.binary()),
    ],
    ids=["struct", "map", "binary"],
)  # fmt: skip
def test_metadata_of_other_types(values: list[Any], kind: pa.DataType) -> None:
    table = pa.table({"metadata": pa.array(values, kind)})
    assert strings(table, "metadata:url", "a", 0).to_pylist() == ["x", None, None]


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=20),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        ).map(lambda value: json.dumps({"url": value})),
        st.binary(max_size=20),
    )
)
def test_no_metadata_makes_it_stumble(held: str | bytes) -> None:
    kind = pa.binary() if isinstance(held, bytes) else TEXT
    table = pa.table({"metadata": pa.array([held], kind)})
    found = strings(table, "metadata:url", "a", 0)
    assert len(found) == 1
    assert integers(table, "metadata:url").type == pa.int64()


def test_rows_as_ids_and_columns_that_are_missing() -> None:
    table = pa.table({"a": ["x", "y"]})
    assert strings(table, "@row", "b/c.parquet", 40).to_pylist() == [
        "b/c.parquet/40",
        "b/c.parquet/41",
    ]
    assert strings(table, None, "a", 0).to_pylist() == [None, None]
    assert integers(table, None).to_pylist() == [None, None]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None, -3], pa.int8(), [1, None, -3]),
        ([2**64 - 1, 7], pa.uint64(), [None, 7]),
        ([1.9, math.nan, math.inf, -math.inf, 1e300, None], pa.float64(), [1, None, None, None, None, None]),
        ([2.5, 3.0], pa.float32(), [2, 3]),
        (["12", "x"], pa.string(), [None, None]),
        ([True], pa.bool_(), [None]),
        ([[1]], pa.list_(pa.int8()), [None]),
    ],
    ids=str,
)  # fmt: skip
def test_numbers_of_tokens(values: list[Any], kind: pa.DataType, expected: list[Any]) -> None:
    table = pa.table({"n": pa.chunked_array([pa.array(values, kind)])})
    found = integers(table, "n")
    assert isinstance(found, pa.Array)
    assert found.to_pylist() == expected


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ("12", 12), ('"12"', 12), ('"١٢"', 12), ("1.5", None), ("true", None), ("-1", None),
        ("9" * 18, int("9" * 18)), ("9" * 19, None), ("1e3", None),
    ],
)  # fmt: skip
def test_numbers_in_metadata(held: str, expected: int | None) -> None:
    table = pa.table({"metadata": [f'{{"n": {held}}}']})
    assert integers(table, "metadata:n").to_pylist() == [expected]


def broken(*values: bytes, kind: pa.DataType = TEXT) -> pa.Array:
    return pa.array(values, pa.large_binary() if kind == BIG else pa.binary()).view(kind)


@pytest.mark.parametrize("bad", [b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\x80", b"ab\xe7\x8c"])
@pytest.mark.parametrize("kind", [TEXT, BIG], ids=str)
def test_texts_that_are_not_utf8(bad: bytes, kind: pa.DataType) -> None:
    fine = pa.array(["é", "猫", None], kind)
    table = pa.table({"t": pa.chunked_array([fine, broken(b"ok", b"\xc3\xa9", bad, kind=kind)])})
    with pytest.raises(
        WrongColumns, match=r"^Column 't' of a.parquet is not valid UTF-8 in row 105:"
    ):
        check_utf8(table, "t", "a.parquet", 100)
    check_utf8(table.slice(0, 5), "t", "a.parquet", 100)


def test_texts_in_dictionaries_that_are_not_utf8() -> None:
    values = pa.DictionaryArray.from_arrays([0, 0, 1], broken(b"ok", b"\xff"))
    with pytest.raises(WrongColumns, match="in row 2:"):
        check_utf8(pa.table({"t": values}), "t", "a.parquet", 0)


@pytest.mark.parametrize("way", ["json", "struct"])
def test_a_row_s_own_key_is_found_where_another_row_has_another(way: str) -> None:
    """Or a document of a closed site would stay, having no URL."""
    rows = [{"url": "https://a.test/"}, {"WARC-Target-URI": "https://b.test/"}, {"other": "x"}]
    kind = pa.struct([("url", pa.string()), ("WARC-Target-URI", pa.string())])
    held = (
        pa.array([json.dumps(row) for row in rows])
        if way == "json"
        else pa.array([{k: v for k, v in row.items() if k != "other"} for row in rows], kind)
    )
    table = pa.table({"text": ["t"] * 3, "id": ["1", "2", "3"], "metadata": held})
    found = resolve(recipe("dclm-edu"), table.schema, "a.parquet")
    assert strings(table, found.url, "a.parquet", 0).to_pylist() == [
        "https://a.test/",
        "https://b.test/",
        None,
    ]
