"""What erasing a case leaves behind: nothing, for whoever has all files and all keys of the registry.

The promise: after a case is erased and the database compacted, nobody who holds the master key, the
registry's own keys, and every backup of the database reads or confirms one of its values, and no file
of the registry's folder holds one in any usual writing. Copies of the keys are made on purpose for
other ends and live 30 days; they are no part of it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import duckdb
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from registry_life import SETTINGS, Life

from filter import Bundle, OutputFilter
from filter_service import backup, entries
from filter_service.keyring import KeyRing
from filter_service.model import Evidence, Reason, RequestKind
from filter_service.registry import Receipt, Submission
from filter_service.review import Outcome
from filter_service.settings import master_key
from filter_service.store import Store

CALLBACK = "https://sentinel-callback.example/hook"
PERSON = [
    ("email", "sentinel.mail@person.example", None),
    ("email", "sentinel.second@person.example", "operators"),
    ("phone", "+41 44 668 18 00", None),
    ("iban", "CH93 0076 2011 6238 5295 7", None),
    ("name", "Señora Sentinella Zgraggen-Özil", None),
    ("postal_address", "Sentinelgasse 17, 9999 Nirgendwil", None),
    ("handle", "@sentinel_handle_77", None),
    ("url", "https://people.example/sentinel/profile", None),
    ("text", "the sentinel who was mayor of Nirgendwil in 1999", None),
]
CONTACT = "sentinel.contact@person.example"
WORDS = {
    "message": "Sentinel message: please, I was seventeen.",
    "letter": "Sentinel letter: your document was not readable.",
    "appeal": "Sentinel appeal: it is “me”, look again.",
    "note": "Sentinel note: passport seen at the counter.",
    "second letter": "Sentinel letter two: accepted on appeal.",
    "objection": "Sentinel objection: this is also my name.",
    "answer": "Sentinel answer: there are two of us.",
    "third letter": "Sentinel letter three: both may stay.",
}
SITES = [
    ("domain", "sentinel-domain.example", None),
    ("url_prefix", "https://sentinel-domain.example/private/", None),
    ("document_id", "sentinel-document-0001", None),
]


_ZEROS = re.compile(rb"\0{32,}")
"""Most of a database's file."""


@dataclass(repr=False)
class Case:
    """A case that was lived through, and everything of it that must be gone."""

    receipt: Receipt
    submission: Submission
    values: list[str]
    keys: list[bytes]
    records: list[bytes]
    """Of the file of keys."""


class Scene:
    """A registry with bystanders, whose database is backed up at every turn."""

    def __init__(self, folder: Path) -> None:
        self.life = Life(folder / "registry", replace(SETTINGS, callbacks=(CALLBACK,)))
        self.registry = self.life.registry
        self.backups = self.life.folder / "backups"
        self.bystander = self.life.accepted([("email", "by@example.org", None)], "by@example.org")

    def back_up(self) -> None:
        self.life.clock.forward(minutes=1)
        backup.backup(self.registry, self.backups)

    def submit(self, kind: RequestKind, identities: list[Any]) -> Case:
        submission = Submission(
            uuid4(),
            kind,
            identities,
            CONTACT,
            message=WORDS["message"],
            callbacks=(CALLBACK,),
        )
        receipt = self.registry.submit(submission)
        self.back_up()
        values = [text for _, text, _ in identities] + [CONTACT, *WORDS.values(), CALLBACK]
        return Case(receipt, submission, values, [], [])

    def confirm(self, case: Case) -> None:
        """Contact, links and codes; also a wrong one."""
        request_id = case.receipt.request_id
        self.life.confirm(case.receipt)
        for position in range(len(case.submission.identities)):
            if self.registry.domain_challenge(request_id, position):
                self.registry.domain_confirmed(request_id, position, Evidence.DNS)
        for _, template, content in self.life.messages(request_id):
            if template == "code":
                case.values.append(content["values"]["code"])
        self.back_up()

    def live(self, case: Case) -> None:
        """Refused, appealed, accepted by two, published, objected to, answered."""
        registry, request_id, secret = self.registry, case.receipt.request_id, case.receipt.secret
        count = len(case.submission.identities)
        no = [Outcome(n, accepted=False, reason=Reason.OTHER, note=WORDS["note"]) for n in range(count)]  # fmt: skip
        yes = [Outcome(n, accepted=True, note=WORDS["note"], seen=True) for n in range(count)]
        registry.review.decide(request_id, "ada", no, WORDS["letter"])
        self.back_up()
        registry.appeal(request_id, secret, WORDS["appeal"])
        registry.review.extend(request_id, "bob", Reason.COMPLEX, WORDS["letter"])
        registry.review.decide(request_id, "bob", yes, WORDS["second letter"])
        if registry.status(request_id, secret).standing.state == "appealed":
            registry.review.decide(request_id, "cleo", yes, WORDS["second letter"])
        self.back_up()
        self.life.release("2026.2.0")
        self.back_up()
        registry.review.object(request_id, WORDS["objection"], "reviewer:ada")
        registry.answer(request_id, secret, WORDS["answer"])
        self.back_up()
        registry.review.decide_objection(
            request_id, "dan", upheld=False, letter=WORDS["third letter"]
        )
        self.back_up()

    def note_keys(self, case: Case, *, listed: bool) -> None:
        """Write down what must be destroyed, as a thief would who was there before."""
        ring = self.registry.keys
        ids = [self.registry.store.case(case.receipt.request_id).key_id]
        if listed:
            sql = "SELECT key_id FROM listed JOIN claims USING (listed_id) WHERE request_id = ?"
            ids += [row[0] for row in self.registry.database.rows(sql, case.receipt.request_id)]
        octets = (self.life.folder / "keys" / "data.keys").read_bytes()
        for key_id in ids:
            case.keys.append(ring._keys[key_id])
            at = octets.index(key_id.bytes) + 16
            case.records.append(octets[at : at + 60])

    def erase(self, case: Case) -> None:
        self.registry.review.erase(case.receipt.request_id, "admin")
        self.registry.database.compact()
        self.back_up()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    found = Scene(tmp_path)
    yield found
    found.life.close()


