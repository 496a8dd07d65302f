"""Whatever is wrong with what is handed in is one clear sentence; nothing is lost or half-made."""

from __future__ import annotations

import fcntl
import json
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filter.errors import InputError
from pipeline.errors import UnknownName, UnreadableFile, WrongColumns, WrongRun, WrongVersion
from pipeline.reconstruct.chunk import CHUNK_ROWS
from pipeline.reconstruct.columns import resolve
from pipeline.reconstruct.folder import inputs
from pipeline.reconstruct.recipes import recipe
from pipeline.reconstruct.steps.read import ReadChunks


def one_sentence(error: InputError) -> None:
    """Ends with a full stop, says what to do, fits a terminal, and holds no traceback."""
    text = str(error)
    assert text.endswith(".")
    assert "\n" not in text
    assert 20 < len(text) < 400
    assert not re.search(r"Error\b|Traceback|0x[0-9a-f]{6}", text)


def refused(
    world: Any, kind: type[InputError], match: str, source: Any = None, **given: Any
) -> None:
    """The run is refused with one sentence, and no output folder is made."""
    out = given.get("out", world.folder / "out")
    before = sorted(p for p in Path(out).rglob("*")) if Path(out).exists() else None
    with pytest.raises(kind, match=match) as caught:
        world.run(source or world.folder / "corpus", **given)
    one_sentence(caught.value)
    after = sorted(p for p in Path(out).rglob("*")) if Path(out).exists() else None
    assert after == before


# -- the input --------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["text", "id", "url"])
@pytest.mark.parametrize("files", [("a.parquet",), ("b/last.parquet",)])
def test_a_missing_column(world: Any, missing: str, files: tuple[str]) -> None:
    world.corpus({"a.parquet": 3, "b/last.parquet": 3})
    for name in files:
        table = pq.read_table(world.folder / "corpus" / name).drop_columns([missing])
        world.write(world.folder / "corpus" / name, table)
    what = {"text": "no column 'text'", "id": "no document ids", "url": "no URLs"}[missing]
    refused(world, WrongColumns, f"^{files[0]} has {what}.*found: ")


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("text", pa.binary()),
        ("text", pa.list_(pa.string())),
        ("text", pa.int64()),
        ("url", pa.binary()),
        ("url", pa.struct([("a", pa.string())])),
        ("id", pa.int64()),
        ("id", pa.null()),
    ],
    ids=str,
)
def test_a_column_of_another_type(world: Any, column: str, kind: pa.DataType) -> None:
    table = pa.Table.from_pylist(world.documents(3), world.schema)
    at = table.schema.get_field_index(column)
    table = table.set_column(at, column, pa.nulls(3, kind))
    world.write(world.folder / "corpus/a.parquet", table)
    refused(world, WrongColumns, f"^Column '{column}' of a.parquet is .* must be text")


