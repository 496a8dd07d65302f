"""Phrases of a bundle go from the texts, and nothing that comes out tells that they were listed."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import dill
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import ended
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filter.bundle import Bundle
from filter.errors import BundleError, InputError
from filter.identifiers import PHRASES, IdentifierKind
from filter.kdf import KdfProfile
from filter.output_filter import OutputFilter
from filter.policy import FilterPolicy
from pipeline.errors import WrongRun
from pipeline.reconstruct.engine import run
from pipeline.reconstruct.manifest import Options
from pipeline.reconstruct.pii import listed as module
from pipeline.reconstruct.pii.listed import ListedPhrases
from pipeline.reconstruct.pii.markers import MARKERS
from pipeline.reconstruct.pii.modes import MODES
from pipeline.reconstruct.pii.scrub import Scrubber
from pipeline.reconstruct.pii.turns import scrub_in_turns
from pipeline.reconstruct.report import report

FAR = date(2999, 12, 31)
STRICT = Scrubber(MODES["strict"])
M = "<email-pii>"
ENTRIES = [
    (IdentifierKind.NAME, "Anneliese Birdwhistle"),
    (IdentifierKind.POSTAL_ADDRESS, "Nebelgasse 17, 9999 Musterlingen"),
    (IdentifierKind.HANDLE, "@birdwhistle_anne"),
    (IdentifierKind.URL, "https://people.example/anneliese-b"),
    (IdentifierKind.TEXT, "has owed her neighbours money since August"),
    (IdentifierKind.TEXT, "write to anne@people.example or call"),
    (IdentifierKind.EMAIL, "anne@people.example"),
]
NAME, ADDRESS, HANDLE, URL, TEXT = (text for _, text in ENTRIES[:5])


def build(path: Path, entries: Iterable[tuple[Any, str]] = ENTRIES, **changes: Any) -> Path:
    given: dict[str, Any] = {"release": "2026.2.0", "kdf": "testing", "valid_until": FAR} | changes
    Bundle.build(entries, **given).write(path)
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("bundle") / "filter.safetensors")


def source(world: Any, texts: list[str | None], name: str = "corpus", **columns: Any) -> Path:
    """A file with these texts at an open address, and again at a closed one."""
    urls = ["https://open.example/a", "https://closed.example/b"]
    rows = [
        {"text": text, "id": f"doc-{n}", "url": url, "language": "en", "token_count": n}
        for n, (url, text) in enumerate((u, t) for u in urls for t in texts)
    ]
    table = pa.Table.from_pylist(rows)
    for column, values in columns.items():
        table = table.set_column(table.schema.get_field_index(column), column, values(table))
    return Path(world.write(world.folder / name / "a.parquet", table)).parent


def rebuilt(world: Any, folder: Path, out: str = "out", **arguments: Any) -> Path:
    names = ("pii", "limit", "removed", "unpublished")
    options = Options(**{k: arguments.pop(k) for k in names if k in arguments})
    run("fineweb", folder, world.policy, world.folder / out, options=options, **arguments)
    return Path(world.folder / out)


def texts(out: Path, part: str = "data") -> list[str | None]:
    return list(pq.read_table(out / part / "a.parquet")["text"].to_pylist())


def state(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "state/a.parquet.json").read_text()))


# -- what goes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "published", "unpublished"),
    [
        (f"She lives at {ADDRESS}.", f"She lives at {M}.", f"She lives at {M}."),
        ("NEBELGASSE 17 \n 9999   musterlingen!", f"{M}!", f"{M}!"),
        ("Nebelgasse 17, 9998 Musterlingen", None, None),
        (f"Follow {HANDLE} now", f"Follow @{M} now", f"Follow @{M} now"),
        ("the birdwhistle anne of old", None, None),
        ("see http://www.people.example/anneliese-b/", f"see http://www.{M}/", f"see http://www.{M}/"),
        ("see people.example/anneliese", None, None),
        (f"Everybody knows she {TEXT}, they say", f"Everybody knows she {M}, they say", f"Everybody knows she {M}, they say"),
        ("has owed her neighbours since August", None, None),
        (f"{NAME} sings.", None, f"{M} sings."),
        ("Birdwhistle, Anneliese", None, M),
        ("Anneliese Birdwhistles Lied", None, f"{M} Lied"),
        ("Anneliese sings like a Birdwhistle.", None, None),
        (f"{NAME} {TEXT}", f"{NAME} {M}", f"{M} {M}"),
        # a recognised kind is the affair of the mode, listed or not
        ("anne@people.example", None, None),
        # a phrase that is found only once its neighbour is gone
        (f"xx{TEXT}{NAME}", f"xx{M}{NAME}", f"xx{M}{M}"),
        (f"{M} {M} <ip-pii>", None, None),
        ("", None, None),
        (None, None, None),
    ],
)  # fmt: skip
def test_phrases_and_near_misses(
    bundle: Path, text: str | None, published: str | None, unpublished: str | None
) -> None:
    for names, expected in ((False, published), (True, unpublished)):
        wanted = text if expected is None else expected
        for kind in (pa.string(), pa.large_string()):
            done = ListedPhrases.open(bundle, names=names).scrub(pa.array([text], kind))
            assert (done.column.type, done.column.to_pylist()) == (kind, [wanted])
            fresh = (wanted or "").count(M) - (text or "").count(M)
            assert done.replaced == ({"email": fresh} if fresh else {})
            assert done.documents == (text != wanted)


@pytest.mark.parametrize("mode", ["strict", "apertus", "none"])
def test_phrases_go_in_every_mode(world: Any, bundle: Path, mode: str) -> None:
    folder = source(
        world, [f"{TEXT}!", "jo@example.org", f"write to anne@people.example or call {HANDLE}"]
    )
    out = rebuilt(world, folder, bundle=bundle, pii=mode)
    mail = "jo@example.org" if mode == "none" else M
    # The listed sentence goes whole: its address has not become a marker before.
    assert texts(out) == [f"{M}!", mail, f"{M} @{M}"]
    found = state(out)
    counted = ({}, 0) if mode == "none" else ({"email": 4}, 3)
    assert (found["pii"], found["documents_scrubbed"]) == counted


@pytest.mark.parametrize("removed", ["none", "scrubbed", "verbatim"])
def test_opt_outs_decide_first(world: Any, bundle: Path, removed: str) -> None:
    folder = source(world, [f"{TEXT}!", None, "plain"])
    out = rebuilt(world, folder, bundle=bundle, removed=removed)
    assert texts(out) == [f"{M}!", None, "plain"]
    without = rebuilt(world, folder, "without", removed=removed)
    ledger = "ledger/a.parquet"
    assert (out / ledger).read_bytes() == (without / ledger).read_bytes()
    if removed == "none":
        assert not (out / "removed").exists()
    else:
        first = TEXT if removed == "verbatim" else M
        assert texts(out, "removed") == [f"{first}!", None, "plain"]


def test_columns_with_a_dictionary(world: Any, bundle: Path) -> None:
    folder = source(
        world, [TEXT, "plain", TEXT], text=lambda table: table["text"].dictionary_encode()
    )
    out = rebuilt(world, folder, bundle=bundle)
    written = pq.ParquetFile(out / "data/a.parquet").read()["text"]
    assert pa.types.is_dictionary(written.type)
    assert written.chunk(0).dictionary.to_pylist() == [M, "plain"]


def test_what_is_not_decided_is_removed_and_looks_no_different(bundle: Path) -> None:
    column = pa.array([f"{ADDRESS} and {TEXT}", f"{TEXT}", "plain"])
    decided = ListedPhrases.open(bundle).scrub(column)
    for budget in (0, 1):
        undecided = ListedPhrases.open(bundle, slow_hashes=budget).scrub(column)
        assert undecided.column.equals(decided.column)
        assert undecided.replaced == decided.replaced


# -- what does not come out -------------------------------------------------------------------------


def strings(value: object) -> set[str]:
    """Every key and string of a JSON value."""
    if isinstance(value, dict):
        return set(value) | set().union(*map(strings, value.values()))
    if isinstance(value, list):
        return set().union(*map(strings, value))
    return {value} if isinstance(value, str) else set()


def everything(out: Path) -> dict[str, str]:
    """What can be read in each file of a run and in its reports."""
    found = {form: report(out, form) for form in ("html", "md", "json")}
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        name = str(path.relative_to(out))
        if path.suffix == ".parquet":
            found[name] = json.dumps(
                pq.read_table(path).to_pylist(), ensure_ascii=False, default=str
            )
        else:
            found[name] = path.read_text(encoding="utf-8")
    return found


@pytest.mark.parametrize("unpublished", [False, True])
def test_no_file_tells_what_was_listed(world: Any, bundle: Path, unpublished: bool) -> None:
    held = [f"a {ADDRESS} b", f"c {HANDLE} d", f"e {URL} f", f"g {TEXT} h", "jo@example.org"]
    if unpublished:
        held.append(f"i {NAME} j")
    out = rebuilt(
        world, source(world, held), bundle=bundle, unpublished=unpublished, removed="scrubbed"
    )
    files = everything(out)
    assert {"manifest.json", "README.md", "state/a.parquet.json", "ledger/a.parquet"} < set(files)
    assert any(name.startswith("logs/") for name in files)
    values = [ADDRESS, HANDLE[1:], "anneliese-b", TEXT] + [NAME] * unpublished
    telling = ["undecided", "postal_address", *(f"{kind}-pii" for kind in PHRASES)]
    for name, content in files.items():
        reason = ["listed"] if name.startswith(("data", "ledger", "removed", "state")) else []
        for value in values + telling + reason:
            assert value.lower() not in content.lower(), (name, value)
    # A kind must not be a key or a value of its own either, where data speaks.
    kinds = {str(kind) for kind in PHRASES if kind is not IdentifierKind.TEXT} - {"name", "url"}
    for name in ("manifest.json", "state/a.parquet.json", "json"):
        assert not kinds & strings(json.loads(files[name])), name
    manifest = json.loads(files["manifest.json"])
    assert set(manifest["bundle"]) == {"release", "content_sha256", "testing"}


def test_a_listed_phrase_is_an_e_mail_address_to_all_who_look(world: Any, bundle: Path) -> None:
    """Data, ledger, state and the figures of a run in which addresses stood in their place."""
    phrases = [f"a {ADDRESS} b {TEXT}", f"c {TEXT}", "jo@example.org", "plain", None]
    mails = ["a x@example.org b y@example.org", "c z@example.org", "jo@example.org", "plain", None]
    with_bundle = rebuilt(world, source(world, phrases), bundle=bundle, removed="scrubbed")
    with_mails = rebuilt(world, source(world, mails, "mails"), "mails-out", removed="scrubbed")
    for part in ("data/a.parquet", "ledger/a.parquet", "removed/a.parquet", "state/a.parquet.json"):
        assert (with_bundle / part).read_bytes() == (with_mails / part).read_bytes(), part
    assert state(with_bundle)["pii"] == {"email": 4}
    one, other = (json.loads((o / "manifest.json").read_text()) for o in (with_bundle, with_mails))
    assert {k for k in one if one[k] != other.get(k)} == {"bundle", "input", "fingerprint"}
    said, unsaid = (json.loads(report(o, "json")) for o in (with_bundle, with_mails))
    assert {k for k in said if said[k] != unsaid[k]} == {"run"}
    differing = {k for k in said["run"] if said["run"][k] != unsaid["run"][k]}
    assert differing == {"bundle", "fingerprint", "input"}


def test_without_a_bundle_nothing_is_new(world: Any) -> None:
    out = rebuilt(world, source(world, ["plain"]))
    manifest = json.loads((out / "manifest.json").read_text())
    assert "bundle" not in manifest
    assert set(manifest["options"]) == {"pii", "limit", "removed"}
    assert set(MODES["strict"].triggers) == {"email", "iban", "ahv", "ip", "phone"}
    for form in ("html", "md"):
        assert "utput filter" not in report(out, form)
    code = (
        "import sys, pipeline.reconstruct.engine;"
        "print(*({'filter.output_filter', 'pipeline.reconstruct.pii.listed'} & set(sys.modules)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []


# -- who may see it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({}, None),
        ({"unpublished": True}, "names of people who asked to be forgotten were removed"),
        ({"pii": "none"}, "every marker shows where one stood"),
        ({"pii": "none", "unpublished": True}, "names of people who asked to be forgotten"),
    ],
)
def test_what_must_not_be_published_says_so(
    world: Any, bundle: Path, options: dict[str, Any], warned: str | None
) -> None:
    out = rebuilt(world, source(world, [f"{NAME} {TEXT}"]), bundle=bundle, **options)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["options"].get("unpublished", False) is options.get("unpublished", False)
    assert manifest["bundle"]["testing"] is True
    card, page = (out / "README.md").read_text(encoding="utf-8"), report(out, "html")
    for text in (card, report(out, "md"), page):
        assert (warned or "must never be published") in text or warned is None
        assert ("must never be published" in text) is (warned is not None)
        assert "release 2026.2.0" in text.replace("2026\\.2\\.0", "2026.2.0")
        assert "with cheap hashes, for tests" in text
        assert ("--unpublished" in text) is options.get("unpublished", False) or text is card
    assert ("UNPUBLISHED" in page) is (warned is not None)
    assert ("\n- unpublished\n" in card) is (warned is not None)
    assert ("(unpublished)" in card) is (warned is not None)
    described = json.loads(report(out, "json"))
    assert described["publishable"] is (warned is None)
    assert described["run"]["bundle"] == manifest["bundle"]


def test_names_need_a_bundle(world: Any) -> None:
    with pytest.raises(InputError, match="--unpublished applies the names of a bundle"):
        rebuilt(world, source(world, ["plain"]), unpublished=True)
    assert not (world.folder / "out").exists()


# -- which run it is --------------------------------------------------------------------------------


def test_a_run_is_bound_to_its_bundle(world: Any, bundle: Path, tmp_path: Path) -> None:
    folder = source(world, [TEXT])
    out = rebuilt(world, folder, bundle=bundle)
    before = world.contents(out)
    elsewhere = tmp_path / "elsewhere.safetensors"
    elsewhere.write_bytes(bundle.read_bytes())
    (out / "state/a.parquet.json").unlink()
    rebuilt(world, folder, bundle=elsewhere)
    assert world.contents(out) == before
    other = build(tmp_path / "other.safetensors", ENTRIES[:-1])
    for other_given, match in (
        ({"bundle": other}, r"different bundle\)"),
        ({}, r"different bundle\)"),
        ({"bundle": bundle, "unpublished": True}, r"different options\)"),
    ):
        with pytest.raises(WrongRun, match=match):
            rebuilt(world, folder, **other_given)
    assert world.contents(out) == before


def test_the_number_of_workers_does_not_matter(world: Any, bundle: Path) -> None:
    held = [ADDRESS, HANDLE, URL, TEXT, NAME, f"{TEXT}{NAME}", "jo@example.org"]
    folder = world.folder / "corpus"
    for number in range(4):
        rows = world.documents(2100 if number == 0 else 100, first=3000 * number)
        for at, row in enumerate(rows):
            if at % 3 == 0:
                row["text"] += " " + held[at // 3 % len(held)]
        world.write(folder / f"{number}.parquet", rows)
    found = []
    for workers in (1, 2, 3):
        out = rebuilt(
            world, folder, f"out-{workers}", bundle=bundle, workers=workers, unpublished=True
        )
        found.append(world.contents(out))
    assert found[0] == found[1] == found[2]
    for path in sorted((world.folder / "out-1/data").iterdir()):
        for text in pq.read_table(path)["text"].to_pylist():
            assert not any(value in text for value in held)


def test_a_copy_opens_the_same_bundle_or_none(tmp_path: Path) -> None:
    path = build(tmp_path / "b.safetensors")
    listed = ListedPhrases.open(path)
    copies = [pickle.loads(pickle.dumps(listed)), dill.loads(dill.dumps(listed))]
    copies[0].scrub(pa.array([TEXT]))
    build(tmp_path / "new.safetensors", ENTRIES[:2]).replace(path)  # as a client does
    for still in (listed, copies[0]):
        assert still.scrub(pa.array([TEXT])).column.to_pylist() == [M]
    with pytest.raises(WrongRun, match="has changed since the run began: start it again"):
        copies[1].scrub(pa.array(["plain"]))
    path.write_bytes(b"")
    with pytest.raises(BundleError):
        pickle.loads(pickle.dumps(listed)).scrub(pa.array(["plain"]))


def test_a_slow_hash_is_computed_once(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ListedPhrases.open(bundle)
    computed: list[str] = []
    genuine = KdfProfile.hash
    monkeypatch.setattr(
        KdfProfile,
        "hash",
        lambda p, salt, secret: computed.append(secret) or genuine(p, salt, secret),
    )
    for _ in range(3):
        listed.scrub(pa.array([TEXT, ADDRESS, TEXT]))
    assert len(computed) == len(set(computed)) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_lets_no_text_through(
    world: Any, bundle: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    folder = source(world, [TEXT])
    if workers == 2:
        source(world, [TEXT], "more")
        (world.folder / "more/a.parquet").rename(folder / "b.parquet")
        secret = world.folder / "b.safetensors"
        secret.write_bytes(bundle.read_bytes())
        opened = ListedPhrases.__getstate__
        # The file goes bad between the start of the run and the workers.
        monkeypatch.setattr(
            ListedPhrases, "__getstate__", lambda s: (secret.write_bytes(b"{"), opened(s))[1]
        )
        bundle, error = secret, InputError
    else:

        def fails(_profile: KdfProfile, _salt: bytes, _secret: str) -> int:
            raise MemoryError

        monkeypatch.setattr(KdfProfile, "hash", fails)
        error = MemoryError
    with pytest.raises(error):
        rebuilt(world, folder, bundle=bundle, workers=workers)
    out = world.folder / "out"
    assert list((out).rglob("*.parquet")) == list(out.rglob("*.parquet.json")) == []
    assert world.leftovers(out) == []
    for path in (p for p in (out / "logs").rglob("*") if p.is_file()):
        assert TEXT not in path.read_text(encoding="utf-8")


# -- the command ------------------------------------------------------------------------------------


def lethe(world: Any, folder: Path, out: str, *more: object) -> subprocess.CompletedProcess[str]:
    command = world.command(folder, world.folder / out, *map(str, more))
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_removes_and_warns(world: Any, bundle: Path) -> None:
    folder = source(world, [f"{NAME} {TEXT}", "jo@example.org"])
    done = lethe(world, folder, "out", "--bundle", bundle)
    assert (done.returncode, texts(world.folder / "out")) == (0, [f"{NAME} {M}", M])
    assert done.stderr == "This bundle has cheap hashes: it is for tests and hides nobody.\n"
    assert "Personal data replaced: 2 email." in done.stdout
    closed = lethe(world, folder, "names", "--bundle", bundle, "--unpublished", "--pii", "none")
    assert texts(world.folder / "names") == [f"{M} {M}", "jo@example.org"]
    assert closed.stderr.splitlines()[1:] == [
        "Listed names are removed, too: what comes out must not be published."
    ]
    assert "replaced" not in closed.stdout
    late = build(world.folder / "late.safetensors", valid_until=date.today())  # noqa: DTZ011
    bare = lethe(world, folder, "bare", "--bundle", late, "--pii", "none")
    assert "This bundle expires on " in bare.stderr
    assert "so every marker gives one away: what comes out must not be published" in bare.stderr


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def newer(path: Path) -> None:
    """The same bundle in the next format, with a right hash."""
    made = Bundle.open(path)
    made.manifest["format"] += 1
    made.write(path)


def expired(path: Path) -> None:
    build(path, valid_until=date(2020, 1, 1))


def public(path: Path) -> None:
    build(path, audience="public")


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "damaged": (flipped, "was changed since it was built"),
    "truncated": (cut, "is damaged or cut short"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "foreign": (lambda path: path.write_text("a,b\n1,2\n" * 99), "is not a bundle"),
    "expired": (expired, "expired on 2020-01-01"),
    "public": (public, "lists no phrases, as no public bundle does"),
    "newer": (newer, "update Lethe"),
    "missing": (Path.unlink, "cannot be read (No such file or directory)"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_bundle_is_one_sentence_and_exit_code_2(world: Any, case: str) -> None:
    spoil, match = BAD[case]
    path = build(world.folder / "b.safetensors")
    spoil(path)
    folder = source(world, [TEXT])
    said = ended(*world.command(folder, world.folder / "out", "--bundle", str(path))[3:])
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("lethe: ")
    assert match in said.stderr
    assert len(said.stderr.splitlines()) == 1
    assert not (world.folder / "out").exists()


# -- for all texts ----------------------------------------------------------------------------------

AWKWARD = [
    *ENTRIES,
    (IdentifierKind.TEXT, "email-pii"),  # the marker itself
    (IdentifierKind.NAME, "Iban Piipponen"),  # <iban-pii>pponen
    (IdentifierKind.TEXT, "removed ip-pii removed"),
    (IdentifierKind.HANDLE, "@emailp"),
    (IdentifierKind.NAME, "王小明"),
]
FRAGMENTS = [
    NAME, ADDRESS, HANDLE, URL, TEXT, "Iban Piipponen", "王小明", "birdwhistle_anne", "Anneliese",
    "Birdwhistle", "Nebelgasse 17,", " 9999 Musterlingen", "neighbours money since August",
    "has owed her ", *MARKERS.values(), "email-pii", "<email-", "pii>", "pponen", "removed",
    "jo@example.org", "+41 44 668 18 00", "8.8.213.77", "CH93 0076 2011 6238 5295 7",
    "@", "/", "17", "x", "s", " ", "\n", "\n" * 13, "&amp;", "&", "amp;", "%2", "0", "(", "at)", "\u00ad" * 20, "é",
    "\x00", "¦", "-", ".",
]  # fmt: skip


@cache
def awkward() -> Bundle:
    return Bundle.build(AWKWARD, release="2026.2.0", kdf="testing", valid_until=FAR)


@cache
def prepared(names: bool) -> tuple[ListedPhrases, OutputFilter]:
    made = awkward()
    made.to_bytes()
    made.manifest["content_sha256"] = "0" * 64
    kinds = frozenset(PHRASES) - (frozenset() if names else {IdentifierKind.NAME})
    policy = FilterPolicy(kinds=kinds, markers=dict.fromkeys(IdentifierKind, M))
    return ListedPhrases(Path("nowhere"), made, names=names), OutputFilter(made, policy)


def alone(text: str, judge: OutputFilter) -> str:
    """What the judge makes of one text: of the pieces between markers, until nothing changes."""
    while True:
        pieces = module.MARKER.split(text)
        markers = [*module.MARKER.findall(text), ""]
        done = "".join(
            judge.redact(piece).text + marker for piece, marker in zip(pieces, markers, strict=True)
        )
        if done == text:
            return text
        text = done


TEXTS = st.lists(
    st.none() | st.lists(st.sampled_from(FRAGMENTS), max_size=7).map("".join), max_size=6
)


@settings(max_examples=150, deadline=None)
@given(held=TEXTS, names=st.booleans(), size=st.sampled_from([1, 60, 1 << 18]))
@example(held=["email-pii email-pii", M], names=True, size=1)
@example(held=["Nebelgasse 17, 9999", " Musterlingen"], names=True, size=1 << 18)
@example(held=["@", "birdwhistle_anne", "%2", "0"], names=True, size=1 << 18)
@example(held=["@birdwhistle_annebirdwhistle_anne", "/"], names=False, size=1)
@example(held=[f"{HANDLE} @", f"birdwhistle_anne {HANDLE}"], names=False, size=1 << 18)
@example(held=[f"{M}{NAME}<ip-pii>{TEXT}{M}{ADDRESS}<iban-pii>pponen"], names=True, size=60)
def test_in_bulk_as_alone(held: list[str | None], names: bool, size: int) -> None:
    listed, judge = prepared(names)
    before = module._AT_ONCE
    module._AT_ONCE = size
    try:
        done = listed.scrub(pa.array(held, pa.string()))
    finally:
        module._AT_ONCE = before
    wanted = [None if text is None else alone(text, judge) for text in held]
    assert done.column.to_pylist() == wanted
    changed = [n for n, (old, new) in enumerate(zip(held, wanted, strict=True)) if old != new]
    assert done.rows.tolist() == changed
    assert bool(done.replaced) is bool(changed)


@settings(max_examples=150, deadline=None)
@given(held=TEXTS, names=st.booleans(), before=st.integers(0, 2))
@example(held=[f"jo@example.org{NAME}"], names=True, before=0)
@example(held=[f"{TEXT}jo@example.org"], names=False, before=1)
@example(held=["write to anne@people.example or call"], names=False, before=1)
def test_nothing_is_left_to_find(held: list[str | None], names: bool, before: int) -> None:
    listed, judge = prepared(names)
    generic = STRICT
    column = pa.array(["x"] * before + held, pa.string()).slice(before)
    done = scrub_in_turns(column, listed, generic)
    again = scrub_in_turns(done.column, listed, generic)
    assert (again.replaced, again.documents) == (Counter(), 0)
    assert again.column.equals(done.column)
    for part in (listed, generic):
        assert part.scrub(done.column).replaced == Counter()
    after = done.column.to_pylist()
    assert after == [None if text is None else alone(text, judge) for text in after]
    changed = [n for n, (old, new) in enumerate(zip(held, after, strict=True)) if old != new]
    assert done.rows.tolist() == changed


def test_the_output_again_stays_as_it_is(world: Any, bundle: Path) -> None:
    texts_in: list[str | None] = [
        f"xx{TEXT}{NAME}",
        f"jo@example.org{NAME}",
        f"{ADDRESS}8.8.213.77",
    ]
    out = rebuilt(world, source(world, texts_in), bundle=bundle, unpublished=True)
    again = rebuilt(world, out / "data", "again", bundle=bundle, unpublished=True)
    assert texts(again) == texts(out)
    assert state(again)["pii"] == state(out)["pii"]  # those that stand there
