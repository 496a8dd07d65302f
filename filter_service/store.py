"""Case files and listed identifiers: rows of the database whose personal part is sealed.

What is needed to find them again, tags and digests, stands in memory only. A tag is an HMAC of an
identifier's canonical form; written down it would outlive the erasure of a case in every backup.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from filter.canonical import canonicalize, comparable
from filter.errors import InputError
from filter.identifiers import IdentifierKind
from filter_service import entries
from filter_service.database import Database, Transaction, naive, utc
from filter_service.errors import KeyDestroyed, NotFound, UnsafeSettings, UnusableFolder
from filter_service.keyring import KEY_BYTES, KeyRing, write_private
from filter_service.model import Audience, CaseFile, Identity, RequestKind, Standing, State
from filter_service.settings import Settings

_REQUEST = (
    "request_id, kind, state, language, received, changed, due, extended, first_reviewer, "
    "decided_by, reason, source, key_id, sealed, version, published"
)
_KEYS_NEEDED = tuple(
    f"SELECT DISTINCT key_id FROM {table} WHERE sealed IS NOT NULL"  # noqa: S608
    for table in ("requests", "listed", "messages", "access_keys")
)
_AT_ONCE = 5000
_FEW = 10_000
_LISTED = "listed_id, kind, audience, since, first_release, due_out, key_id, sealed"


class Case(NamedTuple):
    """A request: what is no secret of it, and its file if that was not erased."""

    request_id: UUID
    kind: RequestKind
    standing: Standing
    language: str
    changed: datetime
    source: str
    key_id: UUID
    file: CaseFile | None
    version: int = 0

    def opened(self) -> CaseFile:
        """The case file.

        Raises:
            NotFound: it was erased.
        """
        if self.file is None:
            raise NotFound("erased", "This case was erased.")
        return self.file


class Listed(NamedTuple):
    """An identifier, or an opt-out, that somebody had accepted."""

    listed_id: UUID
    kind: str
    audience: str
    since: datetime
    first_release: str | None
    due_out: bool
    key_id: UUID
    content: dict[str, Any] | None
    """``text``, ``canonical``, ``hashes`` and what they were made with; opt-outs: ``scope``, ``value``."""

    def __repr__(self) -> str:
        return f"Listed({self.listed_id})"


class Directory:
    """What is known of all cases and entries without opening them; for the writer's thread to change."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.digests: dict[UUID, str | None] = {}
        """Of each request's submission; `None` once erased."""
        self.cases: defaultdict[bytes, set[UUID]] = defaultdict(set)
        self.listed: dict[bytes, UUID] = {}
        self.unverified = 0
        self._most_mailed = _FEW
        self.mailed: dict[bytes, datetime] = {}
        """When something was last sent to an address that nobody had confirmed."""

    def mail(self, tag: bytes, moment: datetime, now: datetime) -> None:
        """Remember that something is sent to an address; what is older than a day is forgotten."""
        self.mailed[tag] = moment
        if len(self.mailed) > self._most_mailed:
            day = timedelta(days=1)
            self.mailed = {tag: sent for tag, sent in self.mailed.items() if sent + day > now}
            self._most_mailed = max(_FEW, 2 * len(self.mailed))