def test_two_columns_of_one_name(world: Any) -> None:
    table = pa.Table.from_pylist(world.documents(3), world.schema)
    world.write(world.folder / "corpus/a.parquet", table.append_column("date", pa.nulls(3)))
    refused(world, WrongColumns, "^a.parquet has two columns called 'date'")


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        lambda content: content[:-1],
        lambda content: content[:3],
        lambda _: b"",
        lambda _: b"PAR1" + b"\0" * 100 + b"PAR1",
        lambda _: b'{"text": "not Parquet"}\n',
        lambda content: content[:-12] + b"\xff" * 8 + content[-4:],
    ],
    ids=["half", "last octet", "head", "empty", "zeros", "jsonl", "length"],
)
def test_a_file_without_a_footer(world: Any, damage: Callable[[bytes], bytes]) -> None:
    source = world.corpus({"a.parquet": 30, "b.parquet": 30})
    path = source / "b.parquet"
    path.write_bytes(damage(path.read_bytes()))
    refused(world, UnreadableFile, "b.parquet is not a Parquet file or is cut off: fetch it again")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_damaged_in_the_middle(world: Any, workers: int) -> None:
    """What was finished before stays; once the file is whole again, the same command goes on."""
    source = world.corpus({"a.parquet": 30, "b.parquet": 5000, "c.parquet": 30}, row_group=1000)
    expected = world.run(source, world.folder / "expected")
    whole = (source / "b.parquet").read_bytes()
    chunk = pq.ParquetFile(source / "b.parquet").metadata.row_group(3).column(0)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    (source / "b.parquet").write_bytes(
        whole[:start]
        + b"\0" * chunk.total_compressed_size
        + whole[start + chunk.total_compressed_size :]
    )
    # The damage is inside: size and footer are those of the whole file.
    with pytest.raises(
        UnreadableFile, match=f"^b.parquet is damaged behind row {CHUNK_ROWS}"
    ) as caught:
        world.run(source, workers=workers)
    one_sentence(caught.value)
    out = world.folder / "out"
    assert not (out / "data/b.parquet").exists()
    assert not (out / "state/b.parquet.json").exists()
    assert not (out / "README.md").exists()
    assert world.leftovers(out) == []
    (source / "b.parquet").write_bytes(whole)
    assert world.run(source, workers=workers).documents_out == expected.documents_out
    assert world.contents(out) == world.contents(world.folder / "expected")


@pytest.mark.parametrize("rows", [10, 1500])
def test_a_file_that_changes_while_the_run_goes_on(world: Any, rows: int) -> None:
    """Whoever writes it again in between gets no half of each."""
    source = world.corpus({"a.parquet": 700})
    folder, files = inputs(str(source), lambda *_: None)
    world.write(source / "a.parquet", world.documents(rows))
    with pytest.raises(UnreadableFile, match=r"^a.parquet has changed since the run began"):
        list(ReadChunks(folder, files).run())
    # Of the same size, though with fewer rows than were promised:
    promised = [replace(files[0], bytes=(source / "a.parquet").stat().st_size, rows=2000)]
    with pytest.raises(UnreadableFile, match=f"^a.parquet is damaged behind row {rows}"):
        list(ReadChunks(folder, promised).run())


def test_any_flipped_bits_are_either_noticed_or_harmless(world: Any) -> None:
    """No traceback, whatever is flipped: an `InputError`, or as many rows as the footer promises."""
    source = world.corpus({"a.parquet": 700}, row_group=200)
    path = source / "a.parquet"
    whole = path.read_bytes()
    rng = random.Random(11)
    noticed = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 8])):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            folder, files = inputs(str(source), lambda s, n: resolve(recipe("fineweb"), s, n))
            rows = sum(chunk.rows for chunk in ReadChunks(folder, files).run())
            assert rows == files[0].rows
        except InputError as error:
            one_sentence(error)
            noticed += 1
    assert noticed > 20


@pytest.mark.parametrize("column", ["text", "id", "url", "language"])
def test_invalid_utf8_names_file_and_row(world: Any, column: str) -> None:
    rows = world.documents(3000)
    table = pa.Table.from_pylist(rows, world.schema)
    values = [str(r[column]).encode() for r in rows]
    values[2500] = b"caf\xe9 @x.org"
    at = table.schema.get_field_index(column)
    broken = pa.array(values, pa.binary()).view(pa.string())
    world.write(world.folder / "corpus/a.parquet", table.set_column(at, column, broken))
    with pytest.raises(
        WrongColumns, match=f"^Column '{column}' of a.parquet .* row 2500:"
    ) as caught:
        world.run(world.folder / "corpus")
    one_sentence(caught.value)
    assert not list((world.folder / "out").rglob("*.parquet"))


