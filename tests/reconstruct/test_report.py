from __future__ import annotations

import json
import random
import re
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.errors import InputError, MissingExtra
from pipeline.errors import UnknownName, UnreadableFile, WrongColumns, WrongVersion
from pipeline.optout.agents import resolve
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.signals import Signal
from pipeline.optout.spec import Fall, named
from pipeline.reconstruct.ledger import SCHEMA, explained
from pipeline.reconstruct.report import FORMATS, Summary, report, summarise
from pipeline.reconstruct.report.model import Count, Flow
from pipeline.reconstruct.report.numbers import NARROW, percent, whole
from pipeline.reconstruct.report.prose import command, headline
from pipeline.reconstruct.report.summary import TOP_HOSTS, TOP_RULES, public_root
from pipeline.reconstruct.report.tally import Tally
from pipeline.reconstruct.report.text import markdown, markdown_code, shown

AGENTS = ["CCBot", "GPTBot", "Google-Extended", "ClaudeBot", "*"]
STYLES = Path(__file__).resolve().parents[2] / "pipeline/reconstruct/report/templates/style.css"


# -- a corpus as `lethe reconstruct run` leaves it ------------------------------------------------


def kept(host: str | None = "kept.example", **fields: Any) -> dict[str, Any]:
    return document("keep", host, **fields)


def dropped(
    host: str | None = "gone.example", signal: str | None = "robots", **fields: Any
) -> dict[str, Any]:
    is_filter = signal is None or signal.startswith("filter:")
    why = {} if is_filter else {
        "signals": [signal],
        "agents": ["GPTBot"] if signal == "robots" else [],
        "rule": "Disallow: /",
        "line": 3,
        "source": "robots.txt",
        "source_hash": "0" * 64,
        "source_date": "2025-01-31",
    }  # fmt: skip
    return document("drop", host, signal=signal, **why | fields)


def document(verdict: str, host: str | None, **fields: Any) -> dict[str, Any]:
    url = None if host is None else f"https://{host}/a"
    return {"verdict": verdict, "host": host, "url": url, "language": "en", "tokens": 100} | fields


