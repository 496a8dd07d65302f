"""The summary for the EU AI Act says what the ledger says, and marks what nobody has said."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.errors import InputError
from pipeline.errors import UnknownName, UnreadableFile
from pipeline.optout.agents import resolve
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.spec import named
from pipeline.reconstruct.engine import run
from pipeline.reconstruct.report import ai_act, report, summarise
from pipeline.reconstruct.report.ai_act import Evidence, document, gathered, training_summary
from pipeline.reconstruct.report.ai_act.acquired import Acquired
from pipeline.reconstruct.report.ai_act.declared import (
    FIELDS,
    NOTHING_DECLARED,
    Declared,
    example,
    read,
)
from pipeline.reconstruct.report.ai_act.document import TO_COMPLETE, Document, Item, Origin
from pipeline.reconstruct.report.ai_act.domains import TOP, TOP_OF_SMALL, Share
from pipeline.reconstruct.report.ai_act.general import band
from pipeline.reconstruct.report.losses import FILTERS
from pipeline.reconstruct.report.numbers import NARROW
from pipeline.reconstruct.report.tables import LANGUAGES, Table
from pipeline.reconstruct.report.tally import Tally

SAMPLE = Path(__file__).resolve().parents[2] / "examples/sample"
DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
HERE = ("sample", "pages") if DATA.is_dir() else ("sample",)


def rebuilt(folder: Path, source: Path, snapshot: Path, **more: Path) -> Path:
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), date(2026, 7, 1))
    compiler.add_snapshot(snapshot)
    if "optouts" in more:
        compiler.add_optouts(more["optouts"])
    if "tags" in more:
        compiler.add_tags(more["tags"], folder / "policy.parquet")
    compiler.finish(folder / "policy.parquet")
    run("fineweb", source, folder / "policy.parquet", folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {
        "sample": rebuilt(
            tmp_path_factory.mktemp("sample"),
            SAMPLE / "corpus",
            SAMPLE / "robots.parquet",
            optouts=SAMPLE / "optouts.jsonl",
            tags=SAMPLE / "tags.parquet",
        )
    }
    if DATA.is_dir():
        made["pages"] = rebuilt(
            tmp_path_factory.mktemp("pages"),
            DATA / "webdocs.parquet",
            DATA / "robots.parquet",
        )
    return made


@pytest.fixture(scope="module")
def evidence(corpora: dict[str, Path]) -> dict[str, Evidence]:
    return {name: gathered([path], TOP) for name, path in corpora.items()}


@pytest.fixture(params=["sample", "pages"])
def name(request: pytest.FixtureRequest) -> str:
    if request.param not in HERE:
        pytest.skip("the real pages are not here")
    return str(request.param)


def ask(root: Path, query: str) -> list[tuple[Any, ...]]:
    query = query.replace("LEDGER", f"read_parquet('{root}/ledger/**/*.parquet')")
    query = query.replace("DATA", f"read_parquet('{root}/data/**/*.parquet')")
    with duckdb.connect() as connection:
        return connection.sql(query).fetchall()


def tables(made: Document) -> dict[str, Table]:
    sections = [*(s for part in made.parts for s in part.sections), *made.annexes]
    return {b.caption: b for s in sections for b in s.blocks if isinstance(b, Table)}


def numbers(row: tuple[str, ...]) -> tuple[int | str | None, ...]:
    """Cells as numbers, shares left out."""
    found = []
    for cell in row:
        plain = cell.replace(NARROW, "")
        if not plain.endswith("%"):
            found.append(None if plain == "–" else int(plain) if plain.isdecimal() else plain)
    return tuple(found)


def items(made: Document) -> dict[str, Item]:
    sections = [made.head, *(s for part in made.parts for s in part.sections)]
    return {b.label: b for s in sections for b in s.blocks if isinstance(b, Item)}


def said(item: Item) -> str:
    return " ".join(item.paragraphs).replace(NARROW, " ")


# -- every figure against DuckDB ------------------------------------------------------------------


def test_size_is_that_of_the_ledger(
    corpora: dict[str, Path], evidence: dict[str, Evidence], name: str
) -> None:
    [(documents, tokens, without)] = ask(
        corpora[name],
        "SELECT count(*) FILTER (verdict = 'keep'), sum(tokens) FILTER (verdict = 'keep'),"
        " count(*) FILTER (tokens IS NULL) FROM LEDGER",
    )
    held = evidence[name]
    assert (held.kept.documents, held.kept.tokens, held.without_tokens) == (
        documents, tokens, without,
    )  # fmt: skip
    size = said(items(document(held, NOTHING_DECLARED, None))["Size"])
    expected = f"{tokens:,} tokens in {documents:,} documents".replace(",", " ")
    assert size.startswith(f"Less than 1 billion tokens: {expected}.")


def test_languages_are_those_of_the_ledger(
    corpora: dict[str, Path], evidence: dict[str, Evidence], name: str
) -> None:
    table = tables(document(evidence[name], NOTHING_DECLARED, None))[
        "Languages of the training data"
    ]
    asked = ask(
        corpora[name],
        "SELECT coalesce(language, '(not stated)'), count(*), sum(tokens) FROM LEDGER"
        " WHERE verdict = 'keep' GROUP BY language ORDER BY count(*) DESC, coalesce(language, '')",
    )
    assert [numbers(row) for row in table.rows[:LANGUAGES]] == asked[:LANGUAGES]
    if asked[LANGUAGES:]:
        rest = (sum(r[1] for r in asked[LANGUAGES:]), sum(r[2] or 0 for r in asked[LANGUAGES:]))
        assert numbers(table.rows[LANGUAGES])[1:] == rest


def test_dates_and_crawls_are_those_of_the_data(
    corpora: dict[str, Path], evidence: dict[str, Evidence], name: str
) -> None:
    found = evidence[name].acquired
    [(first, last, dated, documents)] = ask(
        corpora[name],
        "SELECT min(left(date, 10)), max(left(date, 10)), count(date), count(*) FROM DATA",
    )
    assert (found.first, found.last, found.dated, found.documents) == (
        first,
        last,
        dated,
        documents,
    )
    crawls = "SELECT dump, count(*) FROM DATA WHERE regexp_full_match(dump, 'CC-MAIN-[0-9-]+') GROUP BY 1"
    assert dict(found.crawls) == dict(ask(corpora[name], crawls))
    made = items(document(evidence[name], NOTHING_DECLARED, None))
    assert said(made["Latest date of acquisition"]).startswith(f"{last}: ")
    period = f"{first[5:7]}/{first[:4]} to {last[5:7]}/{last[:4]}"
    assert said(made["Period"]).startswith(period)


DOMAINS = """WITH named AS (
    SELECT CASE WHEN host LIKE 'www.%.%' THEN host[5:] ELSE host END AS domain, tokens
    FROM LEDGER WHERE verdict = 'keep' AND host IS NOT NULL),
  summed AS (SELECT domain, count(*) AS documents, sum(tokens) AS tokens FROM named GROUP BY 1),
  ranked AS (SELECT *, rank() OVER (ORDER BY documents DESC, coalesce(tokens, 0) DESC) AS rank FROM summed)