def test_an_empty_folder_and_no_folder(world: Any) -> None:
    (world.folder / "corpus").mkdir()
    refused(world, UnreadableFile, "corpus holds no Parquet file: give ")
    (world.folder / "corpus/README.md").write_text("nothing")
    (world.folder / "corpus/_hidden.parquet").write_text("nothing")
    refused(world, UnreadableFile, "corpus holds no Parquet file: give ")
    refused(world, UnreadableFile, "nowhere does not exist: give ", world.folder / "nowhere")
    refused(world, UnreadableFile, "cannot be opened: use a local path", "nosuch://bucket/corpus")


def test_hidden_files_are_passed_over(world: Any) -> None:
    source = world.corpus({"a.parquet": 3})
    for name in (
        "_b.parquet",
        ".c.parquet",
        "_temporary/d.parquet",
        ".cache/e.parquet",
        "notes.txt",
    ):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("not Parquet")
    world.run(source)
    assert set(world.tables(world.folder / "out/data")) == {"a.parquet"}


@pytest.mark.parametrize("name", ["_a.parquet", ".a.parquet", "a.pq"])
def test_a_single_file_that_readers_would_not_find_again(world: Any, name: str) -> None:
    path = world.write(world.folder / name, world.documents(3))
    refused(world, UnreadableFile, r"is not called \*\.parquet", path)


def test_files_with_other_columns_keep_their_own(world: Any) -> None:
    source = world.corpus({"a.parquet": 30})
    table = pa.Table.from_pylist(world.documents(20, first=50), world.schema)
    world.write(
        source / "b.parquet", table.drop_columns(["tags"]).append_column("new", pa.nulls(20))
    )
    world.run(source)
    written = world.tables(world.folder / "out/data")
    assert written["b.parquet"].schema.names[-1] == "new"
    assert "tags" not in written["b.parquet"].schema.names
    assert written["a.parquet"].schema == world.schema


# -- the output folder ------------------------------------------------------------------------------


def test_a_folder_with_foreign_files(world: Any) -> None:
    source = world.corpus({"a.parquet": 3})
    (world.folder / "out/deep/er").mkdir(parents=True)
    world.run(source)  # empty folders are no obstacle
    (world.folder / "other/deep").mkdir(parents=True)
    (world.folder / "other/deep/thesis.tex").write_text("precious")
    refused(world, WrongRun, "holds files that are no run of Lethe", out=world.folder / "other")


def test_a_file_instead_of_a_folder(world: Any) -> None:
    source = world.corpus({"a.parquet": 3})
    (world.folder / "out").write_text("precious")
    with pytest.raises(WrongRun, match="is a file: choose a folder"):
        world.run(source)
    with pytest.raises(WrongRun, match="cannot be written to"):
        world.run(source, world.folder / "out/below")
    assert (world.folder / "out").read_text() == "precious"


def test_input_and_output_in_one_place(world: Any) -> None:
    source = world.corpus({"a.parquet": 3})
    (world.folder / "link").symlink_to(source)
    for out in (
        source,
        source / "rebuilt",
        world.folder / "link/rebuilt",
        world.folder / "x/../corpus",
    ):
        with pytest.raises(WrongRun, match="is the input folder or lies in it") as caught:
            world.run(source, out)
        one_sentence(caught.value)
    # The input inside of the output folder is a foreign file there.
    with pytest.raises(WrongRun, match="holds files that are no run"):
        world.run(source, world.folder)
    assert [p.name for p in source.iterdir()] == ["a.parquet"]


