"""What was done with a case before, from the audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from filter_service.database import utc
from filter_service.registry import Registry

MOST = 200


class Deed(NamedTuple):
    """One entry."""

    moment: datetime
    who: str
    """The name of a reviewer's key, or a role."""
    action: str


def history(registry: Registry, request_id: UUID) -> list[Deed]:
    """What was done with a case, newest first."""
    names = {f"reviewer:{one.access_id}": one.who for one in registry.access.all() if one.who}
    rows = registry.database.rows(
        "SELECT moment, actor, action FROM audit WHERE subject = ? ORDER BY number DESC LIMIT ?",
        str(request_id),
        MOST,
    )
    return [
        Deed(utc(moment), names.get(str(actor), str(actor)), action)
        for moment, actor, action in rows
    ]
