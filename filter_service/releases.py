"""Releases: from what is listed to files, and from published files to what askers are told.

A release is compiled, then published by whoever holds the signing keys, then entered here: requests
become ``published`` or ``removed``, and what nobody claims any more is forgotten for good.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from filter.bundle import Bundle
from filter.errors import InputError
from filter.release import parsed
from filter_service import entries, notes, workflow
from filter_service.audit import Head
from filter_service.compile_worker import built
from filter_service.database import Transaction, naive, utc
from filter_service.errors import NotFound, Unacceptable, WrongState
from filter_service.keyring import KEY_BYTES, private_folder, write_private
from filter_service.model import Audience, State
from filter_service.outgoing import Outgoing
from filter_service.store import Store, secret_key

LEAST_PERSONS = 20
"""Of a patch: a difference of two files must not date or link anybody."""
PATCH_DAYS = 28
"""Between two releases of one half-year."""
_STEP = 200
"""Requests told in one transaction, so that others are served in between."""


@dataclass(frozen=True)
class Release:
    """A compiled release."""

    release: str
    compiled: datetime
    published: datetime | None
    digests: dict[str, str]
    """Audience -> ``content_sha256`` of its file."""
    notes: dict[str, Any]
    previous: str | None


class Releases:
    """The releases of a registry."""

    def __init__(self, store: Store, outgoing: Outgoing) -> None:
        self.store = store
        self.database = store.database
        self.outgoing = outgoing
        self.folder = store.folder / "releases"
        self._decoys = secret_key(store.folder / "keys" / "decoys.key")

    def all(self) -> list[Release]:
        """Every release, newest first."""
        rows = self.database.rows(
            "SELECT release, compiled, published, digests, notes, previous FROM releases"
        )
        found = [
            Release(
                release,
                utc(compiled),
                utc(published) if published else None,
                json.loads(digests),
                json.loads(text),
                previous,
            )
            for release, compiled, published, digests, text, previous in rows
        ]
        return sorted(found, key=lambda one: parsed(one.release), reverse=True)

    def published(self) -> list[Release]:
        """Those that were published, newest first."""
        return [one for one in self.all() if one.published is not None]

    def get(self, release: str) -> Release:
        """One release.

        Raises:
            NotFound: it was never compiled.
        """
        for one in self.all():
            if one.release == release:
                return one
        raise NotFound("no_release", "There is no such release: compile it first.")

    def path(self, release: str, audience: str) -> Path:
        """Where a file of a release lies."""
        return self.folder / release / f"lethe-{audience}.safetensors"

    def next_release(self) -> str:
        """What the next release is called on this day."""
        now = self.database.clock()
        year, half = now.year, 1 if now.month < 7 else 2
        known = [parsed(one.release) for one in self.published()]
        patches = [patch for y, h, patch in known if (y, h) == (year, half)]
        return f"{year}.{half}.{max(patches) + 1 if patches else 0}"

    def coming(self) -> tuple[str, date]:
        """The next full release and its day: each 1 January and 1 July."""
        today = self.database.clock().date()
        if today.month < 7:
            return f"{today.year}.2.0", date(today.year, 7, 1)
        return f"{today.year + 1}.1.0", date(today.year + 1, 1, 1)

    def compile(self, release: str | None = None, *, urgent: str = "") -> Release:
        """Build the files of a release from what is listed now; one not yet published is replaced.

        Args:
            release: its name; the next one by the calendar by default.
            urgent: why a patch must come earlier or for fewer persons than allowed; written down.

        Raises:
            Unacceptable: not a release that may come now.
        """
        release = release or self.next_release()
        self._check(release, urgent)
        listed = list(self.store.listed("WHERE NOT due_out"))
        head = self.database.head
        before = self.published()
        folder = self.folder / release
        # A name of its own: the process of an earlier attempt may still be writing.
        draft = self.folder / f".{release}.{uuid4().hex}"
        private_folder(self.folder)
        for left in self.folder.glob(".*"):
            shutil.rmtree(left, ignore_errors=True)
        private_folder(draft)
        audiences = (Audience.PUBLIC, Audience.OPERATORS)
        plan = {
            "files": {a.value: str(draft / f"lethe-{a.value}.safetensors") for a in audiences},
            "release": release,
            "now": self.database.clock().isoformat(),
            "kdf": self.store.settings.kdf,
            "family": self.store.settings.family,
            "salt": self.store.salt.hex(),
            "decoys": self._decoys[:KEY_BYTES].hex(),
            "regions": list(self.store.settings.regions),
            "audit": {"length": head.length, "head": head.digest.hex()},
            "previous": {
                a.value: {
                    "release": before[0].release,
                    "content_sha256": before[0].digests[a.value],
                }
                for a in audiences
                if before
            },
        }
        made_with = self.store.hashes_made_with()
        result = built(
            plan,
            (
                {
                    "kind": one.content["kind"],
                    "text": one.content["text"],
                    "audience": one.audience,
                    "hashes": one.content["hashes"]
                    if one.content["made_with"] == made_with
                    else {},
                }
                for one in listed
                if one.content is not None and one.audience != Audience.CORPUS
            ),
        )
        seconds = notes.seconds_a_hash(self.store.settings.kdf)
        about = {
            audience: notes.notes(one["manifest"], one["entries"], seconds)
            for audience, one in result.items()
        }
        write_private(draft / "notes.md", notes.as_markdown(release, about).encode())
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
        digests = {audience: one["content_sha256"] for audience, one in result.items()}

        def work(transaction: Transaction) -> None:
            known = transaction.row("SELECT published FROM releases WHERE release = ?", release)
            if known is not None and known[0] is not None:
                raise WrongState("published", "This release is published: compile the next one.")
            transaction.write("DELETE FROM releases WHERE published IS NULL")
            transaction.write("DELETE FROM members WHERE release = ?", release)
            transaction.insert(
                "releases",
                release=release,
                compiled=transaction.now,
                published=None,
                digests=json.dumps(digests),
                notes=json.dumps(about),
                audit=f"{head.length} {head.digest.hex()}",
                previous=before[0].release if before else None,
            )
            for one in listed:
                transaction.insert("members", release=release, listed_id=one.listed_id)
            transaction.audit(
                "admin", "compiled", release, entries=len(listed), urgent="yes" if urgent else "no"
            )

        self.database.write(work)
        return self.get(release)

    def heads(self) -> list[Head]:
        """The heads of the audit trail that published releases name."""
        rows = self.database.rows("SELECT audit FROM releases WHERE published IS NOT NULL")
        return [
            Head(int(length), bytes.fromhex(digest))
            for length, digest in (text.split() for (text,) in rows)
            if int(length)
        ]

    def check_publishable(self, release: str, *, signed: bool = False) -> Release:
        """A compiled release that still says what is listed.

        Args:
            release: which.
            signed: custodians have signed it already. Then whoever has withdrawn since stays in it, and
                goes with the next one: else no ceremony would ever come to its end.

        Raises:
            NotFound: it was not compiled.
            WrongState: published before, or somebody in it has withdrawn since.
        """
        found = self.get(release)
        if found.published is not None:
            raise WrongState("published", "This release is published already.")
        if not self.files_fit(found):
            raise WrongState(
                "files", "Its files are not those that were compiled: compile it again."
            )
        gone = self.database.row(
            "SELECT count(*) FROM members LEFT JOIN listed USING (listed_id) "
            "WHERE release = ? AND (listed.listed_id IS NULL OR due_out)",
            release,
        )
        if gone is not None and gone[0] and not signed:
            raise WrongState(
                "withdrawn_since", "Somebody has withdrawn since it was compiled: compile it again."
            )
        return found

    def files_fit(self, found: Release) -> bool:
        """Whether the files of a release are there and whole; a crash while compiling may leave others."""
        try:
            for audience, digest in found.digests.items():
                path = self.path(found.release, audience)
                bundle = Bundle.open(path, verify=True, now=self.database.clock())
                if bundle.manifest["content_sha256"] != digest:
                    return False
        except InputError:
            return False
        return True

    def enter_published(self, release: str) -> int:
        """Write down that a release is out, and tell everybody concerned; how many were.

        May be repeated: it goes on where it was interrupted.

        Raises:
            NotFound: it was not compiled.
        """
        self.get(release)

        def out(transaction: Transaction) -> None:
            row = transaction.row("SELECT published FROM releases WHERE release = ?", release)
            if row is None or row[0] is not None:
                return
            transaction.write(
                "UPDATE releases SET published = ? WHERE release = ?",
                naive(transaction.now),
                release,
            )
            transaction.write(
                "UPDATE listed SET first_release = ? WHERE first_release IS NULL AND listed_id IN "
                "(SELECT listed_id FROM members WHERE release = ?)",
                release,
                release,
            )
            transaction.audit("admin", "published", release)

        self.database.write(out)
        told = 0
        while concerned := self._concerned(release):
            told += self.database.write(partial(self._tell, release, concerned))
        self.database.write(lambda transaction: self._forget(transaction, release))
        for path in self.folder.iterdir():
            # Files of older releases list people who have withdrawn since.
            if path.name != release and path.name in {one.release for one in self.published()}:
                shutil.rmtree(path)
        return told

    def optouts(self) -> Iterator[dict[str, str | None]]:
        """Accepted opt-outs of rightsholders, as lines of the opt-out list, oldest first."""
        today = self.database.clock().date()
        claimed: dict[UUID, str] = {
            listed_id: str(request_id)
            for listed_id, request_id in self.database.rows(
                "SELECT listed_id, min(request_id) FROM claims GROUP BY listed_id"
            )
        }
        for one in self.store.listed(
            "WHERE audience = ? ORDER BY since, listed_id", Audience.CORPUS.value
        ):
            if one.content is None:
                continue
            yield entries.optout_line(
                one.content["kind"],
                one.content["canonical"][0],
                one.since.date(),
                today if one.due_out else None,
                claimed.get(one.listed_id, str(one.listed_id)),
            )

    # -- inside -----------------------------------------------------------------------------------

    def _check(self, release: str, urgent: str) -> None:
        year, half, patch = parsed(release)
        published = self.published()
        now = self.database.clock()
        coming = parsed(self.coming()[0])[:2]
        if (year, half) not in (coming, (now.year, 1 if now.month < 7 else 2)):
            raise Unacceptable(
                "not_now",
                "A release is of this half-year or of the coming one: choose its name so.",
            )
        if published and parsed(published[0].release) >= (year, half, patch):
            raise Unacceptable("old_release", "A newer release, or this one, is published already.")
        if patch == 0 or not published or urgent.strip():
            return
        last = published[0].published
        assert last is not None
        if now < last + timedelta(days=PATCH_DAYS):
            raise Unacceptable("too_early", f"Patches come at most every {PATCH_DAYS} days: wait.")
        row = self.database.row(
            "SELECT count(*) FROM requests WHERE kind = 'erasure' AND state IN (?, ?)",
            State.ACCEPTED.value,
            State.REMOVAL_DUE.value,
        )
        if row is None or row[0] < LEAST_PERSONS:
            raise Unacceptable(
                "too_few", f"A patch concerns at least {LEAST_PERSONS} persons: wait for more."
            )

    def _concerned(self, release: str) -> list[UUID]:
        """Some requests whose state a published release changes."""
        return [
            row[0]
            for row in self.database.rows(
                """
                SELECT request_id FROM requests
                WHERE state = ? AND NOT EXISTS (
                    SELECT 1 FROM claims WHERE claims.request_id = requests.request_id)
                AND changed <= (SELECT compiled FROM releases WHERE release = ?)
                OR state = ? AND EXISTS (
                    SELECT 1 FROM claims WHERE claims.request_id = requests.request_id)
                AND NOT EXISTS (
                    SELECT 1 FROM claims WHERE claims.request_id = requests.request_id
                    AND listed_id NOT IN (SELECT listed_id FROM members WHERE release = ?))
                LIMIT ?
                """,
                State.REMOVAL_DUE.value,
                release,
                State.ACCEPTED.value,
                release,
                _STEP,
            )
        ]

    def _tell(self, release: str, some: list[UUID], transaction: Transaction) -> int:
        told = 0
        for request_id in some:
            case = self.store.case(request_id, transaction)
            if case.standing.state not in (State.ACCEPTED, State.REMOVAL_DUE):
                continue
            standing = workflow.released(case.standing)
            case = self.store.move_case(transaction, case, standing)
            self.outgoing.tell(transaction, case, standing.state.value, release=release)
            told += 1
        return told

    def _forget(self, transaction: Transaction, release: str) -> None:
        """Forget what nobody claims and no published release holds."""
        rows = transaction.rows(
            "SELECT listed_id FROM listed WHERE due_out AND listed_id NOT IN "
            "(SELECT listed_id FROM members WHERE release = ?)",
            release,
        )
        for (listed_id,) in rows:
            self.store.drop_listed(transaction, listed_id)
        transaction.write("DELETE FROM members WHERE release <> ?", release)