def test_a_folder_that_another_process_works_in(world: Any) -> None:
    source = world.corpus({"a.parquet": 3})
    (world.folder / "out").mkdir()
    with (world.folder / "out/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(world, WrongRun, "^Another process is working in .*: wait for it.")
    world.run(source)


def test_another_run_in_the_folder(world: Any, other_policy: Path, tmp_path: Path) -> None:
    source = world.corpus({"a.parquet": 30, "b.parquet": 3})
    world.run(source)
    before = world.contents(world.folder / "out")
    more = world.corpus({"a.parquet": 30, "b.parquet": 3, "c.parquet": 1}, name="more")
    same_size = world.folder / "same"
    shutil.copytree(source, same_size)
    table = pq.read_table(source / "b.parquet")
    table = table.set_column(1, "id", pa.array([f"cod-{i}" for i in (30, 31, 32)]))
    world.write(same_size / "b.parquet", table)
    for changed, given in (
        ("policy", {"policy": other_policy}),
        ("options", {"pii": "apertus"}),
        ("options", {"pii": "none"}),
        ("options", {"limit": 5}),
        ("options", {"removed": "scrubbed"}),
        ("recipe", {"recipe": "fineweb-edu"}),
        ("input files", {"source": more}),
        ("input files", {"source": same_size}),
    ):
        with pytest.raises(WrongRun, match=f"holds another run .different .*{changed}") as caught:
            world.run(given.pop("source", source), **given)
        one_sentence(caught.value)
    assert world.contents(world.folder / "out") == before


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"fingerprint": "x"}', '"\\ud800"'])
def test_a_damaged_manifest(world: Any, content: str) -> None:
    source = world.corpus({"a.parquet": 3})
    world.run(source)
    (world.folder / "out/manifest.json").write_text(content)
    refused(world, WrongRun, "holds another run .its manifest is damaged")


# -- policy and options -----------------------------------------------------------------------------


def test_a_policy_that_is_none(world: Any) -> None:
    world.corpus({"a.parquet": 3})
    folder = world.folder / "policies"
    folder.mkdir()
    refused(world, UnreadableFile, "There is no policy at", policy=folder / "missing.parquet")
    (folder / "cut.parquet").write_bytes(cut(world.policy.read_bytes()))
    refused(
        world, UnreadableFile, "not a Parquet file or is cut off", policy=folder / "cut.parquet"
    )
    snapshot = world.policy.with_name("robots.parquet")
    refused(world, UnreadableFile, "not a compiled policy", policy=snapshot)
    refused(world, UnreadableFile, "not a (Parquet file|compiled policy)", policy=folder)
    table = pq.read_table(world.policy)
    key = next(iter(table.schema.metadata))
    header = json.loads(table.schema.metadata[key]) | {"format": 99}
    pq.write_table(
        table.replace_schema_metadata({key: json.dumps(header)}), folder / "newer.parquet"
    )
    refused(world, WrongVersion, "another version", policy=folder / "newer.parquet")


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"limit": 0}, "--limit is a number of documents: give at least 1"),
        ({"limit": -3}, "--limit is a number of documents: give at least 1"),
        ({"pii": "lax"}, "no way of scrubbing 'lax': use strict, apertus, none"),
        ({"removed": "all"}, "can be none, scrubbed, verbatim, not 'all'"),
        ({"removed": "scrubbed", "pii": "none"}, "cannot be scrubbed with --pii none"),
        ({"recipe": "wine"}, "There is no recipe 'wine': `lethe reconstruct list` shows"),
    ],
    ids=str,
)
def test_options_that_do_not_exist(world: Any, given: dict[str, Any], match: str) -> None:
    world.corpus({"a.parquet": 3})
    refused(world, UnknownName, match, **given)


# -- odd, but nothing to refuse ---------------------------------------------------------------------


def test_urls_that_are_none_are_counted_and_stay(world: Any) -> None:
    odd = [
        None, "", " ", "not a url", "http://[bad/a", "http://", "https://exa mple/", "//closed.example/x",
        "https://" + "a" * 300 + ".example/", "mailto:x@y.example", "http://closed.example:99999/",
        "HTTPS://CLOSED.example./x", "\x00", "http://\ud7ff.example/", "javascript:alert(1)",
    ]  # fmt: skip
    rows = [d | {"url": u} for d, u in zip(world.documents(len(odd)), odd, strict=True)]
    world.write(world.folder / "corpus/a.parquet", rows)
    result = world.run(world.folder / "corpus")
    ledger = pq.read_table(world.folder / "out/ledger/a.parquet").to_pylist()
    assert [r["url"] for r in ledger] == odd
    dropped = [r["url"] for r in ledger if r["verdict"] == "drop"]
    assert "HTTPS://CLOSED.example./x" in dropped
    assert all(r["verdict"] == "keep" for r in ledger if r["host"] is None)
    assert result.documents_out == len(odd) - len(dropped)
    assert sum(r["host"] is None for r in ledger) >= 8