"""


@pytest.mark.parametrize(
    ("share", "wanted"),
    [
        (TOP, "ceil(0.1 * n)"),
        (TOP_OF_SMALL, "least(1000, ceil(0.05 * n))"),
        (Share(100, None, ""), "n"),
    ],
    ids=["top", "small", "all"],
)
def test_domains_are_those_of_the_ledger(
    corpora: dict[str, Path], name: str, share: Share, wanted: str
) -> None:
    found = gathered([corpora[name]], share).domains
    asked = ask(
        corpora[name],
        DOMAINS
        + f"SELECT rank, domain, documents, tokens FROM ranked, (SELECT count(*) AS n FROM summed)"
        f" WHERE rank <= {wanted} ORDER BY documents DESC, coalesce(tokens, 0) DESC, domain",
    )
    assert [(rank, d.name, d.documents, d.tokens) for rank, d in found.ranked()] == asked
    [(distinct, documents)] = ask(
        corpora[name], DOMAINS + "SELECT count(*), sum(documents) FROM summed"
    )
    [(nameless,)] = ask(
        corpora[name], "SELECT count(*) FROM LEDGER WHERE verdict = 'keep' AND host IS NULL"
    )
    assert (found.distinct, found.documents, found.nameless) == (distinct, documents, nameless)
    assert found.covered == sum(row[2] for row in asked)
    rows = list(csv.reader(io.StringIO(found.as_csv())))
    assert rows[0] == ["rank", "domain", "documents", "tokens"]
    assert rows[1:] == [["" if c is None else str(c) for c in row] for row in asked]


def test_opt_outs_are_those_of_the_ledger(
    corpora: dict[str, Path], evidence: dict[str, Evidence], name: str
) -> None:
    made = document(evidence[name], NOTHING_DECLARED, None)
    table = next(t for c, t in tables(made).items() if c.startswith("Opt-out protocols"))
    asked = {
        signal: counts
        for signal, *counts in ask(
            corpora[name],
            "SELECT signal, count(*), sum(tokens), (SELECT count(*) FROM LEDGER b WHERE b.signal <> a.signal"
            " AND list_contains(b.signals, a.signal)) FROM LEDGER a WHERE verdict = 'drop' GROUP BY signal",
        )
    }
    shown = {str(numbers(row)[0]): list(numbers(row)[2:]) for row in table.rows}
    assert shown.keys() >= asked.keys()
    for signal, counts in shown.items():
        if signal in asked:
            assert counts == asked[signal]
        else:
            assert counts[:2] == [0, 0]
    policy = said(items(made)["Policy"])
    assert evidence[name].corpora[0].summary.policy.version in policy
    assert "in force on 2026-07-01" in policy


LOSSES = """SELECT coalesce(language, '(not stated)'), coalesce({0}, 0),
    coalesce({0} FILTER (verdict = 'keep'), 0), coalesce({0} FILTER (verdict = 'drop'), 0) {1}
    FROM LEDGER {2} ORDER BY count(*) DESC, coalesce(language, '')"""


@pytest.mark.parametrize(
    ("caption", "number"),
    [("Documents", "count(*)"), ("Tokens", "sum(tokens)")],
    ids=["documents", "tokens"],
)
def test_losses_are_those_of_the_ledger(
    corpora: dict[str, Path], evidence: dict[str, Evidence], name: str, caption: str, number: str
) -> None:
    made = tables(document(evidence[name], NOTHING_DECLARED, None))
    table = next(t for c, t in made.items() if c.startswith(f"{caption} by language: before"))
    signals = [column for column, _ in table.head[5:]]
    assert {
        s for (s,) in ask(corpora[name], "SELECT DISTINCT signal FROM LEDGER WHERE signal <> ''")
    } == {*signals}
    by_signal = "".join(f", coalesce({number} FILTER (signal = '{s}'), 0)" for s in signals)
    asked = ask(corpora[name], LOSSES.format(number, by_signal, "GROUP BY language"))
    assert [numbers(row) for row in table.rows[:LANGUAGES]][: len(asked)] == asked[:LANGUAGES]
    [total] = ask(
        corpora[name],
        LOSSES.format(number, by_signal, "")
        .replace("coalesce(language, '(not stated)')", "'All'")
        .partition("ORDER")[0],
    )
    assert numbers(table.rows[-1]) == total
    if len(asked) > LANGUAGES:
        rest = [sum(row[i] for row in asked[LANGUAGES:]) for i in range(1, len(total))]
        assert numbers(table.rows[LANGUAGES])[1:] == tuple(rest)
    for form in ("md", "html"):
        assert table.caption in report(corpora[name], form)


def test_stages_are_no_opt_outs(tmp_path: Path, corpora: dict[str, Path]) -> None:
    """Whatever a stage of a recipe lets go of has its name as the signal, and its column apart."""
    ledger = corpora["sample"] / "ledger"
    for path in ledger.rglob("*.parquet"):
        table = pq.read_table(path)
        signals = table["signal"].to_pylist()
        verdicts = table["verdict"].to_pylist()
        at = verdicts.index("keep")
        verdicts[at], signals[at] = "drop", "quality"
        for column, values in (("signal", signals), ("verdict", verdicts)):
            place = table.schema.get_field_index(column)
            field = table.schema.field(place)
            table = table.set_column(
                place, field, pa.array(values).dictionary_encode().cast(field.type)
            )
        target = tmp_path / "ledger" / path.relative_to(ledger)
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, target)
    for part in ("state", "data", "manifest.json"):
        place = corpora["sample"] / part
        for file in [place] if place.is_file() else place.rglob("*.*"):
            target = tmp_path / file.relative_to(corpora["sample"])
            target.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_bytes()
            if part == "state":
                text = re.sub(
                    rb'"rows_out": (\d+)', lambda m: b'"rows_out": %d' % (int(m[1]) - 1), text
                )
            target.write_bytes(text)
    before, after = summarise(corpora["sample"]), summarise(tmp_path)
    assert after.filtered == before.filtered + 3
    assert after.opted_out == before.opted_out
    made = document(gathered([tmp_path], TOP), NOTHING_DECLARED, None)
    table = next(
        t for c, t in tables(made).items() if c.startswith("Documents by language: before")
    )
    assert table.head[-1][0] == FILTERS
    assert numbers(table.rows[-1])[-1] == 3
    assert "3 documents were left out by stages and filters" in said(
        items(made)["How it was selected"]
    )


def test_stages_say_what_they_are_set_to(tmp_path: Path, corpora: dict[str, Path]) -> None:
    shutil.copytree(corpora["sample"], tmp_path / "out")
    manifest = tmp_path / "out/manifest.json"
    content = json.loads(manifest.read_text())
    content["recipe"]["stages"] = ["optout", "quality", "sample"]
    content["recipe"]["settings"] = {
        "sample": {"share": 0.33, "seed": 42},
        "quality": {"share": 0.5},
    }
    content["selection"] = {"quality": {"thresholds": "estimated", "share": 0.5, "heads": {}}}
    content["estimated"] = {"quality": {"de": 0.25, "fr": 0.5}}
    content["steps"] = [{"class": "datatrove.Gopher", "settings": {}}]
    content["options"]["limit"] = 9999
    manifest.write_text(json.dumps(content))
    found = items(document(gathered([tmp_path / "out"], TOP), NOTHING_DECLARED, None))
    assert [p.replace(NARROW, " ") for p in found["How it was selected"].paragraphs[1:]] == [
        "Stage optout: opted-out documents were left out.",
        "Stage quality (share = 0.5). Thresholds by language (estimated): {de = 0.25, fr = 0.5}.",
        "Stage sample (seed = 42, share = 0.33).",
        "Filter datatrove.Gopher.",
        "Only the first 9 999 documents were read.",
    ]


def test_many_crawls_are_an_annex(tmp_path: Path, corpora: dict[str, Path]) -> None:
    shutil.copytree(corpora["sample"], tmp_path / "out")
    for path in (tmp_path / "out/data").rglob("*.parquet"):
        table = pq.read_table(path)
        at = table.schema.get_field_index("dump")
        names = [f"CC-MAIN-2024-{10 + i % 20}" for i in range(table.num_rows - 1)]
        pq.write_table(table.set_column(at, "dump", pa.array([*names, "another"])), path)
    held = gathered([tmp_path / "out"], TOP)
    made = document(held, NOTHING_DECLARED, None)
    assert made.annexes[-1].number == "Annex D"
    assert len(next(t for c, t in tables(made).items() if "by the crawl" in c).rows) == 20
    assert said(items(made)["Crawls"]) == (
        "20, from CC-MAIN-2024-10 to CC-MAIN-2024-29; all of them in Annex D."
    )
    assert said(items(made)["Crawler"]).startswith("CCBot, of Common Crawl: 143 of 146 documents")


def test_personal_data_is_what_the_states_say(corpora: dict[str, Path], name: str) -> None:
    states = [json.loads(p.read_text()) for p in (corpora[name] / "state").rglob("*.json")]
    markers: Counter[str] = Counter()
    for state in states:
        markers.update(state["pii"])
    made = tables(document(gathered([corpora[name]], TOP), NOTHING_DECLARED, None))
    shown = {row[1]: numbers(row)[2] for row in made["Markers in the texts that stayed"].rows}
    assert shown == {f"<{kind}-pii>": count for kind, count in markers.items()}


# -- several corpora ------------------------------------------------------------------------------


def test_several_corpora_are_added_up(corpora: dict[str, Path], world: Any) -> None:
    world.run(world.corpus({"a.parquet": 600}), world.folder / "small")
    both = gathered([corpora["sample"], world.folder / "small"], TOP)
    alone = [gathered([path], TOP) for path in (corpora["sample"], world.folder / "small")]
    assert both.kept.documents == sum(e.kept.documents for e in alone)
    assert both.acquired.documents == both.kept.documents
    counted: Counter[str | None] = Counter()
    for held in alone:
        counted.update({language: count.documents for language, count in held.languages})
    assert {language: count.documents for language, count in both.languages} == counted
    assert [c.name for c in both.corpora] == [
        f"FineWeb 1.3.0, run {c.manifest.fingerprint[:8]}" for c in both.corpora
    ]
    assert (
        "FineWeb 1.3.0, run" in training_summary([corpora["sample"], world.folder / "small"]).text
    )


def test_one_run_twice_is_refused(corpora: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="the same run: give it once"):
        gathered([corpora["sample"], str(corpora["sample"])], TOP)
    with pytest.raises(InputError, match="at least one"):
        gathered([], TOP)


def test_a_missing_file_is_no_smaller_corpus(world: Any) -> None:
    out = world.folder / "out"
    world.run(world.corpus({"a.parquet": 300}), out)
    (out / "data/a.parquet").unlink()
    with pytest.raises(UnreadableFile, match=r"a\.parquet"):
        gathered([out], TOP)


def test_what_is_not_known_is_missing(tmp_path: Path, world: Any) -> None:
    """A corpus without dates, dumps, tokens and URLs that name hosts."""
    rows = {"text": ["a", "b"], "id": ["1", "2"], "url": ["", None], "date": [20250101, 20250102]}
    schema = pa.schema(
        [("text", pa.string()), ("id", pa.string()), ("url", pa.string()), ("date", pa.int64())]
    )
    world.write(tmp_path / "in/a.parquet", pa.table(rows, schema))
    world.run(tmp_path / "in", tmp_path / "out")
    made = document(gathered([tmp_path / "out"], TOP), NOTHING_DECLARED, "d.csv")
    found = items(made)
    assert found["Latest date of acquisition"].origin is Origin.MISSING
    assert ("1.3", "Latest date of acquisition") in made.missing()
    assert "do not state numbers of tokens" in said(found["Size"])
    assert "do not name the crawl" in said(found["Crawler"])
    assert (
        said(found["Domain names"]) == "No document has a URL that names a host. There is no list."
    )
    assert not any(annex.number == "Annex A" for annex in made.annexes)
    known = document(
        gathered([tmp_path / "out"], TOP), Declared({"content.latest": date(2025, 3, 1)}), None
    )
    assert items(known)["Latest date of acquisition"].origin is Origin.DECLARED


@pytest.mark.parametrize(
    ("column", "kind", "days"),
    [
        (
            ["2024-02-29T10:00:00Z", None, "2023-01-01 00:00"],
            pa.string(),
            ("2023-01-01", "2024-02-29", 2),
        ),
        (["2024-13-01", "24-01-01", "0001-01-01", "20240101", ""], pa.string(), (None, None, 0)),
        ([date(2024, 5, 6), None], pa.date32(), ("2024-05-06", "2024-05-06", 1)),
        ([0, 86_400_000_000 * 365], pa.timestamp("us", tz="UTC"), ("1971-01-01", "1971-01-01", 1)),
        ([1, 2], pa.int64(), (None, None, 0)),
    ],
    ids=["text", "no days", "dates", "times", "numbers"],
)
def test_dates_of_any_kind(tmp_path: Path, column: list[Any], kind: pa.DataType, days: Any) -> None:
    from pipeline.reconstruct.folder import Folder

    values = pa.array(column, kind)
    if kind == pa.timestamp("us", tz="UTC"):
        values = pa.array([None, column[1]], kind)
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"date": values}), tmp_path / "data/a.parquet")
    found = Acquired()
    found.add_file(Folder(str(tmp_path)), "data/a.parquet")
    assert (found.first, found.last, found.dated) == days


@pytest.mark.parametrize(
    ("tokens", "said_of_it"),
    [
        (0, "less than 1 billion tokens"),
        (10**9 - 1, "less than 1 billion tokens"),
        (10**9, "1 billion to 10 trillion tokens"),
        (10**13, "1 billion to 10 trillion tokens"),
        (10**13 + 1, "more than 10 trillion tokens"),
    ],
)
def test_bands(tokens: int, said_of_it: str) -> None:
    assert band(tokens) == said_of_it


@pytest.mark.parametrize(
    ("share", "domains", "listed"),
    [(TOP, 0, 0), (TOP, 1, 1), (TOP, 10, 1), (TOP, 11, 2), (TOP, 100, 10), (TOP_OF_SMALL, 20, 1),
     (TOP_OF_SMALL, 21, 2), (TOP_OF_SMALL, 20_000, 1000), (TOP_OF_SMALL, 30_000, 1000)],
)  # fmt: skip
def test_how_many_are_listed(share: Share, domains: int, listed: int) -> None:
    assert share.of(domains) == listed


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 2), st.integers(0, 2)), max_size=60
    ),
    st.integers(0, 9),
    st.integers(1, 8),
)
@settings(max_examples=60, deadline=None)
def test_nobody_level_with_the_last_is_left_out(
    rows: list[tuple[str, int, int]], wanted: int, limit: int
) -> None:
    sums: dict[str, list[int]] = {}
    for key, one, two in rows:
        held = sums.setdefault(key, [0, 0])
        held[0] += one
        held[1] += two
    best = sorted((v for v in map(tuple, sums.values()) if v[0] > 0), reverse=True)
    least = best[min(wanted, len(best)) - 1] if wanted and best else None
    expected = (
        [] if least is None else [k for k, v in sums.items() if v[0] > 0 and tuple(v) >= least]
    )
    with Tally(("key",), ("one", "two"), limit=limit) as tally:
        for key, one, two in rows:
            tally.add(pa.table({"key": [key], "one": [one], "two": [two]}))
        found = tally.leading(lambda _: wanted, ("one", "two"))
    assert [r["key"] for r in found.rows] == sorted(
        expected, key=lambda k: (-sums[k][0], -sums[k][1], k)
    )
    assert found.positive == len(best)


# -- what is declared -----------------------------------------------------------------------------


def uncommented() -> str:
    return re.sub(r"^# (?=[a-z_]+ = )", "", example(), flags=re.MULTILINE)


def test_the_example_declares_nothing_until_it_is_filled_in(
    tmp_path: Path, evidence: dict[str, Evidence]
) -> None:
    file = tmp_path / "declared.toml"
    file.write_text(example(), encoding="utf-8")
    assert read(file) == NOTHING_DECLARED
    file.write_text(uncommented(), encoding="utf-8")
    declared = read(file)
    assert {*declared.values} == {field.name for field in FIELDS}
    made = document(evidence["sample"], declared, None)
    assert made.missing() == []
    assert made.subject == "Example-8B 1.0, Example-70B 1.0"
    text = ai_act.markdown.render(made)
    assert TO_COMPLETE not in text
    assert "Nothing: every entry is counted or declared." in text
    empty = document(evidence["sample"], NOTHING_DECLARED, None)
    required = [(f.section, f.label) for f in FIELDS if f.required and not f.needs]
    assert sorted(empty.missing()) == sorted(required)


@pytest.mark.parametrize(
    ("values", "state"),
    [({}, None), ({"crawling.own": False}, "Not applicable."), ({"crawling.own": True}, "missing")],
    ids=["not said", "no", "yes"],
)
def test_what_follows_is_asked_where_it_applies(
    evidence: dict[str, Evidence], values: dict[str, Any], state: str | None
) -> None:
    found = items(document(evidence["sample"], Declared(values), None))
    item = found.get("Names of these crawlers")
    if state is None:
        assert item is None
    elif state == "missing":
        assert item is not None
        assert item.origin is Origin.MISSING
    else:
        assert item is not None
        assert item.paragraphs == (state,)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("provider = 1", "there is no table|did you mean"),
        ("[providers]", "there is no table 'providers': did you mean 'provider'"),
        ("[provider]\nnames = 'x'", r"\[provider\]: there is no field 'names': did you mean 'name'"),
        ("[provider]\nname = 1", r"\[provider\]: name must be text in quotes"),
        ("[provider]\nname = ' '", "name must be text in quotes"),
        ("[model]\nnames = []", "names must be a list of texts"),
        ("[model]\nnames = ['a', 1]", "names must be a list of texts"),
        ("[crawling]\nown = 'no'", "own must be true or false"),
        ("[summary]\nupdated = '2026-01-01'", "updated must be a day"),
        ("[summary]\nupdated = 2026-01-01T10:00:00", "updated must be a day"),
        ("[provider\n", r"is not TOML \(at line 1, column 10\)"),
        (b"\xff", "is not UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_refused(tmp_path: Path, content: Any, match: str) -> None:
    file = tmp_path / "declared.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=match) as caught:
        read(file)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--declared-example"):
        read(tmp_path / "nothing.toml")


# -- the documents --------------------------------------------------------------------------------

HOSTILE = "</p><script>alert(1)</script> | `x` \u202e **b** {{ 7 * 7 }} [a](javascript:1)"


class Tags(HTMLParser):
    """Which elements and attributes a page has, and what is still open at its end."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def hostile() -> Declared:
    values: dict[str, Any] = {}
    for field in FIELDS:
        content = tomllib.loads(f"x = {field.example}")["x"]
        if isinstance(content, str):
            content = f"{HOSTILE}\n\n{HOSTILE}"
        elif isinstance(content, list):
            content = [HOSTILE]
        values[field.name] = content
    return Declared(values)


