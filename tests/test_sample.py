"""The built-in sample: regenerable, fictitious, and as its README describes it."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from protego import Protego

from filter.checksums import mod97
from filter.errors import InputError
from filter.hosts import canonical_host
from filter.urls import split_url
from pipeline.optout.agents import resolve
from pipeline.optout.compile import PolicyCompiler
from pipeline.optout.policy import OptOutPolicy
from pipeline.optout.signals import Signal, optout_list
from pipeline.optout.spec import named

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SAMPLE = EXAMPLES / "sample"
AS_OF = date(2026, 7, 1)

# RFC 2606, sections 2 and 3; RFC 6761, section 6.
RESERVED = re.compile(r"(?:[a-z0-9-]+\.)*(?:example\.(?:org|com|net)|[a-z0-9-]+\.(?:example|test))")
EMAIL = re.compile(r"[\w.+-]+@((?:[\w-]+\.)+[^\W\d_]{2,})")
FILE_NAMES = frozenset({"png"})
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
FAILING_IBAN = "DE12 3456 7890 1234 5678 90"
GLOBAL_IP = re.compile(r"(?<![\d.])(?:8\.8\.8\.8|9\.9\.9\.9)(?![\d.])|2001:4860:4860::8888")
AHV = "756.9217.0769.85"
COLUMNS = (
    "text", "id", "dump", "url", "date", "file_path", "language", "language_score", "token_count",
    "meta_robots",
)  # fmt: skip


def _load_maker() -> Any:
    spec = importlib.util.spec_from_file_location("make_sample", EXAMPLES / "make_sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


make_sample = _load_maker()


@pytest.fixture(scope="module")
def corpus() -> list[dict[str, Any]]:
    files = sorted((SAMPLE / "corpus").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


@pytest.fixture(scope="module")
def snapshot() -> list[dict[str, Any]]:
    return list(pq.read_table(SAMPLE / "robots.parquet").to_pylist())


@pytest.fixture(scope="module")
def expected() -> dict[str, dict[str, str]]:
    lines = (SAMPLE / "expected.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}


@pytest.fixture(scope="module")
def optouts() -> list[optout_list.OptOut]:
    lines = (SAMPLE / "optouts.jsonl").read_text(encoding="utf-8").splitlines()
    return list(optout_list.read(lines, name="optouts.jsonl"))


def host_of(url: str) -> str:
    return split_url(url).host


# -- regeneration -------------------------------------------------------------------------------


def test_the_committed_files_equal_a_regeneration() -> None:
    assert make_sample.differences(SAMPLE) == []


def test_same_sources_same_bytes_and_a_change_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE / "src", tmp_path / "src")
    make_sample.write(tmp_path)
    made = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*.parquet")}
    make_sample.write(tmp_path)
    assert made == {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*.parquet")}
    assert len(made) == 5
    robots = tmp_path / "src/files/ridgewalkers.example/robots.txt"
    robots.write_text("User-agent: *\nDisallow: /\n", encoding="utf-8")
    (tmp_path / "domains.txt").unlink()
    assert make_sample.differences(tmp_path) == ["robots.parquet", "domains.txt"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("# https://a.example/\ncolour: red\n\nText.\n", "write fields", id="field"),
        pytest.param("# https://a.example/\n\n\n", "write fields", id="no text"),
        pytest.param("Text.\n\n# https://a.example/\n\nText.\n", "begins with text", id="head"),
        pytest.param("# https://a.example/\n\nOne.\n\n" * 2, "twice", id="twice"),
    ],
)
def test_a_source_out_of_format_is_one_clear_sentence(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "en.md").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        make_sample.read_documents(tmp_path)


# -- size and shape -----------------------------------------------------------------------------


def test_columns_are_fineweb_and_the_meta_element() -> None:
    for file in make_sample.CORPUS_FILES:
        schema = pq.read_schema(SAMPLE / "corpus" / file)
        assert tuple(schema.names) == COLUMNS
        for field in schema:
            wanted = {"language_score": pa.float64(), "token_count": pa.int64()}
            assert field.type == wanted.get(field.name, pa.string())
        assert pq.ParquetFile(SAMPLE / "corpus" / file).num_row_groups >= 2
    snapshot = pq.read_schema(SAMPLE / "robots.parquet")
    assert snapshot.field("content").type == pa.binary()
    assert snapshot.field("status").type == pa.int32()
    assert snapshot.field("fetched_at").type == pa.timestamp("us", tz="UTC")
    assert pq.read_schema(SAMPLE / "tags.parquet").field("user_agents").type == pa.list_(
        pa.string()
    )


def test_counts(corpus: list[dict[str, Any]]) -> None:
    languages = Counter(row["language"] for row in corpus)
    assert len(corpus) >= 240
    assert len({row["id"] for row in corpus}) == len(corpus)
    assert len({row["text"] for row in corpus}) == len(corpus)
    assert len(languages) >= 10
    assert 0.28 <= languages["en"] / len(corpus) <= 0.38
    assert 0.13 <= languages["de"] / len(corpus) <= 0.20
    assert 38 <= len({host_of(row["url"]) for row in corpus}) <= 48


def test_lengths_and_dates(corpus: list[dict[str, Any]]) -> None:
    for row in corpus:
        words = make_sample.count_words(row["text"], row["language"])
        assert 40 <= words <= 200, row["url"]
        assert row["token_count"] == round(words * make_sample.TOKENS_PER_WORD)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["date"])
        assert 0.65 < row["language_score"] <= 1
        if row["meta_robots"] is not None:
            assert isinstance(json.loads(row["meta_robots"]), dict)


def test_no_paragraph_is_a_copy_of_another(corpus: list[dict[str, Any]]) -> None:
    lines = Counter(line for row in corpus for line in row["text"].split("\n"))
    assert [line for line, times in lines.items() if times > 1] == []


def test_the_sample_is_small() -> None:
    assert sum(p.stat().st_size for p in SAMPLE.rglob("*") if p.is_file()) < 600_000


# -- nothing real -------------------------------------------------------------------------------


def test_hosts_are_reserved(
    corpus: list[dict[str, Any]],
    snapshot: list[dict[str, Any]],
    optouts: list[optout_list.OptOut],
) -> None:
    listed = (SAMPLE / "domains.txt").read_text(encoding="utf-8").splitlines()
    assert listed == sorted({host_of(row["url"]) for row in corpus})
    hosts = {*listed, *(host_of(row["url"]) for row in snapshot)}
    hosts |= {canonical_host(row["domain"]) for row in snapshot}
    hosts |= {found[0] for entry in optouts if (found := optout_list.target(entry))}
    assert [host for host in hosts if not RESERVED.fullmatch(host)] == []


def test_emails_are_at_reserved_domains(corpus: list[dict[str, Any]]) -> None:
    files = [p.read_text("utf-8") for p in (SAMPLE / "src").rglob("*") if p.is_file()]
    found = [m[1] for text in [*files, *(r["text"] for r in corpus)] for m in EMAIL.finditer(text)]
    domains = [d for d in found if d.rpartition(".")[2] not in FILE_NAMES]
    assert len(domains) > 100
    assert [d for d in domains if not RESERVED.fullmatch(canonical_host(d))] == []


@pytest.mark.parametrize("text", ["a@b.ch", "a@example.org.ch", "a@notexample.org"])
def test_a_real_email_would_be_found(text: str) -> None:
    found = EMAIL.search(text)
    assert found is not None
    assert not RESERVED.fullmatch(found[1])


def test_ibans_are_valid_but_for_the_near_miss(corpus: list[dict[str, Any]]) -> None:
    found = {m[0] for row in corpus for m in IBAN.finditer(row["text"])}
    assert {i for i in found if not mod97(i.replace(" ", ""))} == {FAILING_IBAN}
    assert {"CH93 0076 2011 6238 5295 7", "CH9300762011623852957"} <= found
    assert len({i[:2] for i in found}) >= 10


def test_personal_data_and_near_misses_are_there(corpus: list[dict[str, Any]]) -> None:
    texts = [row["text"] for row in corpus]
    kinds = (EMAIL, IBAN, GLOBAL_IP, re.compile(re.escape(AHV)))
    assert all(any(kind.search(text) for text in texts) for kind in kinds)
    assert sum(any(kind.search(text) for kind in kinds) for text in texts) >= 60
    everything = "\n".join(texts)
    for near_miss in ("10.4.1.12", "1.2.3.4.5", "logo@2x.png", "192.168.4.20", "978-3-16-148410-0"):
        assert near_miss in everything


# -- opt-outs -----------------------------------------------------------------------------------


def test_every_document_goes_or_stays_as_its_author_said(
    tmp_path: Path, expected: dict[str, dict[str, str]]
) -> None:
    out = tmp_path / "policy.parquet"
    compiler = PolicyCompiler(named("rfc9309"), resolve("apertus"), AS_OF)
    compiler.add_snapshot(SAMPLE / "robots.parquet")
    compiler.add_optouts(SAMPLE / "optouts.jsonl")
    compiler.add_tags(SAMPLE / "tags.parquet", out)
    compiler.finish(out)
    policy = OptOutPolicy.open(out)
    decided = {}
    for file in make_sample.CORPUS_FILES:
        table = pq.read_table(SAMPLE / "corpus" / file)
        pages = {"meta_robots": table["meta_robots"]}
        verdicts = policy.decide(table["id"], table["url"], pages)
        for identity, code in zip(table["id"].to_pylist(), verdicts.codes.tolist(), strict=True):
            if code >= 0:
                decided[identity] = str(verdicts.refusals[code].signal)
    assert decided == {identity: row["signal"] for identity, row in expected.items()}


def test_protego_agrees_where_robots_txt_decides(
    corpus: list[dict[str, Any]],
    snapshot: list[dict[str, Any]],
    expected: dict[str, dict[str, str]],
) -> None:
    """Each robots.txt by an independent parser, given the host in canonical form and no BOM."""
    latest = {r["domain"]: r for r in sorted(snapshot, key=lambda r: r["fetched_at"])
              if r["file"] == "robots.txt"}  # fmt: skip
    gone = set()
    for row in corpus:
        host, _, path = split_url(row["url"])
        file = latest.get(host)
        if file is None or file["status"] == 404:
            continue
        if file["status"] == 503:
            gone.add(row["id"])
            continue
        parser = Protego.parse(file["content"].decode("utf-8-sig"))
        url = f"https://{host}{path}"
        if not all(parser.can_fetch(url, agent) for agent in resolve("apertus").agents):
            gone.add(row["id"])
    assert gone == {i for i, row in expected.items() if row["signal"] == Signal.ROBOTS}


def test_every_signal_decides_something(expected: dict[str, dict[str, str]]) -> None:
    assert {row["signal"] for row in expected.values()} == {str(s) for s in Signal}


def covers(entry: optout_list.OptOut, url: str, expected: dict[str, dict[str, str]]) -> bool:
    match entry.scope:
        case optout_list.Scope.DOMAIN:
            return host_of(url) == entry.value
        case optout_list.Scope.SUBDOMAINS:
            return host_of(url).endswith(f".{entry.value}")
        case optout_list.Scope.URL_PREFIX:
            return url.startswith(entry.value)
        case optout_list.Scope.URL:
            return url == entry.value
        case optout_list.Scope.DOCUMENT_ID:
            return expected[entry.value]["url"] == url
    return False


def test_every_scope_of_the_list_decides_something(
    corpus: list[dict[str, Any]],
    expected: dict[str, dict[str, str]],
    optouts: list[optout_list.OptOut],
) -> None:
    gone = [row["url"] for row in expected.values() if row["signal"] == Signal.OPTOUT]
    in_force = [o for o in optouts if optout_list.in_force(o, AS_OF)]
    deciding = {o.scope for o in in_force for url in gone if covers(o, url, expected)}
    assert deciding == set(optout_list.Scope) - {optout_list.Scope.DATASET}
    assert {o.scope for o in in_force} == set(optout_list.Scope)
    hosts = {host_of(row["url"]) for row in corpus}
    assert any(o.withdrawn and o.withdrawn <= AS_OF and o.value in hosts for o in optouts)
    assert any(o.effective > AS_OF and o.value in hosts for o in optouts)
    assert len({o.request_id for o in optouts}) == len(optouts)


def test_tags_name_documents_and_agents(
    corpus: list[dict[str, Any]], expected: dict[str, dict[str, str]]
) -> None:
    ids = {row["id"] for row in corpus}
    tags = pq.read_table(SAMPLE / "tags.parquet").to_pylist()
    assert all(tag["id"] in ids for tag in tags)
    refused = {tag["id"] for tag in tags if tag["user_agents"]}
    assert refused == {i for i, row in expected.items() if row["signal"] == Signal.TAG}
    assert len(refused) < len(tags)
    assert {a for tag in tags for a in tag["user_agents"]} <= set(resolve("apertus").agents)


@pytest.mark.parametrize(
    "spelling",
    ["https://EX.example/", "https://ex.example:443/", "https://ex.example./",
     "https://reader:guest@ex.example/", "https://bücher.example/"],
)  # fmt: skip
def test_odd_spellings_of_hosts_are_in_the_corpus(
    spelling: str, expected: dict[str, dict[str, str]]
) -> None:
    """They all go, though the snapshot writes their hosts otherwise."""
    assert any(row["url"].startswith(spelling) for row in expected.values())


def test_bodies_that_editors_would_spoil(snapshot: list[dict[str, Any]]) -> None:
    bodies = {r["domain"]: r["content"] for r in snapshot if r["file"] == "robots.txt"}
    assert bodies["funkamateure.example"].startswith(b"\xef\xbb\xbfUser-agent")
    assert bodies["shop.lanterna.example"].startswith(b"<!DOCTYPE html>")
    assert [r["status"] for r in snapshot if r["content"] is None] == [404, 404, 503]
    license_url = "https://museo-del-reloj.example/licencias/rsl.xml"
    assert f"License: {license_url}".encode() in bodies["museo-del-reloj.example"]
    assert [r["url"] for r in snapshot if r["file"] == "rsl.xml"] == [license_url]


# -- README -------------------------------------------------------------------------------------


def readme_rows(heading: str) -> list[list[str]]:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    section = text.partition(f"### {heading}\n")[2].partition("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_the_host_table_is_the_snapshot(snapshot: list[dict[str, Any]]) -> None:
    rows = readme_rows("Hosts in the snapshot")
    described = [(host, file) for host, file, *_ in rows]
    assert sorted(described) == sorted({(r["domain"], r["file"]) for r in snapshot})


def test_the_counts_of_the_readme_are_right(
    corpus: list[dict[str, Any]], expected: dict[str, dict[str, str]]
) -> None:
    rows = readme_rows("Hosts in the snapshot") + readme_rows("Opt-outs outside the snapshot")
    documents = Counter(host_of(row["url"]) for row in corpus)
    gone = Counter(host_of(row["url"]) for row in expected.values())
    for host, *_, count in rows:
        assert count == f"{gone[host]} of {documents[host]}", host
    assert gone.keys() <= {row[0] for row in rows}
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    languages = {row["language"] for row in corpus}
    assert f"{len(corpus)} short documents in {len(languages)} languages" in text
    assert f"from {len(documents)} hosts" in text
    assert f"{len(expected)} documents go and {len(corpus) - len(expected)} stay" in text