# -- the search -----------------------------------------------------------------------------------


def writings(value: str) -> set[bytes]:
    """A value in all usual writings."""
    texts = {value, value.lower(), value.upper(), value.casefold(), value.replace(" ", "")}
    texts |= {json.dumps(text)[1:-1] for text in texts}
    texts |= {quote(text) for text in texts} | {quote(text, safe="") for text in texts}
    found = set()
    for text in texts:
        for coding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le"):
            octets = text.encode(coding)
            found |= {octets, octets.hex().encode(), octets.hex().upper().encode()}
            for shift in range(3):
                # What of base64 does not depend on what stands before and behind.
                coded = base64.b64encode(bytes(shift) + octets)[4 if shift else 0 : -4]
                if len(coded) >= 8:
                    found |= {coded, coded.replace(b"+", b"-").replace(b"/", b"_")}
    return {one for one in found if len(one) >= 7}


def confirmations(store: Store, case: Case) -> set[bytes]:
    """Whatever somebody with the registry's own keys can compute of a value."""
    found: set[bytes] = {bytes.fromhex(store.token("domain", case.receipt.request_id, "x"))}
    found.clear()
    kind = case.submission.kind
    for name, text, audience in case.submission.identities:
        one = entries.identity(kind, name, text, audience, ("CH",), position=1)
        for word in {text, *one.canonical, text.lower()}:
            octets = word.encode()
            found |= {hashlib.new(h, octets).digest() for h in ("md5", "sha1", "sha256", "sha512")}
            found |= {store.keyed_digest(p, octets) for p in ("submission", "access", name, "")}
            found.add(store.address_tag(word))
            found.add(bytes.fromhex(store.token("domain", case.receipt.request_id, word)))
        found.add(store.tag(name, one.canonical))
        found |= {
            store.tag(f"{a}:{name}", one.canonical) for a in ("public", "operators", "corpus")
        }
    for text in (CONTACT, CALLBACK, *WORDS.values()):
        found |= {hashlib.sha256(text.encode()).digest(), store.address_tag(text)}
    return found


def spelt(digests: Iterable[bytes]) -> set[bytes]:
    """Digests as octets, in hexadecimal, in base64; also cut to half."""
    found = set()
    for digest in digests:
        for octets in (digest, digest[:16]):
            found |= {octets, octets.hex().encode(), base64.b64encode(octets)[:20]}
    return found


def octets_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, and every cell of every database, since these are compressed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        found[str(path.relative_to(folder))] = _ZEROS.sub(bytes(32), path.read_bytes())
        if path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as database:
                cells = []
                for (name,) in database.execute(
                    "SELECT table_name FROM duckdb_tables()"
                ).fetchall():
                    for row in database.execute(f"SELECT * FROM {name}").fetchall():
                        cells += [
                            cell if isinstance(cell, bytes) else str(cell).encode() for cell in row
                        ]
            found[f"{path.relative_to(folder)} cells"] = b"\n".join(cells)
    return found


