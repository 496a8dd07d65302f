"""Who may do what: keys of reviewers, of machines that hand in requests, and of operators.

A key is shown once and kept as a keyed digest. It reads ``lethe_<id>_<secret>``: 128 bits each, in
hexadecimal. Operators register themselves, confirm their address, and accept the terms of the
operators' file.
"""

from __future__ import annotations

import hmac
import os
import re
import threading
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from filter_service import entries
from filter_service.database import Transaction, naive, utc
from filter_service.errors import NotAllowed, NotFound, Unacceptable, WrongState
from filter_service.model import LANGUAGES, RequestKind
from filter_service.outgoing import Outgoing
from filter_service.store import Store

_KEY = re.compile(r"lethe_([0-9a-f]{32})_([0-9a-f]{32})")
_COLUMNS = "access_id, role, scopes, digest, created, expires, revoked, terms, key_id, sealed"
_LINK_DAYS = 7
MOST_NAME = 200


class Role(StrEnum):
    """What kind of caller a key is for."""

    REVIEWER = "reviewer"
    MACHINE = "machine"
    OPERATOR = "operator"


class Scope(StrEnum):
    """What a key may do."""

    REVIEW = "review"
    """Read the queue and cases, decide."""
    SUBMIT = "submit"
    """Hand in requests for people who confirm them by e-mail, and see their status."""
    MANDATE = "mandate"
    """Hand in requests for people who gave a mandate."""
    BUNDLE = "bundle"
    """Fetch the operators' file."""
    METRICS = "metrics"


SCOPES = {
    Role.REVIEWER: frozenset({Scope.REVIEW}),
    Role.MACHINE: frozenset({Scope.SUBMIT, Scope.MANDATE, Scope.METRICS}),
    Role.OPERATOR: frozenset({Scope.BUNDLE}),
}
"""Scopes that keys of a role may have."""


@dataclass(frozen=True)
class Access:
    """One key, without its secret."""

    access_id: UUID
    role: Role
    scopes: frozenset[Scope]
    digest: bytes = field(repr=False)
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    terms: str | None
    key_id: UUID
    who: str = field(repr=False)
    """Whose it is, as it was told; personal."""
    email: str = field(default="", repr=False)

    @property
    def confirmed(self) -> bool:
        """Whether it has a secret: an operator's has none until the address is confirmed."""
        return bool(self.digest)