def write_run(
    out: Path,
    files: dict[str, list[dict[str, Any]] | None],
    *,
    pii: dict[str, int] | None = None,
    **changes: Any,
) -> Path:
    """The folder of a run; a file whose documents are ``None`` is not finished."""
    manifest: dict[str, Any] = {
        "format": 1,
        "engine_version": 1,
        "recipe": {
            "name": "fineweb",
            "title": "FineWeb 1.3.0",
            "dataset": "HuggingFaceFW/fineweb",
            "revision": "v1.3.0",
            "homepage": "https://huggingface.co/datasets/HuggingFaceFW/fineweb",
            "license": "odc-by",
        },
        "policy": {
            "name": "rfc9309",
            "version": "0123456789abcdef",
            "as_of": "2026-07-01",
            "agent_set": "apertus",
            "agents": AGENTS,
            "signals": sorted(Signal),
            "unreachable": "drop",
            "unreadable": "keep",
            "no_url": "keep",
            "counts": {
                "robots.txt: files": 41230,
                "robots.txt: absent": 9120,
                "robots.txt: unreachable": 318,
                "robots.txt: unreadable": 77,
                "snapshot: domain is not a host": 4,
                "opt-outs: in force": 12,
            },
        },
        "options": {"pii": "strict", "limit": None, "removed": "none"},
        "fingerprint": "f" * 64,
        "input": {
            "root": "/home/somebody/fineweb-sample",
            "files": [
                {"name": name, "rows": len(rows or []), "bytes": 1} for name, rows in files.items()
            ],
        },
    }
    for path, value in changes.items():
        *above, last = path.split("__")
        holder = manifest
        for key in above:
            holder = holder[key]
        holder[last] = value
    out.mkdir(parents=True, exist_ok=True)
    (out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    for name, rows in files.items():
        if rows is not None:
            write_file(out, name, rows, pii or {"email": 3, "ip": 1})
    return out


def write_file(out: Path, name: str, rows: list[dict[str, Any]], pii: dict[str, int]) -> None:
    complete = [
        {f.name: None for f in SCHEMA}
        | {"id": f"{name}/{i}", "file": name, "row_group": 0, "row": i}
        | row
        for i, row in enumerate(rows)
    ]
    stay = [row for row in complete if row["verdict"] == "keep"]
    for folder in ("ledger", "data", "state"):
        (out / folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(complete, SCHEMA), out / "ledger" / name)
    pq.write_table(
        pa.table({"text": pa.array(["text"] * len(stay), pa.string())}), out / "data" / name
    )
    state = {
        "file": name,
        "rows_in": len(rows),
        "rows_out": len(stay),
        "pii": pii,
        "documents_scrubbed": sum(pii.values()),
        "sha256": {"data": "0" * 64, "ledger": "0" * 64},
    }
    (out / "state" / f"{name}.json").write_text(json.dumps(state), encoding="utf-8")


LANGUAGES = [
    "en",
    "de",
    "fr",
    "it",
    "rm",
    "ru",
    "zh",
    "ja",
    "pl",
    "pt",
    "nl",
    "es",
    "cs",
    "tr",
    None,
]


def some_documents(count: int, seed: int) -> list[dict[str, Any]]:
    """Every kind of row that the engine writes, in odd proportions."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        host = f"site{int(draw.paretovariate(0.6)) % 300}.example" if draw.random() > 0.03 else None
        common = {
            "language": LANGUAGES[min(int(draw.expovariate(0.35)), len(LANGUAGES) - 1)],
            "tokens": draw.choice([None, *range(20, 2000, 37)]),
        }
        chance = draw.random()
        if chance > 0.08 or host is None:
            rows.append(kept(host, **common))
        elif chance < 0.012:
            rows.append(dropped(host, "filter:GopherQualityFilter", **common))
        else:
            signals = draw.sample(sorted(Signal), draw.choice([1, 1, 1, 2, 3]))
            signals.sort(key=list(Signal).index)
            if draw.random() < 0.7:
                signals = ["robots", *(s for s in signals if s != "robots")]
            agents = draw.sample(AGENTS, draw.randint(1, 4)) if signals[0] == "robots" else []
            month = draw.choice(["2025-01-31", "2025-06-11", "2026-03-01", "2026-06-30", None])
            rule = draw.choice(
                ["Disallow: /", "Disallow: /", "Disallow: /archive/", "disallow:/*.pdf$"]
            )
            why = {"signals": signals, "agents": agents, "source_date": month, "rule": rule}
            rows.append(dropped(host, signals[0], **why, **common))
    return rows


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"part/{i:03d}.parquet": some_documents(1500, i) for i in range(3)}
    nobody = {"signals": ["robots"], "agents": [], "source": "policy", "source_date": None}
    no_answer = {"source_hash": None, "line": None, "agents": AGENTS}
    files["part/003.parquet"] = [
        dropped(None, **nobody),
        dropped(None, **nobody | {"signals": ["robots", "noai"]}),
        dropped("down.example", **no_answer),
        dropped("down.example", **no_answer | {"signals": ["robots", "optout"]}),
        dropped("x.example", None),
        dropped("x.example", "filter:A", tokens=None),
    ]
    files["part/004.parquet"] = []
    return write_run(tmp_path_factory.mktemp("corpus"), files)


@pytest.fixture(scope="module")
def summary(corpus: Path) -> Summary:
    return summarise(corpus)


# -- every figure against DuckDB ------------------------------------------------------------------


def ask(corpus: Path, query: str) -> list[tuple[Any, ...]]:
    ledger = f"read_parquet('{corpus}/ledger/**/*.parquet')"
    with duckdb.connect() as connection:
        return connection.sql(query.replace("LEDGER", ledger)).fetchall()


def flat(flow: Flow) -> tuple[int | None, ...]:
    return tuple(n for c in (flow.total, flow.kept, flow.dropped) for n in (c.documents, c.tokens))


FLOW = """count(*), sum(tokens),
    count(*) FILTER (verdict = 'keep'), sum(tokens) FILTER (verdict = 'keep'),
    count(*) FILTER (verdict = 'drop'), sum(tokens) FILTER (verdict = 'drop')"""


def test_totals_are_those_of_the_ledger(corpus: Path, summary: Summary) -> None:
    assert [flat(summary.flow)] == ask(corpus, f"SELECT {FLOW} FROM LEDGER")
    assert [(summary.without_tokens,)] == ask(
        corpus, "SELECT count(*) FROM LEDGER WHERE tokens IS NULL"
    )
    assert summary.flow.total.documents == 4506


def test_languages_are_those_of_the_ledger(corpus: Path, summary: Summary) -> None:
    found = [(row.language, *flat(row.flow)) for row in summary.languages]
    asked = ask(
        corpus,
        f"SELECT language, {FLOW} FROM LEDGER GROUP BY language "
        "ORDER BY count(*) DESC, coalesce(language, '')",
    )
    assert found == asked
    assert None in {row.language for row in summary.languages}


def test_signals_are_those_of_the_ledger(corpus: Path, summary: Summary) -> None:
    expected = {
        signal: (documents, tokens)
        for signal, documents, tokens in ask(
            corpus,
            "SELECT signal, count(*), sum(tokens) FROM LEDGER WHERE verdict = 'drop' GROUP BY signal",
        )
    }
    found = {s.signal: (s.dropped.documents, s.dropped.tokens) for s in summary.signals}
    assert found == {name: expected.get(name, (0, None)) for name in found}
    assert found.keys() >= expected.keys()
    also = dict(
        ask(
            corpus,
            "SELECT other, count(*) FROM (SELECT signal, unnest(signals) AS other FROM LEDGER "
            "WHERE verdict = 'drop') WHERE other <> signal GROUP BY other",
        )
    )
    assert {s.signal: s.also for s in summary.signals if s.also} == also
    assert sum(also.values()) > 0


def test_signals_stand_in_their_order_then_filters_then_no_reason(summary: Summary) -> None:
    names = [s.signal for s in summary.signals]
    assert names == [*map(str, Signal), "filter:A", "filter:GopherQualityFilter", None]


def test_agents_are_those_of_the_ledger(corpus: Path, summary: Summary) -> None:
    asked = ask(
        corpus,
        "SELECT agent, count(*) FROM (SELECT unnest(agents) AS agent FROM LEDGER) GROUP BY agent",
    )
    assert {a.agent: a.documents for a in summary.agents} == dict(asked)
    assert [a.documents for a in summary.agents] == sorted((n for _, n in asked), reverse=True)
    assert [(summary.everybody,)] == ask(
        corpus, "SELECT count(*) FROM LEDGER WHERE len(agents) = 0 AND source <> 'policy'"
    )


def test_agents_whom_nobody_disallows_are_named_too(tmp_path: Path) -> None:
    write_run(tmp_path, {"a.parquet": [dropped(agents=["GPTBot"])]})
    found = {a.agent: a.documents for a in summarise(tmp_path).agents}
    assert found == {a: int(a == "GPTBot") for a in AGENTS}


def test_hosts_are_those_of_the_ledger(corpus: Path, summary: Summary) -> None:
    found = [(h.host, h.documents, h.kept, h.dropped) for h in summary.hosts.top]
    by_host = (
        "SELECT host, count(*), count(*) FILTER (verdict = 'keep'), "
        "count(*) FILTER (verdict = 'drop') AS gone FROM LEDGER WHERE host IS NOT NULL GROUP BY host"
    )
    asked = ask(corpus, f"FROM ({by_host}) WHERE gone > 0 ORDER BY gone DESC, host")
    assert found == asked[:TOP_HOSTS]
    assert summary.hosts.losing == len(asked) > TOP_HOSTS
    assert summary.hosts.distinct == len(ask(corpus, by_host))


def test_rules_are_those_of_the_ledger(corpus: Path, summary: Summary) -> None:
    found = [(r.signal, r.rule, r.documents) for r in summary.rules.top]
    asked = ask(
        corpus,
        "SELECT signal, rule, count(*) AS n FROM LEDGER WHERE rule IS NOT NULL "
        "GROUP BY ALL ORDER BY n DESC, signal, rule",
    )
    assert found == asked[:TOP_RULES]
    assert summary.rules.distinct == len(asked)


def test_months_are_those_of_the_ledger(corpus: Path, summary: Summary) -> None:
    found = [(m.month, m.documents) for m in summary.months]
    assert found == ask(
        corpus,
        "SELECT source_date[:7] AS month, count(*) FROM LEDGER WHERE source IS NOT NULL "
        "GROUP BY month ORDER BY month NULLS LAST",
    )


def test_what_could_not_be_checked_is_that_of_the_ledger(corpus: Path, summary: Summary) -> None:
    unchecked = summary.unchecked
    assert [flat(unchecked.no_host)] == ask(corpus, f"SELECT {FLOW} FROM LEDGER WHERE host IS NULL")
    assert unchecked.no_host.total.documents > 100
    # A second signal makes it an opt-out after all.
    assert (unchecked.unasked, unchecked.unreachable) == (1, 1)
    assert unchecked.sources == {
        "robots.txt: unreachable": 318,
        "robots.txt: unreadable": 77,
        "snapshot: domain is not a host": 4,
    }


def test_nobody_is_said_to_have_opted_out_who_was_not_asked(tmp_path: Path) -> None:
    """What the policy writes into a ledger is what the report reads out of it."""
    snapshot = pa.table(
        {
            "domain": ["down.example", "no.example"],
            "content": pa.array([None, b"User-agent: *\nDisallow: /\n"], pa.binary()),
            "status": [503, 200],
        }
    )
    pq.write_table(snapshot, tmp_path / "snapshot.parquet")
    spec = named("rfc9309", no_url=Fall.DROP)
    compiler = PolicyCompiler(spec, resolve("apertus"), date(2026, 7, 1))
    compiler.add_snapshot(tmp_path / "snapshot.parquet")
    header = compiler.finish(tmp_path / "policy.parquet")
    urls = ["https://down.example/a", "https://no.example/a", None, "https://yes.example/a"]
    found = OptOutPolicy.open(tmp_path / "policy.parquet").decide(None, pa.array(urls))
    columns = {name: c.to_pylist() for name, c in explained(found.codes, found.refusals).items()}
    rows = [
        document("keep" if stays else "drop", host, **{name: c[i] for name, c in columns.items()})
        for i, (stays, host) in enumerate(zip(found.keep, found.hosts.to_pylist(), strict=True))
    ]
    write_run(tmp_path / "out", {"a.parquet": rows}, policy__counts=header.counts)
    unchecked = summarise(tmp_path / "out").unchecked
    assert (unchecked.unasked, unchecked.unreachable) == (1, 1)
    assert unchecked.sources == {"robots.txt: unreachable": 1}
    assert "4 documents came in, 1 stayed: 1 opted out" in headline(
        summarise(tmp_path / "out")
    ).replace(NARROW, " ")


def test_personal_data_is_summed_over_the_files(summary: Summary) -> None:
    held = summary.personal_data
    assert (held.documents, held.markers) == (4 * 5, {"email": 3 * 5, "ip": 5})


def test_opt_outs_filters_and_the_rest_add_up(summary: Summary) -> None:
    nobody = summary.unchecked.unasked + summary.unchecked.unreachable
    parts = summary.opted_out + summary.filtered + summary.unexplained + nobody
    assert parts == summary.flow.dropped.documents
    assert summary.unexplained == 1


def test_json_holds_the_summary(corpus: Path, summary: Summary) -> None:
    assert json.loads(report(corpus, "json")) == json.loads(json.dumps(summary.described()))


# -- sentences ------------------------------------------------------------------------------------

GONE_FILTER = dropped(signal="filter:X")
NO_URL = dropped(None, source="policy", agents=[])
NO_ANSWER = dropped(source_hash=None)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([kept()] * 59 + [dropped()], "60 documents came in, 59 stayed: 1 opted out (1.7 %)."),
        ([], "No documents came in."),
        ([kept()], "1 document came in, 1 stayed: 0 opted out (0.0 %)."),
        ([kept()] * 3, "3 documents came in, all of them stayed: 0 opted out (0.0 %)."),
        ([dropped()] * 3, "3 documents came in, none stayed: 3 opted out (100.0 %)."),
        (
            [GONE_FILTER, NO_URL, NO_ANSWER, dropped(signal=None), dropped(), *[kept()] * 5],
            (
                "10 documents came in, 5 stayed: 1 opted out (10.0 %), "
                "1 on unreachable sites (10.0 %), 1 had no URL to ask at (10.0 %), "
                "1 left out by filters (10.0 %), 1 without a recorded reason (10.0 %)."
            ),
        ),
    ],
    ids=["some", "none came", "one", "all stay", "none stay", "every reason"],
)
def test_headline(tmp_path: Path, rows: list[dict[str, Any]], sentence: str) -> None:
    write_run(tmp_path, {"a.parquet": rows})
    assert headline(summarise(tmp_path)).replace(NARROW, " ") == sentence


@pytest.mark.parametrize("form", FORMATS)
def test_an_unfinished_run_says_so(tmp_path: Path, form: str) -> None:
    files: dict[str, Any] = {"a.parquet": [kept(), dropped()], "b.parquet": None}
    write_run(tmp_path, files)
    text = report(tmp_path, form)
    if form == "json":
        held = json.loads(text)
        assert (held["finished"], held["run"]["missing"]) == (False, 1)
        assert held["run"]["first_missing"] == ["b.parquet"]
    else:
        assert "This run is not finished: 1 of 2" in text.replace(NARROW, " ")
        assert "So far, 2 documents came in" in text.replace(NARROW, " ")
    write_file(tmp_path, "b.parquet", [], {})
    assert "not finished" not in report(tmp_path, form)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"options__removed": "verbatim"}, "must never be published"),
        ({"options__limit": 2}, "limited to the first 2 documents"),
        ({"options__pii": "none"}, "did not look for personal data"),
        ({"options__pii": "apertus"}, "as the Apertus project found them"),
        ({"options__removed": "scrubbed"}, "with the same replacements"),
        ({"policy__unreadable": "drop"}, "that is no such file go."),
        ({"policy__counts": {"robots.txt: files": 3}}, "Every file of the snapshot was reached"),
        ({"policy__counts": {"opt-outs: in force": 3}}, "without a snapshot of files"),
        ({"steps": [{"class": "datatrove.Gopher", "settings": {}}]}, "datatrove.Gopher"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_was_chosen_is_said(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    plain = write_run(tmp_path / "plain", {"a.parquet": [kept(), dropped()]})
    chosen = write_run(tmp_path / "chosen", {"a.parquet": [kept(), dropped()]}, **changes)
    for form in ("html", "md"):
        assert words in report(chosen, form)
        assert words not in report(plain, form)


def test_the_command_is_quoted_for_a_shell(tmp_path: Path) -> None:
    write_run(tmp_path, {"a.parquet": []}, input__root="/x/$(rm -rf ~)", options__limit=3)
    assert command(summarise(tmp_path)) == (
        "lethe reconstruct run fineweb --input '$(rm -rf ~)' --policy POLICY.parquet --out DIR "
        "--pii strict --limit 3"
    )


@pytest.mark.parametrize(
    ("root", "public"),
    [
        ("hf://datasets/HuggingFaceFW/fineweb", "hf://datasets/HuggingFaceFW/fineweb"),
        ("s3://key:secret@bucket/a/b", "s3://bucket/a/b"),
        ("https://host.example/a?token=secret#x", "https://host.example/a"),
        ("https://host.example?token=secret", "https://host.example"),
        ("https://host.example/@user/a", "https://host.example/@user/a"),
        ("/home/jane.doe/corpus", "corpus"),
        ("/home/jane.doe/corpus/", "corpus"),
        ("file:///home/jane.doe/corpus", "corpus"),
        ("corpus", "corpus"),
        ("/", "input"),
    ],
)
def test_where_the_input_lies_names_no_person_and_no_key(root: str, public: str) -> None:
    assert public_root(root) == public


# -- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "total", "text"),
    [
        (64, 3753, "1.7 %"),
        (0, 10, "0.0 %"),
        (10, 10, "100.0 %"),
        (1, 100_000, "< 0.1 %"),
        (1, 2000, "0.1 %"),
        (99_999, 100_000, "> 99.9 %"),
        (1, 8, "12.5 %"),
        (0, 0, "–"),
    ],
)
def test_percent(part: int, total: int, text: str) -> None:
    assert percent(part, total).replace(NARROW, " ") == text


@given(st.integers(1, 10**13), st.data())
@settings(max_examples=200, deadline=None)
def test_rounding_makes_nothing_of_nothing_only(total: int, data: st.DataObject) -> None:
    part = data.draw(st.integers(0, total))
    text = percent(part, total)
    assert (text == f"0.0{NARROW}%") == (part == 0)
    assert (text == f"100.0{NARROW}%") == (part == total)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (3753, "3 753"),
        (15_000_000_000_000, "15 000 000 000 000"),
        (None, "–"),
    ],
)
def test_whole(number: int | None, text: str) -> None:
    assert whole(number).replace(NARROW, " ") == text


# -- hostile hosts, rules, names ------------------------------------------------------------------

HOSTILE = [
    '"><script>alert(1)</script>',
    "</svg></style></title><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "a|b`c`](javascript:alert(1))",
    "\u202egnp.example\x00\x1b[2J\n# heading\n",
    "&lt;b&gt; & '",
    "x" * 5000,
]


class Tags(HTMLParser):
    """Every tag and attribute of a page, and its text outside of the style sheet."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in {"meta", "rect"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


KNOWN_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section"),
    *(
        "h1",
        "h2",
        "h3",
        "p",
        "div",
        "span",
        "dl",
        "dt",
        "dd",
        "ul",
        "li",
        "a",
        "code",
        "bdi",
        "pre",
    ),
    *("figure", "figcaption", "svg", "desc", "text", "rect"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td"),
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        dropped(h, rule=h, language=h, agents=[h], source_date=h, signals=["robots", h])
        for h in HOSTILE
    ]
    rows += [dropped("x.example", f"filter:{h}") for h in HOSTILE]
    return write_run(
        tmp_path_factory.mktemp("hostile"),
        {"a.parquet": rows},
        pii=dict.fromkeys(HOSTILE, 1),
        recipe__title=HOSTILE[0],
        recipe__dataset=HOSTILE[1],
        recipe__revision=HOSTILE[4],
        recipe__homepage="javascript:alert(1)",
        policy__agents=HOSTILE,
        policy__signals=HOSTILE,
        policy__as_of=HOSTILE[1],
        policy__counts={f"{h} unreachable": 1 for h in HOSTILE},
        policy__name=HOSTILE[1],
        input__root=f"s3://{HOSTILE[1]}",
        fingerprint=HOSTILE[1],
        steps=[{"class": h} for h in HOSTILE],
    )


def test_hostile_text_stays_text_in_html(hostile: Path) -> None:
    page = report(hostile, "html")
    found = Tags(page)
    assert not found.open
    assert found.tags.keys() <= KNOWN_TAGS
    assert not [a for a in found.attributes if a[1].startswith("on") or a[1] in {"src", "href"}]
    assert HOSTILE[0] in found.text
    assert "{{ 7 * 7 }}" in found.text
    assert "\\u202egnp.example\\u0000\\u001b[2J\\u000a# heading" in found.text
    assert not re.search(r"[\x00\u202e\x1b]", page)
    assert len(page) < 200_000


def test_hostile_text_stays_text_in_markdown(hostile: Path) -> None:
    text = report(hostile, "md")
    assert not re.search(r"[\x00\u202e\x1b]", text)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert len(headings) == 10
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", re.sub(r"```sh\n.*\n```", "", text))
    assert not re.search(r"(?<!\\)[<`]", outside.replace("\n> **Attention", "\n"))
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    width = None
    for before, line in zip(["", *text.splitlines()], text.splitlines(), strict=False):
        if line.startswith("| "):
            cells = len(re.findall(r"(?<!\\)\|", line))
            assert cells == (width if before.startswith("| ") else cells)
            width = cells
    assert len(tables) > 40


@given(st.text(max_size=60), st.integers(2, 40))
@settings(max_examples=200, deadline=None)
def test_what_is_shown_is_visible_and_short(text: str, longest: int) -> None:
    found = shown(text, longest)
    assert len(found) <= longest
    assert all(c.isprintable() or c == NARROW for c in found)
    if text.isprintable() and len(text) <= longest:
        assert found == text


@given(st.text(alphabet="`|\\ ab\n", max_size=40))
@settings(max_examples=200, deadline=None)
def test_a_code_span_ends_where_it_should(text: str) -> None:
    """CommonMark 6.1: a code span ends at the next run of exactly as many backticks."""
    span = markdown_code(text)
    if not span:
        assert not shown(text).strip()
        return
    opening = re.match(r"`+", span)
    assert opening is not None
    runs = [m.group() for m in re.finditer(r"`+", span)]
    assert runs[0] == runs[-1] == opening.group()
    assert opening.group() not in runs[1:-1]
    assert "\n" not in span
    assert not re.search(r"(?<!\\)\|", span)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b*c", r"a\_b\*c"),
        ("<b>&amp;", r"\<b\>\&amp;"),
        ("[x](y)", r"\[x\](y)"),
        ("a.b-c", "a.b-c"),
    ],
)
def test_markdown_is_escaped(text: str, escaped: str) -> None:
    assert markdown(text) == escaped