def seen_in(files: dict[str, bytes], needles: Iterable[bytes]) -> list[str]:
    """Names of files only: a failing test must not say what it found."""
    wanted = set(needles)
    return [name for name, octets in files.items() if any(one in octets for one in wanted)]


def opened_by_all_keys(folder: Path) -> dict[str, bytes]:
    """All that the keys of the folder, as they are now, open in any database below it."""
    master, _ = master_key(SETTINGS, folder)
    with KeyRing(folder / "keys", master) as ring:
        keys = [AESGCM(key) for key in ring._keys.values()]
    index, token = (
        bytes.fromhex((folder / "keys" / n).read_text()) for n in ("index.key", "token.key")
    )
    keys += [AESGCM(key) for key in (master, index, token)]
    found = {}
    for path in sorted(folder.rglob("*.duckdb")):
        with duckdb.connect(str(path), read_only=True) as database:
            for table, owner in (
                ("requests", "request_id"),
                ("listed", "listed_id"),
                ("messages", "message_id"),
                ("access_keys", "access_id"),
            ):
                rows: list[tuple[UUID, bytes]] = database.execute(
                    f"SELECT {owner}, sealed FROM {table} WHERE sealed IS NOT NULL"
                ).fetchall()
                plain = [one for row in rows for one in decrypted(keys, *row)]
                found[f"{path.name} {table}"] = b"\n".join(plain)
    return found


def decrypted(keys: list[AESGCM], owner: UUID, sealed: bytes) -> Iterator[bytes]:
    for key in keys:
        for purpose in (owner.bytes, b"", None):
            try:
                yield key.decrypt(sealed[:12], sealed[12:], purpose)
            except InvalidTag:
                continue


def nothing_is_left(scene: Scene, case: Case) -> None:
    """The promise."""
    store, folder = scene.registry.store, scene.life.folder
    digests = confirmations(store, case) | {
        bytes.fromhex(scene.registry._case_file(case.submission).digest)
    }
    tags = {d for d in digests if d in store.directory.cases or d in store.directory.listed}
    assert tags == set(), "it is still found in memory"
    scene.life.close()
    needles = {one for value in case.values for one in writings(value)}
    files = octets_of(folder)
    assert len([name for name in files if name.endswith(".duckdb cells")]) > 2
    assert seen_in(files, needles) == []
    assert seen_in(files, spelt(digests)) == []
    assert seen_in(files, [*case.keys, *case.records]) == []
    plain = opened_by_all_keys(folder)
    assert any(b"by@example.org" in octets for octets in plain.values()), "others are still there"
    assert seen_in(plain, needles) == []
    assert seen_in(plain, spelt(digests)) == []
    scene.life.reopen()


def caught_by(scene: Scene, values: Iterable[str]) -> list[str]:
    """Files of releases that still say that one of the values is listed."""
    folder, found = scene.life.folder, []
    for path in sorted(folder.rglob("*.safetensors")):
        clean = OutputFilter(Bundle.open(path, now=scene.life.clock.now))
        if any(clean.redact(f"Write to {value} please.").matches for value in values):
            found.append(str(path.relative_to(folder)))
    return found


# -- the tests ------------------------------------------------------------------------------------


def test_the_search_finds_what_is_there(scene: Scene) -> None:
    """Or else it proves nothing: before the erasure it finds values, keys and tags."""
    case = scene.submit(RequestKind.ERASURE, PERSON)
    scene.note_keys(case, listed=False)
    store, folder = scene.registry.store, scene.life.folder
    digests = confirmations(store, case)
    assert any(digest in store.directory.cases for digest in digests)
    scene.life.close()
    plain = opened_by_all_keys(folder)
    for value in (*(text for _, text, _ in PERSON), CONTACT, WORDS["message"], CALLBACK):
        assert seen_in(plain, writings(value)), "a field that the search does not see"
        for coding in ("utf-8", "utf-16-le"):
            octets = value.encode(coding)
            for hidden in (octets, octets.hex().encode(), *(base64.b64encode(b"x" * n + octets + b"yz") for n in range(3))):  # fmt: skip
                assert seen_in({"a": b"before" + hidden + b"behind"}, writings(value)) == ["a"]
        assert seen_in({"a": json.dumps([value]).encode()}, writings(value)) == ["a"]
    assert seen_in(octets_of(folder), case.records) == ["keys/data.keys"]
    scene.life.reopen()


