"""Texts that are made of other columns."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import WrongColumns
from pipeline.reconstruct.form import Form, is_form
from pipeline.reconstruct.recipes import Recipe, recipe
from pipeline.reconstruct.templates import (
    Conversation,
    Fields,
    Translation,
    made_schema,
    template_of,
    with_texts,
)

TEXT, BIG = pa.string(), pa.large_string()
CATEGORY = pa.dictionary(pa.int32(), TEXT)
FORWARD, BACKWARD = recipe("europarl-forward"), recipe("europarl-backward")
CHAT, FLAN = recipe("euroblocks"), recipe("flan")
TURN = pa.struct([("from", TEXT), ("value", TEXT)])


def texts(chosen: Recipe, **columns: pa.Array) -> list[str | None]:
    made = with_texts(chosen, pa.table(columns), "a.parquet", 0)
    return made[chosen.text].to_pylist()


def pairs(*values: Any, kind: pa.DataType = TEXT) -> pa.Array:
    return pa.array(values, pa.struct([("de", kind), ("en", kind)]))


# -- translations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TEXT, BIG], ids=str)
def test_a_translation_in_both_directions(kind: pa.DataType) -> None:
    column = pairs({"de": "Guten Tag", "en": "Hello"}, {"de": "", "en": "x\ny"}, kind=kind)
    assert texts(FORWARD, translation=column) == ["de: Guten Tag\nen: Hello", "de: \nen: x\ny"]
    assert texts(BACKWARD, translation=column) == ["en: Hello\nde: Guten Tag", "en: x\ny\nde: "]


def test_a_translation_without_a_side_is_no_text() -> None:
    column = pairs({"de": "x", "en": None}, {"de": None, "en": "x"}, None)
    assert texts(FORWARD, translation=column) == [None, None, None]


def test_languages_with_braces_are_names_as_any_other() -> None:
    column = pa.array([{"{a}": "x", "b|c": "y"}], pa.struct([("{a}", TEXT), ("b|c", TEXT)]))
    assert texts(FORWARD, translation=column) == ["{a}: x\nb|c: y"]


# -- conversations ---------------------------------------------------------------------------------


def turns(*values: Any, kind: pa.DataType = TURN) -> pa.Array:
    return pa.array(values, pa.list_(kind))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("human", "Hi"), ("gpt", "Yes.")], "user: Hi\nassistant: Yes."),
        ([("system", "Be brief."), ("human", "Hi")], "system: Be brief.\nuser: Hi"),
        ([("Human", "Hi")], "Human: Hi"),
        ([("tool", ""), ("gpt", "a\nb")], "tool: \nassistant: a\nb"),
        ([], ""),
        ([("human", None)], None),
        ([(None, "Hi"), ("gpt", "Yes.")], None),
    ],
    ids=["two", "system", "case", "empty turn", "no turn", "no words", "no speaker"],
)
def test_a_conversation(given: list[Any], expected: str | None) -> None:
    rows = [{"from": who, "value": what} for who, what in given]
    assert texts(CHAT, conversations=turns(rows)) == [expected]
    before = [{"from": "gpt", "value": "before"}]
    sliced = turns(before, rows, None, before).slice(1, 2)
    assert texts(CHAT, conversations=sliced) == [expected, None]


def test_roles_and_content_are_the_same_under_other_names() -> None:
    kind = pa.struct([("content", BIG), ("role", CATEGORY), ("weight", pa.int8())])
    row = [{"role": "human", "content": "Hi", "weight": 1}]
    column = pa.array([row], pa.large_list(kind))
    assert texts(CHAT, conversations=column) == ["user: Hi"]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.none()
        | st.lists(
            st.none()
            | st.fixed_dictionaries(
                {
                    "from": st.none() | st.sampled_from(["human", "gpt", "system", ""]),
                    "value": st.none() | st.text(max_size=5),
                }
            ),
            max_size=4,
        ),
        max_size=6,
    ),
    st.integers(0, 3),
)
def test_any_conversations_any_slice(rows: list[Any], skipped: int) -> None:
    """The same as one by one in Python, whatever offsets Arrow has."""
    roles = {"human": "user", "gpt": "assistant"}

    def meant(row: Any) -> str | None:
        if row is None or any(t is None or None in t.values() for t in row):
            return None
        return "\n".join(f"{roles.get(t['from'], t['from'])}: {t['value']}" for t in row)

    found = Conversation("c", roles).texts(pa.table({"c": turns(*rows).slice(skipped)}))
    assert found.to_pylist() == [meant(row) for row in rows[skipped:]]


# -- forms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TEXT, BIG, CATEGORY], ids=str)
def test_columns_in_a_form(kind: pa.DataType) -> None:
    inputs, labels = pa.array(["2 + 2?", "{labels}", None], TEXT), pa.array(["4", "", "x"], TEXT)
    found = texts(FLAN, inputs=inputs.cast(kind), labels=labels.cast(kind))
    assert found == ["User:\n2 + 2?\nAssistant:\n4", "User:\n{labels}\nAssistant:\n", None]


def test_the_first_candidate_of_a_gap_is_taken() -> None:
    a, b = pa.array(["a"]), pa.array(["b"])
    assert texts(FLAN, inputs=a, targets=b) == ["User:\na\nAssistant:\nb"]
    assert texts(FLAN, inputs=a, targets=b, labels=a) == ["User:\na\nAssistant:\na"]


def test_a_column_may_fill_two_gaps() -> None:
    template = Fields(Form.parse("{a}, {a} and {b}"))
    table = pa.table({"a": ["x"], "b": ["y"]})
    assert template.sources(table.schema, "a") == ("a", "b")
    assert template.texts(table).to_pylist() == ["x, x and y"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("ab{}|", max_size=6), min_size=1, max_size=4), st.text(max_size=5))
def test_what_fills_a_form_is_not_read_again(around: list[str], value: str) -> None:
    form = Form(tuple(around), (("x",),) * (len(around) - 1))
    found = form.filled([pa.array([value])] * (len(around) - 1))
    if len(around) > 1:
        assert found.to_pylist() == [value.join(around)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("url", False), ("metadata:url", False), ("@row", False), ("{}", False), ("{a}", True),
     ("https://x.test/{a|b:c}/", True)],
)  # fmt: skip
def test_what_is_a_form(text: str, expected: bool) -> None:
    assert is_form(text) is expected


def test_a_form_is_read() -> None:
    assert Form.parse("x{a|b:c}y{d}") == Form(("x", "y", ""), (("a", "b:c"), ("d",)))


# -- columns ---------------------------------------------------------------------------------------


def test_the_text_stands_where_its_sources_stood() -> None:
    """What is scrubbed from a text must not stay beside it."""
    schema = pa.schema({"n": pa.int8(), "labels": TEXT, "inputs": TEXT, "task": TEXT})
    schema = schema.with_metadata({"huggingface": "{}", "pandas": "{}", "made by": "tests"})
    made = made_schema(FLAN, schema, "a.parquet")
    assert made.names == ["n", "text", "task"]
    assert made.field("text").type == BIG
    assert made.metadata == {b"made by": b"tests"}
    table = pa.table({"n": [1], "labels": ["b"], "inputs": ["a"], "task": ["t"]})
    found = with_texts(FLAN, table, "a.parquet", 0).to_pylist()
    assert found == [{"n": 1, "text": "User:\na\nAssistant:\nb", "task": "t"}]


def test_a_recipe_without_a_template_changes_nothing() -> None:
    chosen, table = recipe("fineweb"), pa.table({"text": ["x"]})
    assert template_of(chosen) is None
    assert with_texts(chosen, table, "a", 0) is table
    assert made_schema(chosen, table.schema, "a") == table.schema


def test_kinds_of_templates() -> None:
    assert template_of(FORWARD) == Translation("translation")
    assert template_of(BACKWARD) == Translation("translation", backward=True)


@pytest.mark.parametrize(
    ("name", "columns", "match"),
    [
        ("europarl-forward", {"x": TEXT}, "^a.parquet has no column 'translation', .*found: x"),
        ("europarl-forward", {"translation": TEXT}, "'translation' of a.parquet is string: .*struct"),
        ("europarl-forward", {"translation": pa.struct([("de", TEXT)])}, "a struct of two texts"),
        ("europarl-forward", {"translation": pa.struct([(n, TEXT) for n in "abc"])}, "two texts"),
        ("europarl-forward", {"translation": pa.struct([("a", TEXT), ("b", pa.int8())])}, "two texts"),
        ("euroblocks", {"conversation": TEXT}, "no column 'conversations'"),
        ("euroblocks", {"conversations": TEXT}, "is string: it must be a list of turns"),
        ("euroblocks", {"conversations": pa.list_(TEXT)}, "a list of turns"),
        ("euroblocks", {"conversations": pa.list_(pa.struct([("from", TEXT)]))}, "list of turns"),
        ("euroblocks", {"conversations": pa.list_(pa.struct([("from", TEXT), ("value", pa.int8())]))},
         "list of turns"),
        ("flan", {"inputs": TEXT}, "no column 'labels' or 'targets', which the text is made of"),
        ("flan", {"labels": TEXT}, "no column 'inputs'"),
        ("flan", {"inputs": TEXT, "labels": pa.int8()}, "'labels' of a.parquet is int8: it must be"),
        ("flan", {"inputs": TEXT, "labels": TEXT, "text": TEXT}, "'text' already, .*'inputs' and 'labe"),
    ],
)  # fmt: skip
def test_what_no_text_can_be_made_of(name: str, columns: dict[str, Any], match: str) -> None:
    with pytest.raises(WrongColumns, match=match):
        made_schema(recipe(name), pa.schema(columns), "a.parquet")


def test_two_columns_of_one_name() -> None:
    schema = pa.schema([("inputs", TEXT), ("labels", TEXT), ("inputs", TEXT)])
    with pytest.raises(WrongColumns, match="two columns called 'inputs'"):
        made_schema(FLAN, schema, "a.parquet")


def test_a_text_that_is_not_utf8_is_told_with_its_row() -> None:
    broken = pa.Array.from_buffers(
        TEXT, 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")]
    )
    table = pa.table({"inputs": broken, "labels": ["x", "y"]})
    with pytest.raises(
        WrongColumns, match=r"Column 'text' of a\.parquet is not valid UTF-8 in row 11"
    ):
        with_texts(FLAN, table, "a.parquet", 10)
    speakers = pa.StructArray.from_arrays([broken, pa.array(["x", "y"])], ["from", "value"])
    chat = pa.table({"conversations": pa.ListArray.from_arrays([0, 1, 2], speakers)})
    with pytest.raises(WrongColumns, match="not valid UTF-8 in row 1"):
        with_texts(CHAT, chat, "a.parquet", 0)


def test_settings_are_json() -> None:
    for chosen in (FORWARD, BACKWARD, CHAT, FLAN):
        json.dumps(chosen.described())