def test_long_hostile_text_costs_what_is_shown_of_it() -> None:
    text = "`\u202e" * 5_000_000
    started = time.process_time()
    for show in (shown, markdown, markdown_code):
        assert len(show(text)) < 5000
    assert time.process_time() - started < 0.5


# -- the page -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(corpus: Path) -> str:
    return report(corpus, "html")


def test_the_page_loads_and_runs_nothing(page: str) -> None:
    found = Tags(page)
    assert not found.tags.keys() & {"script", "link", "img", "iframe", "object", "form"}
    assert [a for a in found.attributes if a[1] in {"src", "href"}] == [
        ("a", "href", "https://huggingface.co/datasets/HuggingFaceFW/fineweb")
    ]
    assert not re.search(r"url\(|@import|expression", page)
    assert "default-src 'none'" in page


def test_the_page_can_be_read_aloud(page: str) -> None:
    """WCAG 2.2: 1.1.1 (charts have a text), 1.3.1 (tables, headings), 2.4.2, 3.1.1, 4.1.2."""
    found = Tags(page)
    assert found.open == []
    assert ("html", "lang", "en") in found.attributes
    assert found.tags["h1"] == 1
    assert found.tags["title"] == 1 + found.tags["svg"]
    assert found.tags["caption"] == found.tags["table"] >= 8
    assert sum(a[0] == "svg" and a[1:] == ("role", "img") for a in found.attributes) == 5
    ids = [value for _, name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    named = [value for _, name, value in found.attributes if name == "aria-labelledby"]
    assert {i for value in named for i in value.split()} <= set(ids)
    assert all(a[2] in {"col", "row"} for a in found.attributes if a[1] == "scope")


def test_charts_are_well_formed_and_stay_inside(page: str) -> None:
    charts = [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    assert len(charts) == 5
    space = "{http://www.w3.org/2000/svg}"
    for chart in charts:
        assert chart.find(f"{space}title").text  # type: ignore[union-attr]
        rects = chart.findall(f"{space}rect")
        ends = [
            float(r.get("x", "0").rstrip("%")) + float(r.get("width", "0").rstrip("%"))
            for r in rects
        ]
        assert max(ends) <= 100.01
        assert all(float(r.get("width", "0").rstrip("%")) >= 0.49 for r in rects)


def test_every_number_of_the_tables_is_in_html_and_markdown(corpus: Path, page: str) -> None:
    text = report(corpus, "md")
    cells = re.findall(r'<td class="number">(.*?)</td>', page)
    assert len(cells) > 300
    rows = [cell.strip() for line in text.splitlines() for cell in line.split(" | ")]
    written = Counter(cell.strip("| ") for cell in rows)
    assert not Counter(c.replace("&lt;", "\\<") for c in cells) - written


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2, definition)."""
    digits = colour.lstrip("#")
    digits = "".join(c * 2 for c in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1, 2], ids=["light", "dark", "print"])
def test_contrast(scheme: int) -> None:
    """WCAG 2.2, 1.4.3 (text: 4.5 to 1) and 1.4.11 (what a chart is read by: 3 to 1)."""
    blocks = re.findall(r":root \{(.*?)\}", STYLES.read_text(encoding="utf-8"), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w+)", blocks[scheme]))
    for text in ("ink", "soft", "link"):
        assert contrast(colours[text], colours["paper"]) >= 4.5, text
    assert contrast(colours["ink"], colours["ground"]) >= 4.5
    assert contrast(colours["alarm"], colours["alarm-paper"]) >= 4.5
    for bar in ("kept", "gone"):
        assert contrast(colours[bar], colours["paper"]) >= 3, bar


# -- odd corpora ----------------------------------------------------------------------------------

ODD: dict[str, dict[str, list[dict[str, Any]]]] = {
    "no files": {},
    "no documents": {"a.parquet": []},
    "all dropped": {"a.parquet": [dropped(f"h{i}.example") for i in range(70)]},
    "nothing dropped": {"a.parquet": [kept()] * 3},
    "languages null": {"a.parquet": [kept(language=None), dropped(language=None)]},
    "tokens null": {"a.parquet": [kept(tokens=None), dropped(tokens=None)]},
    "no hosts": {"a.parquet": [kept(None), dropped(None)]},
    "many languages": {
        "a.parquet": [kept(language=f"l{i}", tokens=i % 2 or None) for i in range(60)]
    },
    "dates that are none": {"a.parquet": [dropped(source_date=d) for d in ("", "soon", None)]},
    "years of dates": {
        "a.parquet": [dropped(source_date=f"20{y}-0{m}-01") for y in range(10, 27) for m in (1, 7)]
    },
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ODD)
def test_odd_corpora_render(tmp_path: Path, name: str, form: str) -> None:
    text = report(write_run(tmp_path, ODD[name]), form)
    assert "None" not in text
    if form == "html":
        assert not Tags(text).open


def test_tokens_of_documents_that_state_none_are_unknown_and_not_zero(tmp_path: Path) -> None:
    write_run(tmp_path, ODD["tokens null"])
    found = summarise(tmp_path)
    assert found.flow.kept == Count(1, None)
    assert found.without_tokens == 2


def test_many_languages_are_summed_up_in_one_row(tmp_path: Path) -> None:
    text = report(write_run(tmp_path, ODD["many languages"]), "md")
    assert "| `(20 more)` | 20 | 20 | 0 |" in text


def test_old_dates_are_summed_up_in_one_row(tmp_path: Path) -> None:
    text = report(write_run(tmp_path, ODD["years of dates"]), "md")
    assert "| until 2020-07 | 22 |" in text


def test_the_same_run_gives_the_same_report(corpus: Path) -> None:
    for form in FORMATS:
        assert report(corpus, form) == report(corpus, form)


def test_a_remote_folder_is_read_alike(corpus: Path, summary: Summary) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(f"{corpus}/", "/remote/run/", recursive=True)
    assert summarise("memory://remote/run") == summary


# -- what cannot be reported ----------------------------------------------------------------------


def corrupt(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def change(path: Path, key: str, value: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))


def replace_column(path: Path, name: str, values: list[str] | None) -> None:
    table = pq.read_table(path).drop_columns([name])
    if values is not None:
        table = table.append_column(name, pa.array(values, pa.string()))
    pq.write_table(table, path)


BROKEN: dict[str, tuple[Any, type[InputError], str]] = {
    "no manifest": (
        lambda p: (p / "manifest.json").unlink(),
        UnreadableFile,
        "no manifest.json: give the output folder",
    ),
    "manifest cut off": (lambda p: corrupt(p / "manifest.json"), UnreadableFile, "damaged"),
    "manifest is no object": (
        lambda p: (p / "manifest.json").write_text("[]"),
        UnreadableFile,
        "not the manifest of a run",
    ),
    "another format": (
        lambda p: change(p / "manifest.json", "format", 2),
        WrongVersion,
        "another version",
    ),
    "field missing": (
        lambda p: change(p / "manifest.json", "policy", {"name": "x"}),
        UnreadableFile,
        "no usable field 'version'",
    ),
    "field of another type": (
        lambda p: change(p / "manifest.json", "engine_version", True),
        UnreadableFile,
        "no usable field 'engine_version'",
    ),
    "ledger missing": (
        lambda p: (p / "ledger/a.parquet").unlink(),
        UnreadableFile,
        "ledger/a.parquet is missing",
    ),
    "ledger cut off": (lambda p: corrupt(p / "ledger/a.parquet"), UnreadableFile, "cut off"),
    "ledger without a column": (
        lambda p: replace_column(p / "ledger/a.parquet", "signals", None),
        WrongColumns,
        "no column 'signals'",
    ),
    "verdict unknown": (
        lambda p: replace_column(p / "ledger/a.parquet", "verdict", ["keep", "maybe"]),
        UnreadableFile,
        "neither keep nor drop",
    ),
    "verdict null": (
        lambda p: replace_column(p / "ledger/a.parquet", "verdict", ["keep", None]),
        UnreadableFile,
        "neither keep nor drop",
    ),
    "state and ledger differ in what stayed": (
        lambda p: change(p / "state/a.parquet.json", "rows_out", 2),
        UnreadableFile,
        "2 documents of which 1 stayed",
    ),
    "state of another file": (
        lambda p: change(p / "state/a.parquet.json", "file", "b.parquet"),
        UnreadableFile,
        "speaks of another file",
    ),
    "state cut off": (lambda p: corrupt(p / "state/a.parquet.json"), UnreadableFile, "damaged"),
    "documents unaccounted for": (
        lambda p: change(
            p / "manifest.json",
            "input",
            {"root": "x", "files": [{"name": "a.parquet", "rows": 3, "bytes": 1}]},
        ),
        UnreadableFile,
        "2 documents instead of 3",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_one_sentence(tmp_path: Path, name: str) -> None:
    breaking, error, words = BROKEN[name]
    write_run(tmp_path, {"a.parquet": [kept(), dropped()]})
    summarise(tmp_path)
    breaking(tmp_path)
    with pytest.raises(error) as caught:
        summarise(tmp_path)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert message.endswith(".")


def test_no_such_folder_and_no_such_format(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="holds no manifest"):
        report(tmp_path / "nowhere")
    with pytest.raises(UnknownName, match="use one of html, md, json"):
        report(tmp_path, "pdf")


def test_html_without_jinja_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path, {"a.parquet": []})
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"lethe-llm\[corpus\]"):
        report(tmp_path)
    assert report(tmp_path, "md")


# -- sums that do not fit in memory ---------------------------------------------------------------

KEYS = st.tuples(st.sampled_from(["a", "b", "c", None]), st.text("xyz", max_size=3))


@given(
    st.lists(st.lists(st.tuples(KEYS, st.integers(0, 9)), max_size=20), max_size=12),
    st.integers(1, 30),
    st.integers(1, 6),
)
@settings(max_examples=100, deadline=None)
def test_a_tally_is_a_counter_whatever_fits(
    batches: list[list[tuple[tuple[str | None, str], int]]], limit: int, count: int
) -> None:
    expected: Counter[tuple[str | None, str]] = Counter()
    with Tally(("a", "b"), ("n",), limit) as tally:
        for batch in batches:
            for key, number in batch:
                expected[key] += number
            tally.add(
                pa.table(
                    {
                        "a": pa.array([key[0] for key, _ in batch], pa.string()),
                        "b": pa.array([key[1] for key, _ in batch], pa.string()),
                        "n": pa.array([number for _, number in batch], pa.int64()),
                    }
                )
            )
        top = tally.top(count, by="n")
    positive = {key: n for key, n in expected.items() if n}
    # Nulls sort last, as Arrow does it.
    ordered = sorted(
        positive.items(), key=lambda e: (-e[1], e[0][0] is None, e[0][0] or "", e[0][1])
    )
    assert (top.distinct, top.positive) == (len(expected), len(positive))
    assert [((row["a"], row["b"]), row["n"]) for row in top.rows] == ordered[:count]


def test_a_tally_holds_no_more_than_its_limit() -> None:
    ones = pa.array([1] * 5000, pa.int64())
    with Tally(("host",), ("n",), limit=10_000) as tally:
        for first in range(0, 200_000, 5000):
            names = pa.array([f"h{i}.example" for i in range(first, first + 5000)])
            tally.add(pa.table({"host": names, "n": ones}))
            assert sum(table.num_rows for table in tally._pending) <= 15_000
        folder = tally._path
        assert len(list(folder.iterdir())) > 500
        assert tally.top(3, by="n").distinct == 200_000
    assert not folder.exists()