def test_a_case_that_was_taken_out_and_erased(scene: Scene) -> None:
    case = scene.submit(RequestKind.ERASURE, PERSON)
    scene.confirm(case)
    scene.live(case)
    scene.note_keys(case, listed=True)
    scene.registry.withdraw(case.receipt.request_id, case.receipt.secret)
    scene.back_up()
    identifiers = [text for _, text, _ in PERSON]
    assert len(caught_by(scene, identifiers)) == 2
    scene.life.release("2026.2.1")
    scene.erase(case)
    nothing_is_left(scene, case)
    newest = "releases/2026.2.1/"
    assert not any(name.startswith(newest) for name in caught_by(scene, identifiers))
    assert any(name.startswith(newest) for name in caught_by(scene, ["by@example.org"]))


def test_no_old_release_confirms_who_was_taken_out(scene: Scene) -> None:
    """Anybody may ask a file whether somebody is in it; those that are out are asked no more."""
    case = scene.submit(RequestKind.ERASURE, PERSON)
    scene.confirm(case)
    scene.live(case)
    scene.registry.withdraw(case.receipt.request_id, case.receipt.secret)
    scene.life.release("2026.2.1")
    assert caught_by(scene, [text for _, text, _ in PERSON]) == []


def test_a_rightsholders_case_that_was_taken_out_and_erased(scene: Scene) -> None:
    case = scene.submit(RequestKind.RIGHTSHOLDER, SITES)
    scene.confirm(case)
    scene.live(case)
    scene.note_keys(case, listed=True)
    scene.registry.withdraw(case.receipt.request_id, case.receipt.secret)
    scene.life.release("2026.2.1")
    scene.erase(case)
    nothing_is_left(scene, case)


def test_a_published_case_that_is_erased_leaves_only_what_is_listed(scene: Scene) -> None:
    case = scene.submit(RequestKind.ERASURE, PERSON[:5])
    scene.confirm(case)
    scene.live(case)
    scene.note_keys(case, listed=False)
    scene.erase(case)
    folder = scene.life.folder
    scene.life.close()
    needles = {one for value in (CONTACT, *WORDS.values(), CALLBACK) for one in writings(value)}
    assert seen_in(octets_of(folder), needles) == []
    assert seen_in(octets_of(folder), [*case.keys, *case.records]) == []
    plain = opened_by_all_keys(folder)
    assert seen_in(plain, needles) == []
    listed = {name for name in plain if name.endswith(" listed")}
    for _, text, _ in PERSON[:5]:
        assert set(seen_in(plain, writings(text))) <= listed
        assert "registry.duckdb listed" in seen_in(plain, writings(text))
    scene.life.reopen()


@pytest.mark.parametrize("end", ["expired", "withdrawn", "rejected", "erased unconfirmed"])
def test_a_case_that_was_never_listed(scene: Scene, end: str) -> None:
    from filter_service import retention

    case = scene.submit(RequestKind.ERASURE, PERSON)
    request_id = case.receipt.request_id
    scene.note_keys(case, listed=False)
    if end == "expired":
        scene.life.clock.forward(days=8)
        retention.run(scene.registry)
    elif end == "withdrawn":
        scene.registry.withdraw(request_id, case.receipt.secret)
    elif end == "rejected":
        scene.confirm(case)
        no = [Outcome(n, accepted=False, reason=Reason.OTHER) for n in range(len(PERSON))]
        scene.registry.review.decide(request_id, "ada", no, WORDS["letter"])
    scene.erase(case)
    nothing_is_left(scene, case)


def test_old_copies_of_the_files_do_not_bring_an_erased_case_back(scene: Scene) -> None:
    """A restore of the oldest backup beside the newest log of destroyed keys."""
    case = scene.submit(RequestKind.ERASURE, PERSON)
    scene.confirm(case)
    folder = scene.life.folder
    old_keys = (folder / "keys" / "data.keys").read_bytes()
    scene.registry.withdraw(case.receipt.request_id, case.receipt.secret)
    scene.erase(case)
    scene.life.close()
    (folder / "registry.duckdb").unlink()
    (folder / "keys" / "data.keys").write_bytes(old_keys)
    master, _ = master_key(SETTINGS, folder)
    before = sorted(scene.backups.iterdir())[1]  # confirmed, not yet withdrawn
    erased = backup.restore(folder, before, None, master)
    assert erased > 0
    scene.life.reopen()
    view = scene.life.registry.status(case.receipt.request_id, case.receipt.secret)
    assert view.erased
    scene.life.close()
    plain = opened_by_all_keys(folder)
    assert seen_in(plain, {one for value in case.values for one in writings(value)}) == []
    scene.life.reopen()
