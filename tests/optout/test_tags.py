"""Compliance tags: what is compiled is what is looked up, whatever ids and columns look like."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UnreadableFile, WrongColumns, WrongVersion
from pipeline.optout.agents import resolve
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.signals import Signal
from pipeline.optout.spec import named
from pipeline.optout.tags import Shards, TagIndex, compile_tags, keys_of, side_file

AGENTS = ("CCBot", "CCBot/2.0", "GPTBot", "*")
LIST = pa.list_(pa.string())


def urn(number: int) -> str:
    return f"<urn:uuid:{uuid.UUID(int=number)}>"


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., Shards]:
    def compile_table(ids: Any, agents: Any, name: str = "tags", **more: Any) -> Shards:
        source = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"id": ids, "agents": agents, **more}), source)
        return compile_tags(source, tmp_path / f"{name}.tags.arrow", AGENTS)

    return compile_table


def look_up(shards: Shards, ids: Iterable[str | None]) -> list[int]:
    index = TagIndex(shards.path, shards.described())
    masks: list[int] = index.masks(pa.array(["" if i is None else i for i in ids])).tolist()
    return masks


# -- what is refused -------------------------------------------------------------------------------


def test_an_id_is_refused_for_the_agents_it_is_tagged_with(
    compiled: Callable[..., Shards],
) -> None:
    shards = compiled(
        [urn(1), urn(2), urn(3), urn(4), "doc-5", "doc-6"],
        pa.array([["CCBot"], ["GPTBot", "*"], [], None, ["CCBot", "CCBot/2.0"], ["Foo"]], LIST),
    )
    asked = [urn(1), urn(2), urn(3), urn(4), "doc-5", "doc-6", urn(7), "", "doc-"]
    assert look_up(shards, asked) == [0b1, 0b1100, 0, 0, 0b11, 0, 0, 0, 0]
    assert (shards.rows, shards.left_out) == (3, 3)


AGENT_LISTS = [
    (["GPTBot"], 0b100),
    (["gptbot"], 0b100),  # RFC 9309, 2.2.1: case-insensitive matching
    (["GPTBOT", "GPTBot"], 0b100),
    (["ccbot/2.0"], 0b10),
    (["GPTBot2"], 0),
    (["GPT"], 0),
    (["Foo", "GPTBot", "Bar"], 0b100),
    ([None, "GPTBot"], 0b100),
    ([None], 0),  # a null among the agents is nobody, not the first agent of the batch
    ([""], 0),
    (["*"], 0b1000),
]


@pytest.mark.parametrize(("agents", "mask"), AGENT_LISTS)
def test_agents_of_the_policy_count_and_no_others(
    agents: list[str | None], mask: int, compiled: Callable[..., Shards]
) -> None:
    shards = compiled(["other", "x"], pa.array([["GPTBot"], agents], LIST))
    assert look_up(shards, ["x", "other"]) == [mask, 0b100]


def test_two_agents_that_differ_in_case_are_both_meant(tmp_path: Path) -> None:
    source = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": ["x"], "agents": [["gptbot"]]}), source)
    shards = compile_tags(source, tmp_path / "t.arrow", ("GPTBot", "CCBot", "gptbot"))
    assert look_up(shards, ["x"]) == [0b101]


def test_tags_of_one_id_are_joined(compiled: Callable[..., Shards]) -> None:
    shards = compiled(
        [urn(1), "x", urn(1), "x", urn(1)],
        pa.array([["CCBot"], ["*"], ["GPTBot"], ["Foo"], ["CCBot"]], LIST),
    )
    assert look_up(shards, [urn(1), "x"]) == [0b101, 0b1000]
    assert (shards.rows, shards.left_out) == (2, 1)


def test_who_has_no_id_is_refused_by_no_tag(compiled: Callable[..., Shards]) -> None:
    """Documents without an id are looked up by the empty id: no tag may have that one."""
    shards = compiled(pa.array([None, "", "x"]), pa.array([["*"], ["*"], ["*"]], LIST))
    assert look_up(shards, [None, "", "x"]) == [0, 0, 0b1000]
    assert (shards.rows, shards.left_out) == (1, 2)


UUID = "0c6fd3a1-9b1e-4bd1-a6b5-2f1de20f8b97"
SPELLINGS = [
    f"<urn:uuid:{UUID}>",
    f"<urn:uuid:{UUID.upper()}>",
    f"<urn:uuid:{UUID[:-1]}F>",
    f"<URN:UUID:{UUID}>",
    f"urn:uuid:{UUID}",
    UUID,
    f"<urn:uuid:{UUID}",
    f"<urn:uuid:{UUID} >",
    f" <urn:uuid:{UUID}>",
    f"<urn:uuid:{UUID.replace('-', '0')}>",
    f"<urn:uuid:{UUID[:8]}0{UUID[9:]}>",  # a digit for the first dash
    f"<urn:uuid:{UUID[:-1]}g>",
    f"<urn:uuid:{UUID[:-1]}é>",
    f"<urn:uuid:{UUID[:-2]}é>",  # as many octets as a well-formed one
    "<urn:uuid:" + "-" * 36 + ">",
    f"<urn:uuid:{UUID}]",
]


@pytest.mark.parametrize("number", range(len(SPELLINGS)))
def test_every_spelling_is_its_own_id(number: int, compiled: Callable[..., Shards]) -> None:
    shards = compiled([SPELLINGS[number]], pa.array([["*"]], LIST))
    expected = [0b1000 * (i == number) for i in range(len(SPELLINGS))]
    assert look_up(shards, SPELLINGS) == expected


def test_made_up_ids_do_not_speak_for_each_other() -> None:
    """Not only random UUIDs: repeated digits, equal halves, counters in either half."""
    numbers = {0, 1 << 64}
    numbers |= {int(f"{d:x}" * 32, 16) for d in range(16)}
    numbers |= set(range(2000)) | {i << 64 for i in range(2000)}
    numbers |= {i << 64 | i for i in range(2000)} | {i << 64 | (2000 - i) for i in range(2000)}
    ids = [urn(n) for n in numbers] + [f"doc-{i}" for i in range(2000)]
    assert len(np.unique(keys_of(pa.array(ids)))) == len(ids)


def test_keys_are_spread_over_all_buckets() -> None:
    keys = keys_of(pa.array([urn(n) for n in range(20_000)]))
    counts = np.bincount((keys >> np.uint64(58)).astype(int), minlength=64)
    assert counts.min() > 150  # 312 on average
    assert counts.max() < 600


# -- keys do not depend on how ids lie in memory ---------------------------------------------------

IDS = ["x", urn(7), "", "é" * 3, SPELLINGS[1], urn(1 << 127), "<urn:uuid:>", "a" * 47]
LAYOUTS: dict[str, Callable[[list[str]], Any]] = {
    "string": pa.array,
    "large_string": lambda v: pa.array(v, pa.large_string()),
    "dictionary": lambda v: pa.array(v).dictionary_encode(),
    "sliced": lambda v: pa.array([urn(3), "y", *v, urn(4)]).slice(2, len(v)),
    "sliced large": lambda v: pa.array(["y", *v], pa.large_string()).slice(1),
    "chunked": lambda v: pa.chunked_array([v[:3], [], v[3:]], pa.string()),
    "chunked and sliced": lambda v: pa.chunked_array([["y", *v[:3]], v[3:]]).slice(1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_equal_ids_have_equal_keys_in_any_layout(layout: str) -> None:
    one_by_one = [int(keys_of(pa.array([i]))[0]) for i in IDS]
    assert len(set(one_by_one)) == len(IDS)
    assert keys_of(LAYOUTS[layout](IDS)).tolist() == one_by_one
    assert keys_of(LAYOUTS[layout]([])).tolist() == []


def test_ids_that_are_no_utf8_have_keys(compiled: Callable[..., Shards]) -> None:
    ids = pa.array([b"\xff", b"\xfe", b"<urn:uuid:" + b"\xff" * 36 + b">"], pa.binary())
    shards = compiled(ids.view(pa.string()), pa.array([["*"], ["Foo"], ["*"]], LIST))
    index = TagIndex(shards.path, shards.described())
    assert index.masks(ids.view(pa.string())).tolist() == [0b1000, 0, 0b1000]


COLUMNS = {
    "list": pa.array([["GPTBot"], ["*", "x"]], LIST),
    "large_list": pa.array([["GPTBot"], ["*", "x"]], pa.large_list(pa.large_string())),
    "dictionary inside": pa.ListArray.from_arrays(
        pa.array([0, 1, 3], pa.int32()), pa.array(["GPTBot", "*", "x"]).dictionary_encode()
    ),
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("ids", ["string", "large_string", "dictionary"])
def test_columns_may_be_encoded(kind: str, ids: str, compiled: Callable[..., Shards]) -> None:
    shards = compiled(LAYOUTS[ids](["a", urn(1)]), COLUMNS[kind])
    assert look_up(shards, ["a", urn(1)]) == [0b100, 0b1000]


@pytest.mark.parametrize("column", ["agents", "user_agents", "disallowed_agents"])
def test_the_column_of_agents_has_several_names(column: str, tmp_path: Path) -> None:
    source = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": ["x"], column: [["GPTBot"]], "url": ["y"]}), source)
    assert look_up(compile_tags(source, tmp_path / "t.arrow", AGENTS), ["x"]) == [0b100]


# -- many ------------------------------------------------------------------------------------------


def test_shards_of_a_folder_make_one_index(tmp_path: Path) -> None:
    """More rows than a batch, over several files, an id in two of them."""
    random = np.random.default_rng(3)
    numbers = [int(n) << 64 | int(m) for n, m in random.integers(0, 1 << 62, (150_000, 2))]
    ids = [urn(n) for n in numbers]
    folder = tmp_path / "shards"
    folder.mkdir()
    for part in range(3):
        some = ids[part * 50_000 : (part + 1) * 50_000] + ids[:1]
        agents = [[AGENTS[part]]] * len(some)
        pq.write_table(
            pa.table({"id": some, "agents": agents}),
            folder / f"{part}.parquet",
            row_group_size=20_000,
        )
    shards = compile_tags(folder, tmp_path / "t.arrow", AGENTS)
    assert (shards.rows, shards.left_out) == (150_000, 0)
    masks = TagIndex(shards.path, shards.described()).masks(pa.array([*ids, "none"]))
    expected = np.repeat([0b1, 0b10, 0b100, 0], [50_000, 50_000, 50_000, 1])
    expected[0] = 0b111
    assert (masks == expected).all()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


ID = st.one_of(
    st.integers(0, 20).map(urn),
    st.sampled_from(SPELLINGS),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)
TAGGED = st.lists(
    st.tuples(
        st.none() | ID,
        st.none() | st.lists(st.sampled_from([*AGENTS, "Foo", None]), max_size=3),
    ),
    max_size=20,
)


@given(TAGGED, st.lists(ID, max_size=20), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_an_index_answers_as_a_dictionary_does(
    tmp_path_factory: pytest.TempPathFactory,
    tagged: list[tuple[str | None, list[str | None] | None]],
    others: list[str],
    offset: int,
) -> None:
    folder = tmp_path_factory.mktemp("tags")
    table = {
        "id": pa.array([t[0] for t in tagged], pa.string()),
        "agents": pa.array([t[1] for t in tagged], LIST),
    }
    pq.write_table(pa.table(table), folder / "t.parquet", row_group_size=7)
    held: dict[str, int] = {}
    for id_, agents in tagged:
        mask = sum(1 << AGENTS.index(a) for a in {*(agents or ())} & {*AGENTS} if a)
        if id_ and mask:
            held[id_] = held.get(id_, 0) | mask
    shards = compile_tags(folder, folder / "t.arrow", AGENTS)
    assert shards.rows == len(held)
    asked = [i for i, _ in tagged if i is not None] + others
    index = TagIndex(shards.path, shards.described())
    assert index.masks(pa.array(asked, pa.string())).tolist() == [held.get(i, 0) for i in asked]
    sliced = pa.array(asked, pa.string()).slice(offset)
    assert index.masks(sliced).tolist() == [held.get(i, 0) for i in asked[offset:]]


def test_the_order_of_tags_does_not_matter(tmp_path: Path) -> None:
    rows = [(urn(i), [AGENTS[i % 4]]) for i in range(100)] + [(urn(5), ["*"])]
    made = []
    for name, ordered in (("a", rows), ("b", rows[::-1])):
        source = tmp_path / name / "t.parquet"
        source.parent.mkdir()
        table = pa.table({"id": [r[0] for r in ordered], "agents": [r[1] for r in ordered]})
        pq.write_table(table, source)
        made.append(compile_tags(source, tmp_path / name / "p.tags.arrow", AGENTS))
    one, other = made
    assert one.path.read_bytes() == other.path.read_bytes()
    assert one.described() == other.described()
    assert one.sha256 == hashlib.sha256(one.path.read_bytes()).hexdigest()


# -- beside a policy -------------------------------------------------------------------------------


def policy_with_tags(folder: Path, tagged: dict[str, list[str]], **options: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table({"id": list(tagged), "agents": pa.array(tagged.values(), LIST)}),
        folder / "tags.parquet",
    )
    out = folder / "policy.parquet"
    compiler = PolicyCompiler(named("rfc9309", **options), resolve("apertus"), date(2026, 1, 31))
    compiler.add_tags(folder / "tags.parquet", out)
    compiler.finish(out)
    (folder / "tags.parquet").unlink()
    return out


def test_a_tag_refuses_and_names_its_agents(tmp_path: Path) -> None:
    path = policy_with_tags(tmp_path, {urn(1): ["PanguBot", "GPTBot"], "x": ["Foo"]})
    policy = OptOutPolicy.open(path)
    refusal = policy.verdict("https://a.test/", urn(1)).refusal
    assert refusal is not None
    assert (refusal.signal, refusal.agents) == (Signal.TAG, ("GPTBot", "PanguBot"))
    assert (refusal.file, refusal.source_hash) == ("tags", None)
    assert policy.verdict("https://a.test/", "x").keep
    assert policy.verdict("https://a.test/", None).keep
    assert policy.verdict(None, urn(1)).keep is False


def test_both_policies_obey_tags(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"id": ["x"], "agents": [["*"]]}), tmp_path / "t.parquet")
    compiler = PolicyCompiler(named("apertus-2025-01"), resolve("apertus"), date(2026, 1, 31))
    compiler.add_tags(tmp_path / "t.parquet", path)
    compiler.finish(path)
    assert not OptOutPolicy.open(path).verdict("https://a.test/", "x").keep


def test_a_policy_and_its_tags_move_together(tmp_path: Path) -> None:
    path = policy_with_tags(tmp_path / "here", {"x": ["*"]})
    (tmp_path / "here").rename(tmp_path / "there")
    moved = tmp_path / "there" / path.name
    assert not OptOutPolicy.open(moved).verdict(None, "x").keep


def test_missing_tags_stop(tmp_path: Path) -> None:
    path = policy_with_tags(tmp_path, {"x": ["*"]})
    side_file(path).unlink()
    with pytest.raises(UnreadableFile, match="keep the two files in one folder"):
        OptOutPolicy.open(path)


def test_swapped_tags_stop_even_with_as_many_rows(tmp_path: Path) -> None:
    """Tags of another compilation would keep what this policy refuses."""
    one = policy_with_tags(tmp_path / "1", {"x": ["*"]})
    other = policy_with_tags(tmp_path / "2", {"y": ["*"]})
    agents = policy_with_tags(tmp_path / "3", {"x": ["GPTBot"]})
    for wrong in (other, agents):
        shutil.copy(side_file(wrong), side_file(one))
        with pytest.raises(WrongVersion, match="belongs to another policy"):
            OptOutPolicy.open(one)


def test_damaged_tags_stop(tmp_path: Path) -> None:
    path = policy_with_tags(tmp_path, {"x": ["*"]})
    whole = side_file(path).read_bytes()
    for octets in (b"", b"ARROW1\0\0", whole[: len(whole) // 2], whole[:-1]):
        side_file(path).write_bytes(octets)
        with pytest.raises(UnreadableFile, match="damaged or cut off"):
            OptOutPolicy.open(path)


def test_another_arrow_file_is_not_taken_for_tags(tmp_path: Path) -> None:
    path = policy_with_tags(tmp_path, {"x": ["*"]})
    with pa.ipc.new_file(str(side_file(path)), pa.schema({"key": pa.uint64()})) as writer:
        writer.write_batch(pa.record_batch({"key": pa.array([1], pa.uint64())}))
    with pytest.raises(WrongVersion, match="belongs to another policy"):
        OptOutPolicy.open(path)


def test_the_version_of_a_policy_is_that_of_its_tags(tmp_path: Path) -> None:
    def version(name: str, tagged: dict[str, list[str]]) -> str:
        return OptOutPolicy.open(policy_with_tags(tmp_path / name, tagged)).version

    first = version("1", {"x": ["*"], "y": ["GPTBot"]})
    assert version("2", {"y": ["GPTBot"], "x": ["*"]}) == first
    assert version("3", {"y": ["GPTBot"], "x": ["*"], "z": ["Foo"]}) == first
    assert version("4", {"y": ["GPTBot"]}) != first
    assert version("5", {"x": ["*"], "y": ["CCBot"]}) != first


def test_the_version_does_not_depend_on_the_name_of_the_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["x"], "agents": [["*"]]}), tmp_path / "t.parquet")
    versions = set()
    for name in ("a.parquet", "b.parquet"):
        compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), date(2026, 1, 31))
        compiler.add_tags(tmp_path / "t.parquet", tmp_path / name)
        versions.add(compiler.finish(tmp_path / name).version)
    assert len(versions) == 1


def test_tags_that_refuse_nothing_make_an_empty_index(compiled: Callable[..., Shards]) -> None:
    shards = compiled(["x"], pa.array([["Foo"]], LIST))
    assert (shards.rows, shards.left_out) == (0, 1)
    assert look_up(shards, ["x", urn(1), ""]) == [0, 0, 0]


# -- what cannot be used ---------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no id": ({"agents": [["*"]]}, "needs the columns id and agents"),
    "no agents": ({"id": ["x"], "url": ["y"]}, r"\(found: 'id', 'url'\)"),
    "agents are text": ({"id": ["x"], "agents": ["GPTBot,*"]}, "must be a list of user agents"),
    "agents are numbers": ({"id": ["x"], "agents": [[1]]}, "must be a list of user agents"),
    "ids are numbers": ({"id": [1], "agents": [["*"]]}, "'id' of .* must hold text"),
    "ids are lists": ({"id": [["x"]], "agents": [["*"]]}, "'id' of .* must hold text"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_columns_stop(case: str, tmp_path: Path) -> None:
    columns, said = WRONG[case]
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(WrongColumns, match=said):
        compile_tags(tmp_path / "t.parquet", tmp_path / "t.arrow", AGENTS)


@pytest.mark.parametrize("twice", ["id", "agents"])
def test_a_column_that_stands_twice_stops(twice: str, tmp_path: Path) -> None:
    table = pa.table({"id": ["x"], "agents": [["*"]]})
    pq.write_table(table.append_column(twice, table[twice]), tmp_path / "t.parquet")
    with pytest.raises(WrongColumns, match=f"'{twice}' stands twice"):
        compile_tags(tmp_path / "t.parquet", tmp_path / "t.arrow", AGENTS)


def test_what_is_no_parquet_stops_and_leaves_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "t.arrow"
    out.write_bytes(b"old")
    (tmp_path / "empty").mkdir()
    for source in ("none.parquet", "empty"):
        with pytest.raises(UnreadableFile, match="There are no compliance tags"):
            compile_tags(tmp_path / source, out, AGENTS)
    bad = tmp_path / "bad.parquet"
    for octets in (b"", b"PAR1", b"id,agents\n"):
        bad.write_bytes(octets)
        with pytest.raises(UnreadableFile, match="not a Parquet file or is damaged or cut off"):
            compile_tags(bad, out, AGENTS)
    assert out.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.parquet", "empty", "t.arrow"]


def test_damage_in_a_later_shard_stops(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    table = pa.table({"id": [urn(i) for i in range(500)], "agents": [["*"]] * 500})
    for name in ("a", "b"):
        pq.write_table(table, folder / f"{name}.parquet", write_page_checksum=True)
    octets = bytearray((folder / "b.parquet").read_bytes())
    for at in range(4, len(octets) // 2):
        octets[at] = 0xAA
    (folder / "b.parquet").write_bytes(octets)
    with pytest.raises(UnreadableFile, match=r"b\.parquet .* damaged"):
        compile_tags(folder, tmp_path / "t.arrow", AGENTS)
    assert [p.name for p in tmp_path.iterdir()] == ["shards"]