def test_null_and_empty_texts(world: Any) -> None:
    rows = world.documents(6)
    texts = [None, "", "eva.muster@example.org", None, " ", "plain"]
    rows = [
        r | {"text": t, "url": "https://open.example/"} for r, t in zip(rows, texts, strict=True)
    ]
    world.write(world.folder / "corpus/a.parquet", rows)
    world.run(world.folder / "corpus")
    written = pq.read_table(world.folder / "out/data/a.parquet")["text"].to_pylist()
    assert written == [None, "", "<email-pii>", None, " ", "plain"]


@pytest.mark.parametrize("row_group", [1, 7, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 100_000])
def test_row_groups_of_any_size(world: Any, row_group: int) -> None:
    source = world.corpus({"a.parquet": 4100}, row_group=row_group)
    world.run(source)
    usual = world.corpus({"a.parquet": 4100}, name="usual")
    world.run(usual, world.folder / "usual-out")
    one, other = (world.folder / o / "data/a.parquet" for o in ("out", "usual-out"))
    assert one.read_bytes() == other.read_bytes()
    ledgers = [pq.read_table(world.folder / o / "ledger/a.parquet") for o in ("out", "usual-out")]
    assert ledgers[0].drop_columns(["row_group"]).equals(ledgers[1].drop_columns(["row_group"]))
    assert ledgers[0]["row_group"].to_pylist() == [i // row_group for i in range(4100)]


def test_other_kinds_of_columns_pass_through(world: Any) -> None:
    """Dictionaries, large strings, decimals, maps, nested lists, extension-free exotics."""
    count = 5000
    rng = random.Random(3)
    words = [rng.choice(["x", "yy", "a@b.example", "žluťoučký", None]) for _ in range(count)]
    plain = pa.Table.from_pylist(world.documents(count), world.schema)
    table = pa.table(
        {
            "text": pa.array([f"{w} jan.novak@example.org" for w in words], pa.large_string()),
            "id": plain["id"].combine_chunks().dictionary_encode(),
            "url": plain["url"].cast(pa.large_string()),
            "language": pa.DictionaryArray.from_arrays(
                pa.array([i % 2 for i in range(count)], pa.int8()), pa.array(["en", "de"])
            ),
            "token_count": pa.array([float(i) if i % 3 else float("nan") for i in range(count)]),
            "dictionary": pa.array(words).dictionary_encode(),
            "decimal": pa.array([None] * count, pa.decimal128(20, 3)),
            "map": pa.array([[("k", i)] for i in range(count)], pa.map_(pa.string(), pa.int32())),
            "nested": pa.array([[{"a": [w, None]}] for w in words]),
            "nanoseconds": pa.array(range(count), pa.timestamp("ns")),
            "fixed": pa.array([b"abcd"] * count, pa.binary(4)),
            "octets": pa.array([b"\xff\xfe", None] * (count // 2)),
            "time": pa.array(range(count), pa.time64("us")),
            "nothing": pa.nulls(count),
        }
    )
    world.write(world.folder / "corpus/a.parquet", table, 333)
    world.run(world.folder / "corpus")
    read = pq.ParquetFile(world.folder / "corpus/a.parquet").read()
    written = pq.ParquetFile(world.folder / "out/data/a.parquet").read()
    ledger = pq.read_table(world.folder / "out/ledger/a.parquet")
    assert written.schema == read.schema
    kept = read.filter(pa.array([v == "keep" for v in ledger["verdict"].to_pylist()]))
    for name in table.schema.names:
        if name not in {"text", "token_count"}:
            assert written[name].to_pylist() == kept[name].to_pylist(), name
    assert set(" ".join(written["text"].to_pylist()).split()) == {
        "x", "yy", "<email-pii>", "žluťoučký", "None",
    }  # fmt: skip
    assert ledger["tokens"].to_pylist() == [i if i % 3 else None for i in range(count)]
    assert ledger["language"].to_pylist() == ["en", "de"] * (count // 2)


@pytest.mark.parametrize("index", [pa.int8(), pa.int32(), pa.uint16()], ids=str)
def test_a_text_column_with_a_dictionary(world: Any, index: pa.DataType) -> None:
    rows = [
        r | {"text": f"write to person{i % 9}@example.org"}
        for i, r in enumerate(world.documents(50))
    ]
    table = pa.Table.from_pylist(rows, world.schema)
    texts = table["text"].cast(pa.dictionary(index, pa.string()))
    world.write(world.folder / "corpus/a.parquet", table.set_column(0, "text", texts))
    world.run(world.folder / "corpus")
    written = pq.ParquetFile(world.folder / "out/data/a.parquet").read()
    read = pq.ParquetFile(world.folder / "corpus/a.parquet").read()
    assert written.schema == read.schema
    assert set(written["text"].to_pylist()) == {"write to <email-pii>"}


def test_texts_of_twenty_megabytes(world: Any) -> None:
    rows = world.documents(4)
    long = "word " * 4_000_000
    texts = [long, long + "eva.muster@example.org", "@" * 1_000_000, "1." * 500_000]
    rows = [
        r | {"text": t, "url": "https://open.example/"} for r, t in zip(rows, texts, strict=True)
    ]
    world.write(world.folder / "corpus/a.parquet", rows)
    result = world.run(world.folder / "corpus")
    assert result.replaced == {"email": 1}
    written = pq.read_table(world.folder / "out/data/a.parquet")["text"].to_pylist()
    assert [len(t) for t in written] == [20_000_000, 20_000_011, 1_000_000, 1_000_000]


def test_a_name_as_long_as_the_file_system_allows(world: Any) -> None:
    name = "n" * 242 + ".parquet"  # with ".json" of the state: 255 octets, the limit
    source = world.corpus({name: 3})
    assert world.run(source).documents_in == 3
    assert set(world.tables(world.folder / "out/data")) == {name}


def test_names_with_signs_that_mean_something_to_others(world: Any) -> None:
    names = [
        "a b.parquet",
        "x=1/part [0].parquet",
        "ü*?.parquet",
        "train-{00000}.parquet",
        "%41#.parquet",
    ]
    source = world.corpus(dict.fromkeys(names, 5))
    world.run(source)
    assert set(world.tables(world.folder / "out/data")) == set(names)
    assert world.run(source).resumed_files == len(names)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda table: table.drop_columns(["text"]), "no column 'text'"),
        (lambda table: table.slice(0, 0), None),
    ],
    ids=["columns", "no rows"],
)
def test_an_empty_file_is_looked_at_like_any_other(
    world: Any, make: Callable[[pa.Table], pa.Table], match: str | None
) -> None:
    table = pa.Table.from_pylist(world.documents(3), world.schema)
    world.write(world.folder / "corpus/a.parquet", make(table).slice(0, 0))
    if match:
        refused(world, WrongColumns, match)
    else:
        assert world.run(world.folder / "corpus").documents_in == 0


def test_the_folder_is_full(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without room: one sentence, no half file, and the same command goes on."""
    import resource
    import signal

    source = world.corpus({"a.parquet": 30, "b.parquet": 3000})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
        with pytest.raises(
            InputError, match=r"could not be read or written .*File too large"
        ) as caught:
            world.run(source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    one_sentence(caught.value)
    assert world.leftovers(world.folder / "out") == []
    assert set(world.tables(world.folder / "out/data")) == {"a.parquet"}
    assert world.run(source).resumed_files == 1