class Keys:
    """All keys of a registry."""

    def __init__(self, store: Store, outgoing: Outgoing) -> None:
        self.store = store
        self.outgoing = outgoing
        self._lock = threading.Lock()
        self._known: dict[UUID, Access] = {}
        for row in store.database.rows(f"SELECT {_COLUMNS} FROM access_keys"):  # noqa: S608
            access_id, role, scopes, digest, created, expires, revoked, terms, key_id, sealed = row
            content = store.unseal(key_id, sealed, access_id) or {"who": "", "email": ""}
            self._known[access_id] = Access(
                access_id,
                Role(role),
                frozenset(Scope(one) for one in scopes.split(",") if one),
                bytes(digest),
                utc(created),
                utc(expires) if expires else None,
                utc(revoked) if revoked else None,
                terms,
                key_id,
                **content,
            )

    def all(self) -> list[Access]:
        """Every key, oldest first."""
        with self._lock:
            return sorted(self._known.values(), key=lambda one: (one.created, one.access_id))

    def create(
        self,
        role: Role,
        who: str,
        actor: str,
        *,
        scopes: Collection[Scope] | None = None,
        days: int | None = None,
    ) -> tuple[Access, str]:
        """A new key and its secret, which is shown only now.

        Raises:
            Unacceptable: a scope that keys of this role cannot have.
        """
        wanted = SCOPES[role] - {Scope.MANDATE} if scopes is None else frozenset(scopes)
        if not wanted <= SCOPES[role]:
            raise Unacceptable("scope", f"Keys of this role may have: {', '.join(SCOPES[role])}.")

        def work(transaction: Transaction) -> tuple[Access, str]:
            expires = transaction.now + timedelta(days=days) if days is not None else None
            access = self._new(role, wanted, transaction, who, "", None, expires)
            secret = self._secret()
            access = replace(access, digest=self._digest(access.access_id, secret))
            self._add(transaction, access)
            transaction.audit(actor, "key_created", access.access_id, role=role.value)
            return access, self._shown(access.access_id, secret)

        return self.store.database.write(work)

    def register_operator(self, organisation: str, email: str, terms: str, language: str) -> None:
        """An operator asks for a key: a link goes to the address; nothing is told to the caller.

        Raises:
            Unacceptable: the terms are not the current ones, or a field cannot be used.
        """
        if terms != self.store.settings.terms:
            raise Unacceptable("terms", "Accept the current version of the terms.")
        organisation = organisation.strip()
        if not 0 < len(organisation) <= MOST_NAME or not organisation.isprintable():
            raise Unacceptable(
                "organisation", f"Name an organisation, in {MOST_NAME} letters at most."
            )
        if language not in LANGUAGES:
            raise Unacceptable("unknown_language", f"Choose one of {', '.join(LANGUAGES)}.")
        entries.identity(RequestKind.ERASURE, "email", email, None, ("CH",), position=1)

        def work(transaction: Transaction) -> None:
            access = self._new(
                Role.OPERATOR,
                SCOPES[Role.OPERATOR],
                transaction,
                organisation,
                email.strip(),
                terms,
                transaction.now + timedelta(days=_LINK_DAYS),
            )
            self._add(transaction, access)
            token = self.store.token("operator", access.access_id)
            address = f"{self.store.settings.base_url}/operators/{access.access_id}/{token}"
            self.outgoing.post(
                transaction,
                access.access_id,
                access.key_id,
                language,
                "email",
                "operator_key",
                access.email,
                {"link": address, "operator": organisation},
            )
            transaction.audit("operator", "operator_registered", access.access_id, terms=terms)

        self.store.database.write(work)

    def confirm_operator(self, access_id: UUID, token: str) -> str:
        """The operator's key, shown once; the link works once.

        Raises:
            NotFound: no such registration, or another token.
            WrongState: used before, or too old.
        """

        def work(transaction: Transaction) -> str:
            with self._lock:
                access = self._known.get(access_id)
            if access is None or not self.store.is_token(token, "operator", access_id):
                raise NotFound
            if access.confirmed or access.revoked or access_id in transaction.scratch:
                raise WrongState(
                    "used", "This link was used before: register again for another key."
                )
            if access.expires is None or transaction.now >= access.expires:
                raise WrongState("too_late", "This link is too old: register again.")
            secret = self._secret()
            transaction.scratch[access_id] = True
            confirmed = replace(access, digest=self._digest(access_id, secret), expires=None)
            transaction.write(
                "UPDATE access_keys SET digest = ?, expires = NULL WHERE access_id = ?",
                confirmed.digest,
                access_id,
            )
            self._remember(transaction, confirmed)
            transaction.audit("operator", "operator_confirmed", access_id)
            return self._shown(access_id, secret)

        return self.store.database.write(work)

    def revoke(self, access_id: UUID, actor: str) -> None:
        """End a key.

        Raises:
            NotFound: there is none of this id.
        """

        def work(transaction: Transaction) -> None:
            with self._lock:
                access = self._known.get(access_id)
            if access is None:
                raise NotFound
            transaction.scratch[access_id] = True
            transaction.write(
                "UPDATE access_keys SET revoked = ? WHERE access_id = ?",
                naive(transaction.now),
                access_id,
            )
            self._remember(transaction, replace(access, revoked=transaction.now))
            transaction.audit(actor, "key_revoked", access_id)

        self.store.database.write(work)

    def drop_unconfirmed(self) -> int:
        """Forget registrations whose link nobody used in time; how many."""

        def work(transaction: Transaction) -> int:
            late = [
                one
                for one in self.all()
                if not one.confirmed and one.expires is not None and one.expires <= transaction.now
            ]
            for one in late:
                transaction.write("DELETE FROM access_keys WHERE access_id = ?", one.access_id)
                transaction.write(
                    "UPDATE messages SET sealed = NULL, failed = failed OR sent IS NULL "
                    "WHERE request_id = ? AND sealed IS NOT NULL",
                    one.access_id,
                )
                transaction.destroy(one.key_id)
                transaction.audit("system", "operator_dropped", one.access_id)
            transaction.then.append(lambda: self._forget(late))
            return len(late)

        return self.store.database.write(work)

    def authenticated(self, key: str) -> Access:
        """The key that a caller shows.

        Raises:
            NotAllowed: no key, an unknown, expired or revoked one; nobody can tell which.
        """
        refused = NotAllowed("key", "A valid key is needed for this.")
        match = _KEY.fullmatch(key)
        if match is None:
            raise refused
        access_id = UUID(match[1])
        with self._lock:
            access = self._known.get(access_id)
        digest = self._digest(access_id, match[2])
        known = access.digest if access is not None else b""
        if not hmac.compare_digest(digest, known) or access is None or access.revoked:
            raise refused
        if access.expires is not None and self.store.database.clock() >= access.expires:
            raise refused
        return access

    def allowed(self, key: str, scope: Scope) -> Access:
        """The same, if the key may do something.

        Raises:
            NotAllowed: as there, or it may not.
        """
        access = self.authenticated(key)
        if scope not in access.scopes:
            raise NotAllowed("scope", "This key may not do this.")
        return access

    def _new(
        self,
        role: Role,
        scopes: frozenset[Scope],
        transaction: Transaction,
        who: str,
        email: str,
        terms: str | None,
        expires: datetime | None,
    ) -> Access:
        return Access(
            uuid4(),
            role,
            scopes,
            b"",
            transaction.now,
            expires,
            None,
            terms,
            transaction.keys.new(),
            who,
            email,
        )

    def _add(self, transaction: Transaction, access: Access) -> None:
        content = {"who": access.who, "email": access.email}
        transaction.insert(
            "access_keys",
            access_id=access.access_id,
            role=access.role.value,
            scopes=",".join(sorted(access.scopes)),
            digest=access.digest,
            created=access.created,
            expires=access.expires,
            revoked=None,
            terms=access.terms,
            key_id=access.key_id,
            sealed=self.store.seal(access.key_id, content, access.access_id),
        )
        self._remember(transaction, access)

    def _remember(self, transaction: Transaction, access: Access) -> None:
        def known() -> None:
            with self._lock:
                self._known[access.access_id] = access

        transaction.then.append(known)

    def _forget(self, some: Collection[Access]) -> None:
        with self._lock:
            for one in some:
                self._known.pop(one.access_id, None)

    def _digest(self, access_id: UUID, secret: str) -> bytes:
        return self.store.keyed_digest("access", f"{access_id.hex}_{secret}".encode())

    @staticmethod
    def _secret() -> str:
        return os.urandom(16).hex()

    @staticmethod
    def _shown(access_id: UUID, secret: str) -> str:
        return f"lethe_{access_id.hex}_{secret}"