def test_the_page_is_whole_and_loads_nothing(corpora: dict[str, Path], hostile: Declared) -> None:
    for declared in (hostile, NOTHING_DECLARED):
        page = training_summary([corpora["sample"]], "ai-act-html", declared=declared).text
        found = Tags(page)
        assert not found.open
        assert not found.tags.keys() & {"script", "link", "img", "iframe", "object", "form"}
        assert not [a for a in found.attributes if a[1].startswith("on") or a[1] == "src"]
        links = {a[2] for a in found.attributes if a[1] == "href" and not a[2].startswith("#")}
        assert links == {"https://huggingface.co/datasets/HuggingFaceFW/fineweb"}
        ids = [a[2] for a in found.attributes if a[1] == "id"]
        assert len(ids) == len(set(ids))
        assert {a[2][1:] for a in found.attributes if a[1] == "href" and a[2].startswith("#")} <= {
            *ids
        }
        assert found.tags["h1"] == 1
        assert found.tags["caption"] == found.tags["table"] >= 5
        assert not re.search(r"url\(|@import|expression|\u202e", page)
        assert "default-src 'none'" in page
        assert "@page { size: A4" in page
        assert "display: table-header-group" in page
    assert found.text.count(TO_COMPLETE) == len(training_summary([corpora["sample"]]).missing)


