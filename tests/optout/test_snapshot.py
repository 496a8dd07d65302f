"""Which rows of a snapshot are in force, and what stops a compilation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.errors import InputError
from pipeline.errors import UnreadableFile, WrongColumns
from pipeline.optout import snapshot

DAY = date(2026, 1, 31)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_table(name: str = "robots.parquet", **columns: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
        return path

    return write_table


def contents(path: Path, as_of: date = DAY) -> dict[tuple[str, str], bytes | None]:
    found = list(snapshot.rows(path, as_of))
    assert len({(r.domain, r.file) for r in found}) == len(found)
    return {(r.domain, r.file): r.content for r in found}


# -- which row counts ------------------------------------------------------------------------------


def test_a_later_row_replaces_an_earlier_one(write: Callable[..., Path]) -> None:
    path = write(domain=["a.test", "b.test", "a.test"], content=[b"1", b"2", b"3"])
    assert contents(path) == {("a.test", "robots.txt"): b"3", ("b.test", "robots.txt"): b"2"}


def test_a_row_without_content_replaces_an_earlier_one_too(write: Callable[..., Path]) -> None:
    path = write(domain=["a.test", "a.test"], content=pa.array([b"1", None], pa.binary()))
    assert contents(path) == {("a.test", "robots.txt"): None}


def test_files_of_one_domain_do_not_replace_each_other(write: Callable[..., Path]) -> None:
    path = write(
        domain=["a.test"] * 4,
        file=["robots.txt", "ai.txt", None, "tdmrep.json"],
        content=[b"1", b"2", b"3", b"4"],
    )
    assert contents(path) == {
        ("a.test", "robots.txt"): b"3",  # a null is robots.txt, as is a missing column
        ("a.test", "ai.txt"): b"2",
        ("a.test", "tdmrep.json"): b"4",
    }


def test_a_domain_may_have_several_rsl_files(write: Callable[..., Path]) -> None:
    path = write(
        domain=["a.test"] * 6,
        file=["rsl.xml", "rsl.xml", "rsl.xml", "robots.txt", "robots.txt", "rsl.xml"],
        url=["/1", "/2", "/1", "/1", "/2", None],
        content=[b"1", b"2", b"3", b"4", b"5", b"6"],
    )
    found = [(r.file, r.url, r.content) for r in snapshot.rows(path, DAY)]
    assert found == [
        ("rsl.xml", "/2", b"2"),
        ("rsl.xml", "/1", b"3"),
        ("robots.txt", "", b"5"),
        ("rsl.xml", "", b"6"),
    ]


def moments(*values: object) -> dict[str, pa.Array]:
    """One column of times in every type in which snapshots have them."""
    naive = [datetime.fromisoformat(str(v)) for v in values]
    aware = [t.replace(tzinfo=UTC) for t in naive]
    away = "Pacific/Auckland"
    return {
        **{f"naive {unit}": pa.array(naive, pa.timestamp(unit)) for unit in ("s", "ms", "us")},
        "naive ns": pa.array(naive, pa.timestamp("us")).cast(pa.timestamp("ns")),
        **{f"{unit} UTC": pa.array(aware, pa.timestamp(unit, "UTC")) for unit in ("ms", "us")},
        "us in another zone": pa.array(aware, pa.timestamp("us", away)),
        "date32": pa.array([t.date() for t in naive], pa.date32()),
        "date64": pa.array([t.date() for t in naive], pa.date64()),
        "text with T": pa.array([t.isoformat() for t in naive]),
        "text with a space": pa.array([t.isoformat(" ") for t in naive]),
        "text with Z": pa.array([t.isoformat() + "Z" for t in naive]),
        "text with z": pa.array([t.isoformat().lower() + "z" for t in naive]),
        "text with UTC": pa.array([t.isoformat(" ") + " UTC" for t in naive]),
        "text with offset": pa.array(
            [(t + timedelta(hours=5)).isoformat() + "+05:00" for t in naive]
        ),
        "text, a date": pa.array([t.date().isoformat() for t in naive]),
        "text in large_string": pa.array([t.isoformat() for t in naive], pa.large_string()),
        "text in a dictionary": pa.array([t.isoformat() for t in naive]).dictionary_encode(),
    }


IN_ORDER = moments("2026-01-30 10:00", "2026-01-29 10:00", "2026-02-01 00:00", "2026-01-28 10:00")


@pytest.mark.parametrize("kind", IN_ORDER)
def test_the_row_fetched_last_counts_unless_after_the_day(
    kind: str, write: Callable[..., Path]
) -> None:
    path = write(domain=["a.test"] * 4, content=[b"1", b"2", b"3", b"4"], fetched_at=IN_ORDER[kind])
    (row,) = snapshot.rows(path, DAY)
    assert (row.content, row.date) == (b"1", "2026-01-30")
    (row,) = snapshot.rows(path, date(2026, 2, 1))
    assert (row.content, row.date) == (b"3", "2026-02-01")
    assert contents(path, date(2026, 1, 27)) == {}


@pytest.mark.parametrize("kind", [k for k in IN_ORDER if "date" not in k])
def test_times_of_one_day_are_told_apart(kind: str, write: Callable[..., Path]) -> None:
    when = moments("2026-01-30 10:00", "2026-01-30 09:59")[kind]
    path = write(domain=["a.test"] * 2, content=[b"1", b"2"], fetched_at=when)
    assert contents(path) == {("a.test", "robots.txt"): b"1"}


@pytest.mark.parametrize("kind", IN_ORDER)
def test_at_the_same_time_the_later_row_counts(kind: str, write: Callable[..., Path]) -> None:
    when = moments("2026-01-30 10:00", "2026-01-30 10:00")[kind]
    path = write(domain=["a.test"] * 2, content=[b"1", b"2"], fetched_at=when)
    assert contents(path) == {("a.test", "robots.txt"): b"2"}


LIMITS = [
    ("2026-01-31T23:59:59.999999Z", True),
    ("2026-02-01T00:00:00Z", False),
    ("2026-01-31T23:30:00-05:00", False),  # half past four in the morning of the next day, UTC
    ("2026-02-01T04:30:00+05:00", True),
    ("2026-01-31", True),
    ("2026-02-01", False),
    ("20260131T120000Z", True),
    ("2026-01-31T12:00:00.123456789Z", True),
    (" 2026-01-31 12:00 ", True),
]


@pytest.mark.parametrize(("text", "counts"), LIMITS)
def test_the_day_of_the_policy_is_a_day_in_utc(
    text: str, counts: bool, write: Callable[..., Path]
) -> None:
    path = write(domain=["a.test"], content=[b"1"], fetched_at=[text])
    assert bool(contents(path)) is counts


def test_a_text_with_an_offset_is_dated_in_utc(write: Callable[..., Path]) -> None:
    path = write(domain=["a.test"], content=[b"1"], fetched_at=["2026-01-30T23:30:00-05:00"])
    (row,) = snapshot.rows(path, DAY)
    assert row.date == "2026-01-31"


def test_nanoseconds_are_no_obstacle(write: Callable[..., Path]) -> None:
    when = pa.array([1_769_860_800_123_456_789], pa.timestamp("ns", "UTC"))
    path = write(domain=["a.test"], content=[b"1"], fetched_at=when)
    (row,) = snapshot.rows(path, DAY)
    assert (row.date, row.moment) == ("2026-01-31", 1_769_860_800_123_456)


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_who_knows_no_time_is_older_than_who_knows_one(
    nothing: str | None, write: Callable[..., Path]
) -> None:
    path = write(
        domain=["a.test", "a.test", "b.test"],
        content=[b"1", b"2", b"3"],
        fetched_at=["1999-01-01", nothing, nothing],
    )
    found = {r.domain: (r.content, r.date) for r in snapshot.rows(path, date(1999, 1, 1))}
    assert found == {"a.test": (b"1", "1999-01-01"), "b.test": (b"3", None)}


# A value that no time can be read from must not sort somewhere: the row would be left out in silence.
NO_TIMES = ["unknown", "2026-13-01", "31.01.2026", "1769860800", "2026-01-31T25:00", "9", "~"]


@pytest.mark.parametrize("text", NO_TIMES)
def test_a_text_that_is_no_time_stops(text: str, write: Callable[..., Path]) -> None:
    path = write(domain=["a.test", "b.test"], content=[b"1", b"2"], fetched_at=["2026-01-01", text])
    with pytest.raises(WrongColumns, match=r"'fetched_at' of .* holds something that is no time"):
        list(snapshot.rows(path, DAY))


@pytest.mark.parametrize(
    "when",
    [
        pa.array([1 << 60], pa.timestamp("ms")),  # overflows in microseconds
        pa.array([-(1 << 60)], pa.timestamp("ms")),
        pa.array([-(1 << 62)], pa.timestamp("us")),  # before the year 1
        pa.array([b"\xff"], pa.binary()).view(pa.string()),
    ],
    ids=["far future", "far past", "before year 1", "not UTF-8"],
)
def test_impossible_times_stop(when: pa.Array, write: Callable[..., Path]) -> None:
    path = write(domain=["a.test"], content=[b"1"], fetched_at=when)
    with pytest.raises(WrongColumns, match="fetched_at"):
        list(snapshot.rows(path, DAY))


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a.test", "b.test", "A.test", None]),
        st.sampled_from(["robots.txt", "ai.txt", None]),
        st.none() | st.integers(-72, 24),  # hours before and after the end of the policy's day
    ),
    max_size=12,
)


@given(ROWS)
@settings(max_examples=100, deadline=None)
def test_rows_in_force_are_those_a_dictionary_would_hold(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str | None, str | None, int | None]],
) -> None:
    path = tmp_path_factory.mktemp("snapshot") / "robots.parquet"
    end = datetime(2026, 2, 1, tzinfo=UTC)
    when = [None if r[2] is None else end + timedelta(hours=r[2]) for r in rows]
    columns = {
        "domain": pa.array([r[0] for r in rows], pa.string()),
        "file": pa.array([r[1] for r in rows], pa.string()),
        "fetched_at": pa.array(when, pa.timestamp("us", "UTC")),
        "content": pa.array([str(i).encode() for i in range(len(rows))], pa.binary()),
    }
    pq.write_table(pa.table(columns), path, row_group_size=3)
    held: dict[tuple[str, str], bytes] = {}
    dated = [(-999 if r[2] is None else r[2], i, r) for i, r in enumerate(rows)]
    for hours, i, (domain, file, _) in sorted(dated, key=lambda d: d[:2]):
        if domain is not None and hours < 0:
            held[domain, file or "robots.txt"] = str(i).encode()
    assert contents(path) == held


# -- how columns are written -----------------------------------------------------------------------

BODY = "User-agent: *\nDisallow: /ä\n"
CONTENT = {
    "string": pa.array([BODY, None]),
    "large_string": pa.array([BODY, None], pa.large_string()),
    "binary": pa.array([BODY.encode(), None], pa.binary()),
    "large_binary": pa.array([BODY.encode(), None], pa.large_binary()),
    "dictionary of string": pa.array([BODY, None]).dictionary_encode(),
    "dictionary of binary": pa.array([BODY.encode(), None], pa.binary()).dictionary_encode(),
}


@pytest.mark.parametrize("kind", CONTENT)
def test_content_is_text_or_octets(kind: str, write: Callable[..., Path]) -> None:
    path = write(domain=["a.test", "b.test"], content=CONTENT[kind])
    assert contents(path) == {
        ("a.test", "robots.txt"): BODY.encode(),
        ("b.test", "robots.txt"): None,
    }


def test_octets_that_are_no_utf8_come_through_a_text_column(write: Callable[..., Path]) -> None:
    body = b"\xff\xfeU\x00\xe4"
    path = write(domain=["a.test"], content=pa.array([body], pa.binary()).view(pa.string()))
    assert contents(path) == {("a.test", "robots.txt"): body}


def test_a_domain_that_is_no_utf8_is_not_lost(write: Callable[..., Path]) -> None:
    domains = pa.array([b"caf\xe9.test", b"a.test"], pa.binary()).view(pa.string())
    path = write(domain=domains, content=[b"1", b"2"])
    assert [r.domain for r in snapshot.rows(path, DAY)] == ["caf\ufffd.test", "a.test"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), "dictionary"])
def test_domains_and_files_may_be_encoded(kind: Any, write: Callable[..., Path]) -> None:
    domains = pa.array(["a.test", "b.test", "a.test"])
    files = pa.array(["ai.txt", None, "ai.txt"])
    columns = [
        c.dictionary_encode() if kind == "dictionary" else c.cast(kind) for c in (domains, files)
    ]
    path = write(domain=columns[0], file=columns[1], content=[b"1", b"2", b"3"])
    assert contents(path) == {("b.test", "robots.txt"): b"2", ("a.test", "ai.txt"): b"3"}


@pytest.mark.parametrize("kind", [pa.int8(), pa.int16(), pa.int64(), pa.uint16()])
def test_status_is_any_integer(kind: pa.DataType, write: Callable[..., Path]) -> None:
    path = write(
        domain=["a.test", "b.test"],
        content=[b"1", b"2"],
        status=pa.array([0, None], kind),
    )
    assert [r.status for r in snapshot.rows(path, DAY)] == [0, None]


def test_without_a_status_nothing_is_known_of_it(write: Callable[..., Path]) -> None:
    (row,) = snapshot.rows(write(domain=["a.test"], content=[b"1"]), DAY)
    assert (row.status, row.date, row.moment) == (None, None, snapshot.NEVER)


def test_columns_may_stand_in_any_order_among_others(write: Callable[..., Path]) -> None:
    path = write(etag=["x"], content=[b"1"], sha256=["y"], domain=["a.test"], size=[1])
    assert contents(path) == {("a.test", "robots.txt"): b"1"}


def test_rows_beyond_one_batch_keep_their_place(write: Callable[..., Path]) -> None:
    count = 10_000
    numbers = [i // 2 for i in range(count)]
    path = write(
        domain=[f"h{n}.test" for n in numbers],
        content=[str(i).encode() for i in range(count)],
    )
    assert contents(path) == {
        (f"h{n}.test", "robots.txt"): str(2 * n + 1).encode() for n in range(count // 2)
    }


def test_a_snapshot_may_be_empty(write: Callable[..., Path]) -> None:
    path = write(domain=pa.array([], pa.string()), content=pa.array([], pa.binary()))
    assert contents(path) == {}


def test_files_of_a_folder_follow_each_other_by_name(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write("s/b.parquet", domain=["a.test", "b.test"], content=[b"2", b"2"])
    write("s/a.parquet", domain=["a.test", "c.test"], content=pa.array(["1", "1"]))
    write("s/.c.parquet", domain=["a.test"], content=[b"3"])
    write("s/.tmp/c.parquet", domain=["a.test"], content=[b"3"])
    write("s/d.parquet/part-0.parquet", domain=["d.test"], content=[b"4"])
    assert contents(tmp_path / "s") == {
        ("c.test", "robots.txt"): b"1",
        ("a.test", "robots.txt"): b"2",
        ("b.test", "robots.txt"): b"2",
        ("d.test", "robots.txt"): b"4",
    }


def test_files_of_a_folder_may_differ_in_optional_columns(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write("s/a.parquet", domain=["a.test"], content=["1"], fetched_at=[date(2026, 1, 1)])
    write("s/b.parquet", domain=["a.test", "b.test"], content=[b"2", b"2"], status=[200, 503])
    found = {r.domain: (r.content, r.status, r.date) for r in snapshot.rows(tmp_path / "s", DAY)}
    assert found == {"a.test": (b"1", None, "2026-01-01"), "b.test": (b"2", 503, None)}


def test_rows_that_do_not_count_are_counted(write: Callable[..., Path]) -> None:
    path = write(
        domain=["a.test", "a.test", None, "b.test"],
        content=[b"1", b"2", b"3", b"4"],
        fetched_at=[date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3), date(2026, 3, 1)],
    )
    counts: Counter[str] = Counter()
    assert len(list(snapshot.rows(path, DAY, counts))) == 1
    assert counts == {
        "snapshot: rows without a domain": 1,
        "snapshot: rows fetched after the policy's day": 1,
        "snapshot: rows replaced by later ones": 1,
    }


# -- what cannot be used ---------------------------------------------------------------------------

OK = {"domain": ["a.test"], "content": [b"1"]}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no domain": ({"content": [b"1"]}, "no column 'domain'"),
    "no content": ({"domain": ["a.test"]}, "no column 'content'"),
    "other columns": ({"url": ["a"], "robots": ["b"]}, "found: 'url', 'robots'"),
    "domain is a number": ({**OK, "domain": [1]}, "'domain' of .* is int64: it must be text"),
    "domain is binary": ({**OK, "domain": [b"a.test"]}, "'domain'"),
    "content is a number": ({**OK, "content": [1]}, "'content'"),
    "content is a list": ({**OK, "content": [["a"]]}, "'content'"),
    "content is null": ({**OK, "content": [None]}, "'content' of .* is null"),
    "file is a number": ({**OK, "file": [1]}, "'file' of .* must be text"),
    "url is a number": ({**OK, "url": [1]}, "'url' of .* must be text"),
    "url is a list": ({**OK, "url": [["a"]]}, "'url' of .* must be text"),
    "status is text": ({**OK, "status": ["200"]}, "'status'"),
    "status is a fraction": ({**OK, "status": [200.0]}, "'status'"),
    "fetched_at is a number": ({**OK, "fetched_at": [1769860800]}, "'fetched_at'"),
    "fetched_at is a time of day": (
        {**OK, "fetched_at": pa.array([1], pa.time64("us"))},
        "'fetched_at'",
    ),
    "fetched_at is a duration": (
        {**OK, "fetched_at": pa.array([1], pa.duration("us"))},
        "'fetched_at'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_columns_stop(case: str, write: Callable[..., Path]) -> None:
    columns, said = WRONG[case]
    with pytest.raises(WrongColumns, match=said):
        list(snapshot.rows(write(**columns), DAY))


@pytest.mark.parametrize("twice", ["domain", "content", "file", "fetched_at", "url"])
def test_a_column_that_stands_twice_stops(twice: str, tmp_path: Path) -> None:
    table = pa.table({**OK, "file": ["rsl.xml"], "fetched_at": ["2026-01-01"], "url": ["x"]})
    path = tmp_path / "robots.parquet"
    pq.write_table(table.append_column(twice, table[twice]), path)
    with pytest.raises(WrongColumns, match=f"'{twice}' stands twice"):
        list(snapshot.rows(path, DAY))


def test_one_wrong_file_of_a_folder_stops_and_is_named(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write("s/a.parquet", **OK)
    write("s/b.parquet", domain=["a.test"])
    with pytest.raises(WrongColumns, match=r"b\.parquet"):
        list(snapshot.rows(tmp_path / "s", DAY))


def test_what_is_no_parquet_stops(tmp_path: Path, write: Callable[..., Path]) -> None:
    whole = write(**OK).read_bytes()
    bad = tmp_path / "bad.parquet"
    for octets in (b"", b"PAR1", b"domain,content\n", whole[:-1], whole[: len(whole) // 2]):
        bad.write_bytes(octets)
        with pytest.raises(UnreadableFile, match="not a Parquet file or is damaged or cut off"):
            list(snapshot.rows(bad, DAY))


def test_damage_in_the_middle_stops(tmp_path: Path) -> None:
    """A file whose end is whole opens; what is wrong shows only when its pages are read."""
    path = tmp_path / "robots.parquet"
    table = pa.table(
        {"domain": [f"h{i}.test" for i in range(500)], "content": [b"%d" % i for i in range(500)]}
    )
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)
    octets = bytearray(path.read_bytes())
    for at in range(4, len(octets) // 2):
        octets[at] = 0xAA
    path.write_bytes(octets)
    pq.ParquetFile(path).close()
    with pytest.raises(UnreadableFile, match="damaged"):
        list(snapshot.rows(path, DAY))


def test_nothing_there_stops(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="There is no file"):
        list(snapshot.rows(tmp_path / "none.parquet", DAY))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.txt").write_text("x")
    with pytest.raises(UnreadableFile, match="holds no Parquet file"):
        list(snapshot.rows(tmp_path / "empty", DAY))


@given(st.binary(max_size=60))
@settings(max_examples=50, deadline=None)
def test_any_octets_are_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, octets: bytes
) -> None:
    path = tmp_path_factory.mktemp("snapshot") / "x.parquet"
    path.write_bytes(octets)
    with pytest.raises(InputError) as refused:
        list(snapshot.rows(path, DAY))
    assert "\n" not in str(refused.value)
