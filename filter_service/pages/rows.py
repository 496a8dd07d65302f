"""The form of a request: its rows as they were typed, what is wrong with them, and what they ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Self
from uuid import UUID, uuid4

from filter.identifiers import PHRASES, RECOGNISED, IdentifierKind
from filter_service import entries
from filter_service.errors import Unacceptable
from filter_service.model import LANGUAGES, Audience, OptOutScope, RequestKind
from filter_service.pages.forms import Form
from filter_service.pages.site import Problem
from filter_service.pages.texts import Texts
from filter_service.registry import Submission
from filter_service.review import MOST_MESSAGE
from filter_service.settings import Settings

KINDS = {
    RequestKind.ERASURE: (*map(str, RECOGNISED), *map(str, PHRASES)),
    RequestKind.RIGHTSHOLDER: tuple(map(str, OptOutScope)),
}
_PURPOSES = {
    IdentifierKind.EMAIL: "email",
    IdentifierKind.PHONE: "tel",
    IdentifierKind.CREDIT_CARD: "cc-number",
    IdentifierKind.NAME: "name",
    IdentifierKind.POSTAL_ADDRESS: "street-address",
    IdentifierKind.URL: "url",
}
"""What a browser may fill in (WCAG 1.3.5)."""


@dataclass(frozen=True)
class Row:
    """One line of the form."""

    kind: str = ""
    value: str = field(default="", repr=False)
    file: str = ""

    @property
    def purpose(self) -> str:
        """The ``autocomplete`` of the field."""
        return _PURPOSES.get(self.kind, "off")  # type: ignore[call-overload, no-any-return]

    @property
    def audience(self) -> str | None:
        """The file that was chosen; `None` for the usual one of the kind."""
        return Audience.OPERATORS if self.file == Audience.OPERATORS else None


@dataclass(frozen=True)
class Draft:
    """A request that was not sent yet."""

    kind: RequestKind
    request_id: UUID
    rows: Sequence[Row] = field(repr=False)
    email: str = field(default="", repr=False)
    reply: str = "en"
    message: str = field(default="", repr=False)
    agreed: bool = False

    @classmethod
    def new(cls, kind: RequestKind, language: str) -> Self:
        """An empty form, with an id of its own: sent twice it is one request."""
        return cls(kind, uuid4(), [Row()], reply=language)

    @classmethod
    def read(cls, kind: RequestKind, form: Form, language: str) -> Self:
        """What was typed."""
        columns = zip_longest(form.all("kind"), form.all("value"), form.all("file"), fillvalue="")
        reply = form.one("reply")
        return cls(
            kind,
            _version_4(form.one("id")),
            [Row(*row) for row in columns],
            form.one("email"),
            reply if reply in LANGUAGES else language,
            form.one("message"),
            form.one("agreed") == "yes",
        )

    def fields(self) -> Iterator[tuple[str, str]]:
        """All of it as fields of a form."""
        yield "id", str(self.request_id)
        for row in self.rows:
            yield from (("kind", row.kind), ("value", row.value), ("file", row.file))
        yield from (("email", self.email), ("reply", self.reply), ("message", self.message))
        if self.agreed:
            yield "agreed", "yes"

    def problems(self, t: Texts, settings: Settings) -> list[Problem]:
        """What must be corrected, in the order of the form."""
        found = []
        if not self.rows:
            found.append(Problem("kind-1", t("problem.no_row")))
        most = settings.limits.identities
        if len(self.rows) > most:
            found.append(Problem("value-1", t("problem.too_many", most=most)))
        found += [
            p for n, row in enumerate(self.rows, 1) if (p := self._wrong(t, settings, n, row))
        ]
        try:
            entries.identity(RequestKind.ERASURE, "email", self.email, None, ("CH",), position=0)
        except Unacceptable:
            found.append(Problem("email", t("problem.email")))
        if len(self.message) > MOST_MESSAGE:
            found.append(Problem("message", t("problem.message", most=MOST_MESSAGE)))
        if not self.agreed:
            found.append(Problem("agreed", t("problem.agreed")))
        return found

    def _wrong(self, t: Texts, settings: Settings, number: int, row: Row) -> Problem | None:
        if row.kind not in KINDS[self.kind]:
            return Problem(f"kind-{number}", t("problem.kind", number=number))
        if not row.value:
            return Problem(f"value-{number}", t("problem.empty", number=number))
        try:
            entries.identity(
                self.kind, row.kind, row.value, row.audience, settings.regions, position=number
            )
        except Unacceptable:
            is_person = self.kind is RequestKind.ERASURE
            hint = t(f"kinds.{row.kind}.hint" if is_person else f"scope_hints.{row.kind}")
            key = "problem.value" if is_person else "problem.scope_value"
            return Problem(f"value-{number}", t(key, number=number, hint=hint))
        return None

    def submission(self) -> Submission:
        """What the registry is asked for."""
        identities = [(row.kind, row.value, row.audience) for row in self.rows]
        return Submission(
            self.request_id, self.kind, identities, self.email, self.reply, message=self.message
        )


def _version_4(text: str) -> UUID:
    """The form's id, or a new one for a form that was tampered with."""
    try:
        given = UUID(text)
    except ValueError:
        return uuid4()
    return given if given.version == 4 else uuid4()