def test_the_page_can_be_read_aloud(corpora: dict[str, Path], world: Any) -> None:
    """WCAG 2.2: 1.3.1 (headings in their order), 2.4.1 (regions have names of their own), 3.1.1."""
    world.run(world.corpus({"a.parquet": 600}), world.folder / "small")
    several = [corpora["sample"], world.folder / "small"]
    for roots in (several[:1], several):
        page = training_summary(roots, "ai-act-html").text
        levels = [int(level) for level in re.findall(r"<h(\d)", page)]
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        found = Tags(page)
        names = [a[2] for a in found.attributes if a[0] == "div" and a[1] == "aria-label"]
        assert len(names) == len(set(names)) == found.tags["table"]
        assert ("html", "lang", "en") in found.attributes
        assert all(a[2] in {"col", "row"} for a in found.attributes if a[1] == "scope")


def test_markdown_says_just_that(corpora: dict[str, Path], hostile: Declared) -> None:
    text = training_summary([corpora["sample"]], declared=hostile).text
    assert "\u202e" not in text
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert not re.search(r"(?<!\\)[<`]", outside)
    assert not re.search(r"(?<!\\)\]\(", outside)
    numbers_of = re.findall(r"^### (\d\.\d)", text, re.MULTILINE)
    assert numbers_of == [
        "1.1",
        "1.2",
        "1.3",
        "2.1",
        "2.2",
        "2.3",
        "2.4",
        "2.5",
        "2.6",
        "3.1",
        "3.2",
        "3.3",
    ]