class Store:
    """Reads and writes rows, sealing what is personal."""

    def __init__(self, folder: Path, settings: Settings, database: Database, keys: KeyRing) -> None:
        self.folder = folder
        self.settings = settings
        self.database = database
        self.keys = keys
        self._index_key = secret_key(folder / "keys" / "index.key")
        self._token_key = secret_key(folder / "keys" / "token.key")
        self.salt = hashlib.sha256(settings.family.encode()).digest()[:16]
        self.directory = Directory()
        self.on_erased: Callable[[list[UUID]], None] = lambda _: None
        """Called with the ids of an erased case's messages, so that their copies go too."""
        self._check_keys()
        self._fill()

    # -- derived secrets --------------------------------------------------------------------------

    def token(self, purpose: str, *parts: object) -> str:
        """128 bits that only this registry can derive, in hexadecimal."""
        text = "\0".join((purpose, *map(str, parts)))
        return hmac.digest(self._token_key, text.encode(), "sha256")[:16].hex()

    def is_token(self, given: str, purpose: str, *parts: object) -> bool:
        """Whether this is what `token` derives; takes the same time whatever is given."""
        return same(self.token(purpose, *parts), given)

    def keyed_digest(self, purpose: str, octets: bytes) -> bytes:
        """A digest that nobody can check without the registry's key."""
        return hmac.digest(self._token_key, purpose.encode() + b"\0" + octets, "sha256")

    def tag(self, kind: str, canonical: list[str]) -> bytes:
        """By which an identifier is found again."""
        return hmac.digest(self._index_key, entries.tag_text(kind, canonical).encode(), "sha256")

    def address_tag(self, address: str) -> bytes:
        """By which an address that was written to is known again, however it is spelt."""
        kind = IdentifierKind.EMAIL if "@" in address else IdentifierKind.POSTAL_ADDRESS
        try:
            address = comparable(kind, canonicalize(kind, address))
        except InputError:
            address = address.casefold()
        return hmac.digest(self._index_key, b"address\0" + address.encode(), "sha256")

    # -- cases ------------------------------------------------------------------------------------

    def case(self, request_id: UUID, transaction: Transaction | None = None) -> Case:
        """One request.

        Raises:
            NotFound: there is none.
        """
        where = transaction or self.database
        row = where.row(f"SELECT {_REQUEST} FROM requests WHERE request_id = ?", request_id)  # noqa: S608
        if row is None:
            raise NotFound
        return self._case(row)

    def cases(self, condition: str, *parameters: object) -> Iterator[Case]:
        """Requests that meet a condition in SQL, which may also order and limit them."""
        sql = f"SELECT {_REQUEST} FROM requests {condition}"  # noqa: S608
        return map(self._case, self.database.rows(sql, *parameters))

    def add_case(self, transaction: Transaction, case: Case) -> None:
        """Write a new request, sealed with a new key."""
        standing, file = case.standing, case.opened()
        request_id = case.request_id
        transaction.insert(
            "requests",
            request_id=request_id,
            kind=case.kind.value,
            state=standing.state.value,
            language=case.language,
            received=standing.received,
            changed=transaction.now,
            due=standing.due,
            extended=standing.extended,
            first_reviewer=standing.first_reviewer,
            decided_by=standing.decided_by,
            reason=standing.reason,
            published=standing.published,
            kinds=",".join(sorted({one.kind for one in file.identities})),
            source=case.source,
            key_id=case.key_id,
            sealed=self._sealed(case.key_id, file.as_dict(), request_id),
            version=0,
        )
        tags = self.tags(file)

        def known() -> None:
            directory = self.directory
            with directory.lock:
                directory.digests[request_id] = file.digest
                directory.unverified += standing.state is State.UNVERIFIED
                for tag in tags:
                    directory.cases[tag].add(request_id)

        transaction.then.append(known)

    def save_case(
        self,
        transaction: Transaction,
        case: Case,
        standing: Standing | None = None,
    ) -> None:
        """Write a request's new standing, and its file as it is now."""
        standing = standing or case.standing
        file = case.file
        transaction.write(
            "UPDATE requests SET state = ?, changed = ?, due = ?, extended = ?, first_reviewer = ?, "
            "decided_by = ?, reason = ?, published = ?, sealed = ?, version = version + 1 "
            "WHERE request_id = ?",
            standing.state.value,
            naive(transaction.now),
            naive(standing.due) if standing.due else None,
            standing.extended,
            standing.first_reviewer,
            standing.decided_by,
            standing.reason,
            standing.published,
            self._sealed(case.key_id, file.as_dict(), case.request_id) if file else None,
            case.request_id,
        )
        waited = case.standing.state is State.UNVERIFIED and file is not None
        if waited and standing.state is not State.UNVERIFIED:
            transaction.then.append(self._one_unverified_less)

    def move_case(self, transaction: Transaction, case: Case, standing: Standing) -> Case:
        """Write a request's new standing; returns the case as it is then."""
        self.save_case(transaction, case, standing)
        return case._replace(standing=standing, version=case.version + 1)

    def erase_case(self, transaction: Transaction, case: Case) -> None:
        """Forget a case file: its key goes, and what could find it; what is no secret stays."""
        transaction.write(
            "UPDATE requests SET sealed = NULL, changed = ?, version = version + 1 "
            "WHERE request_id = ?",
            naive(transaction.now),
            case.request_id,
        )
        transaction.write(
            "UPDATE messages SET sealed = NULL, failed = failed OR sent IS NULL "
            "WHERE request_id = ? AND sealed IS NOT NULL",
            case.request_id,
        )
        if case.file is None:
            return
        sent = [
            row[0]
            for row in transaction.rows(
                "SELECT message_id FROM messages WHERE request_id = ?", case.request_id
            )
        ]
        transaction.then.append(lambda: self.on_erased(sent))
        transaction.destroy(case.key_id)
        tags = self.tags(case.file)
        if case.standing.state is State.UNVERIFIED:
            transaction.then.append(self._one_unverified_less)

        def forgotten() -> None:
            with self.directory.lock:
                self.directory.digests[case.request_id] = None
                for tag in tags:
                    self.directory.cases[tag].discard(case.request_id)
                    if not self.directory.cases[tag]:
                        del self.directory.cases[tag]

        transaction.then.append(forgotten)

    def tags(self, file: CaseFile) -> set[bytes]:
        """The tags of all identifiers of a case."""
        return {self.tag(one.kind, one.canonical) for one in file.identities}

    # -- listed -----------------------------------------------------------------------------------

    def listed(self, condition: str = "", *parameters: object) -> Iterator[Listed]:
        """Listed entries that meet a condition in SQL."""
        sql = f"SELECT {_LISTED} FROM listed {condition}"  # noqa: S608
        return map(self._entry, self.database.rows(sql, *parameters))

    def claim(
        self,
        transaction: Transaction,
        case: Case,
        identity: Identity,
        content: dict[str, Any],
    ) -> UUID:
        """List an identifier for a case: a new entry, or one more claim on one that is there."""
        kind = entries.OPTOUT if case.kind is RequestKind.RIGHTSHOLDER else identity.kind
        tag = self._listed_tag(identity.audience, identity.kind, identity.canonical)
        scratch: dict[bytes, UUID] = transaction.scratch
        listed_id = scratch.get(tag) or self.directory.listed.get(tag)
        known = "SELECT 1 FROM listed WHERE listed_id = ?"
        if listed_id is None or transaction.row(known, listed_id) is None:
            listed_id = UUID(bytes=os.urandom(16), version=4)
            key_id = transaction.keys.new()
            transaction.insert(
                "listed",
                listed_id=listed_id,
                kind=kind,
                audience=identity.audience,
                since=transaction.now,
                first_release=None,
                due_out=False,
                key_id=key_id,
                sealed=self._sealed(key_id, content, listed_id),
            )
            scratch[tag] = listed_id
            added = listed_id
            transaction.then.append(lambda: self.directory.listed.__setitem__(tag, added))
        else:
            transaction.write("UPDATE listed SET due_out = FALSE WHERE listed_id = ?", listed_id)
        transaction.insert(
            "claims", listed_id=listed_id, request_id=case.request_id, since=transaction.now
        )
        return listed_id

    def listed_as(self, identity: Identity) -> list[UUID]:
        """The entries of an identifier, in whichever file."""
        tags = [self.tag(f"{one.value}:{identity.kind}", identity.canonical) for one in Audience]
        with self.directory.lock:
            return [self.directory.listed[tag] for tag in tags if tag in self.directory.listed]

    def give_up_claims(self, transaction: Transaction, request_id: UUID) -> None:
        """End a request's claims; what nobody claims any more goes: at once where no release holds it."""
        mine = [
            row[0]
            for row in transaction.rows(
                "SELECT listed_id FROM claims WHERE request_id = ?", request_id
            )
        ]
        transaction.write("DELETE FROM claims WHERE request_id = ?", request_id)
        for listed_id in mine:
            if transaction.row("SELECT 1 FROM claims WHERE listed_id = ?", listed_id) is None:
                transaction.write("UPDATE listed SET due_out = TRUE WHERE listed_id = ?", listed_id)
                held = transaction.row("SELECT 1 FROM members WHERE listed_id = ?", listed_id)
                row = transaction.row(
                    "SELECT first_release FROM listed WHERE listed_id = ?", listed_id
                )
                if held is None and row is not None and row[0] is None:
                    self.drop_listed(transaction, listed_id)

    def drop_listed(self, transaction: Transaction, listed_id: UUID) -> None:
        """Forget an entry for good."""
        row = transaction.row(f"SELECT {_LISTED} FROM listed WHERE listed_id = ?", listed_id)  # noqa: S608
        if row is None:
            return
        entry = self._entry(row)
        transaction.write("DELETE FROM listed WHERE listed_id = ?", listed_id)
        transaction.destroy(entry.key_id)
        if entry.content is None:
            return
        tag = self._listed_tag(entry.audience, entry.content["kind"], entry.content["canonical"])

        def forgotten() -> None:
            if self.directory.listed.get(tag) == listed_id:
                del self.directory.listed[tag]

        transaction.then.append(forgotten)

    def in_release(self, transaction: Transaction, request_id: UUID) -> bool:
        """Whether something that a request claims is in a release, whoever had it listed.

        That is one which is out, or one that was compiled and may be signed already.
        """
        claimed = transaction.row(
            "SELECT 1 FROM claims JOIN listed USING (listed_id) WHERE request_id = ? "
            "AND (first_release IS NOT NULL OR listed_id IN (SELECT listed_id FROM members)) LIMIT 1",
            request_id,
        )
        return claimed is not None

    def _listed_tag(self, audience: str, kind: str, canonical: list[str]) -> bytes:
        return self.tag(f"{audience}:{kind}", canonical)

    def hashes_made_with(self) -> str:
        """What slow hashes depend on; those made with something else are made again."""
        return f"{self.settings.kdf} {self.salt.hex()}"

    # -- sealing ----------------------------------------------------------------------------------

    def seal(self, key_id: UUID, content: dict[str, Any], owner: UUID) -> bytes:
        """Seal something else that belongs to a case or an entry."""
        return self._sealed(key_id, content, owner)

    def unseal(self, key_id: UUID, sealed: bytes | None, owner: UUID) -> dict[str, Any] | None:
        """Open it; `None` where it was erased."""
        if sealed is None:
            return None
        try:
            plain = self.keys.open(key_id, bytes(sealed), owner.bytes)
        except KeyDestroyed:
            return None
        content: dict[str, Any] = json.loads(plain)
        return content

    def _sealed(self, key_id: UUID, content: dict[str, Any], owner: UUID) -> bytes:
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        # Halves of surrogate pairs are no text; they must not cost others of a transaction anything.
        plain = text.encode("utf-8", "replace")
        return self.keys.seal(key_id, plain, owner.bytes)

    def _case(self, row: tuple[Any, ...]) -> Case:
        (
            request_id,
            kind,
            state,
            language,
            received,
            changed,
            due,
            extended,
            first_reviewer,
            decided_by,
            reason,
            source,
            key_id,
            sealed,
            version,
            published,
        ) = row
        content = self.unseal(key_id, sealed, request_id)
        standing = Standing(
            State(state),
            utc(received),
            utc(due) if due else None,
            extended,
            first_reviewer,
            decided_by,
            reason,
            published,
        )
        return Case(
            request_id,
            RequestKind(kind),
            standing,
            language,
            utc(changed),
            source,
            key_id,
            CaseFile.from_dict(content) if content is not None else None,
            version,
        )

    def _entry(self, row: tuple[Any, ...]) -> Listed:
        listed_id, kind, audience, since, first_release, due_out, key_id, sealed = row
        content = self.unseal(key_id, sealed, listed_id)
        return Listed(
            listed_id, kind, audience, utc(since), first_release, due_out, key_id, content
        )

    def _one_unverified_less(self) -> None:
        with self.directory.lock:
            self.directory.unverified -= 1

    # -- at the start and once a day --------------------------------------------------------------

    def reconcile(self) -> int:
        """Destroy the keys that no record needs, which a crash may have left behind; how many."""

        def work(transaction: Transaction) -> int:
            needed = {key_id for sql in _KEYS_NEEDED for (key_id,) in transaction.rows(sql)}
            orphans = transaction.keys.durable() - needed
            for key_id in orphans:
                transaction.destroy(key_id)
            if orphans:
                transaction.audit("system", "orphan_keys_destroyed", "-", keys=len(orphans))
            return len(orphans)

        return self.database.write(work)

    def _check_keys(self) -> None:
        """Finish erasures that a crash cut short, and miss no key that was not destroyed.

        Raises:
            UnusableFolder: keys are missing: to go on would be to erase.
        """
        destroyed = self.keys.destroyed()
        needed = {key_id for sql in _KEYS_NEEDED for (key_id,) in self.database.rows(sql)}
        missing = sum(key_id not in self.keys and key_id not in destroyed for key_id in needed)
        if missing:
            raise UnusableFolder(
                f"{missing} keys are missing that were never destroyed: restore the folder keys from a "
                "backup, or the whole registry with lethe registry restore."
            )
        erased = self.database.rows("SELECT key_id FROM requests WHERE sealed IS NULL")
        left = [key_id for (key_id,) in erased if key_id in self.keys]
        if left:
            self.database.write(lambda transaction: transaction.doomed.extend(left))

    def _fill(self) -> None:
        """Read all cases and entries once."""
        directory = self.directory
        for case in self._all_cases():
            directory.digests[case.request_id] = case.file.digest if case.file else None
            directory.unverified += (
                case.standing.state is State.UNVERIFIED and case.file is not None
            )
            if case.file is not None:
                for tag in self.tags(case.file):
                    directory.cases[tag].add(case.request_id)
        for entry in self.listed():
            if entry.content is not None:
                content = entry.content
                tag = self._listed_tag(entry.audience, content["kind"], content["canonical"])
                directory.listed[tag] = entry.listed_id

    def _all_cases(self) -> Iterator[Case]:
        """Every case, some at a time: together they may be more than fits into memory."""
        last = UUID(int=0)
        while True:
            some = list(
                self.cases("WHERE request_id > ? ORDER BY request_id LIMIT ?", last, _AT_ONCE)
            )
            yield from some
            if len(some) < _AT_ONCE:
                return
            last = some[-1].request_id


def same(secret: str, given: str) -> bool:
    """Whether a secret was given, compared in constant time; `given` may be any text."""
    return hmac.compare_digest(secret.encode(), given.encode("utf-8", "replace"))


def secret_key(path: Path) -> bytes:
    """A key of the registry's own; made at the first start.

    Raises:
        UnsafeSettings: the file holds something else.
    """
    if not path.exists():
        write_private(path, os.urandom(KEY_BYTES).hex().encode() + b"\n")
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise UnsafeSettings(f"{path} holds no key: restore the folder keys from a backup.")
    return key