def test_what_is_missing_is_marked_and_listed(corpora: dict[str, Path]) -> None:
    made = training_summary([corpora["sample"]])
    assert made.text.count(f"**[ {TO_COMPLETE} ]**") == len(made.missing) == 22
    listed = made.text.partition("## What is still missing")[2]
    assert listed.count("\n- ") == 22
    assert "22 entries are still to be completed by the provider. This is a draft." in made.text


def test_an_unfinished_run_is_said_so(tmp_path: Path, world: Any) -> None:
    out = tmp_path / "out"
    world.run(world.corpus({"a.parquet": 300, "b.parquet": 50}), out)
    (out / "state/b.parquet.json").unlink()
    made = training_summary([out])
    assert "This run is not finished" in made.text
    assert "DRAFT" in training_summary([out], "ai-act-html").text


def test_the_same_words_each_time(corpora: dict[str, Path]) -> None:
    for form in ai_act.FORMATS:
        one, other = (training_summary([corpora["sample"]], form).text for _ in range(2))
        assert one == other
    with pytest.raises(UnknownName, match="no format 'pdf'"):
        training_summary([corpora["sample"]], "pdf")


# -- the command ----------------------------------------------------------------------------------


def lethe(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lethe", "reconstruct", "report", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_writes_document_and_domains(corpora: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "declared.toml").write_text(uncommented(), encoding="utf-8")
    out = tmp_path / "x.html"
    done = lethe(
        corpora["sample"], "--format", "ai-act", "--declared", tmp_path / "declared.toml", "--out", out
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "to be completed" not in done.stderr
    assert (tmp_path / "x-domains.csv").read_text() == gathered(
        [corpora["sample"]], TOP
    ).domains.as_csv()
    assert "x-domains.csv" in out.read_text(encoding="utf-8")
    small = lethe(
        corpora["sample"], "--format", "ai-act", "--small", "--domains", tmp_path / "d.csv"
    )
    assert small.returncode == 0, small.stderr
    assert "the top 5 %" in small.stdout
    assert "22 entries are still to be completed" in small.stderr
    assert (tmp_path / "d.csv").read_text() == gathered(
        [corpora["sample"]], TOP_OF_SMALL
    ).domains.as_csv()
    assert lethe("--declared-example").stdout == example()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--small"], "belong to --format ai-act"),
        (["CORPUS", "--format", "md"], "is about one corpus"),
        (["--format", "ai-act", "--declared", "nothing.toml"], "cannot be read"),
        (["--format", "ai-act", "--out", "x.md", "--domains", "x.md"], "one file"),
        (["CORPUS", "--format", "ai-act"], "the same run"),
    ],
    ids=["small", "two", "declared", "one file", "twice"],
)
def test_bad_input_is_one_sentence(
    corpora: dict[str, Path], arguments: list[str], match: str
) -> None:
    root = corpora["sample"]
    done = lethe(root, *(f"{root}/" if a == "CORPUS" else a for a in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert match in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_a_corpus(tmp_path: Path) -> None:
    done = lethe("--format", "ai-act")
    assert (done.returncode, done.stdout) == (2, "")
    done = lethe(tmp_path, "--format", "ai-act")
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no manifest.json" in done.stderr
