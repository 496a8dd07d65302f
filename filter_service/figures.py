"""Public figures: how many asked, what became of it, how long it took; small cells are not told."""

from __future__ import annotations

from typing import Any

from filter_service.database import utc
from filter_service.notes import FEW
from filter_service.registry import Registry

SUPPRESSED = None
"""What stands for a count of one to nine."""


def figures(registry: Registry) -> dict[str, Any]:
    """Counts by month, state and kind, and the median of days to a decision.

    Counts from 1 to 9 are `None`, all others are rounded down to tens.
    """
    database = registry.database
    months: dict[str, dict[str, int | None]] = {}
    for month, kind, state, count in database.rows(
        "SELECT strftime(received, '%Y-%m'), kind, state, count(*) FROM requests "
        "GROUP BY ALL ORDER BY ALL"
    ):
        months.setdefault(month, {})[f"{kind}.{state}"] = told(count)
    states = {
        state: told(count)
        for state, count in database.rows(
            "SELECT state, count(*) FROM requests GROUP BY ALL ORDER BY ALL"
        )
    }
    kinds = {
        kind: told(count)
        for kind, count in database.rows(
            "SELECT kind, count(*) FROM "
            "(SELECT unnest(string_split(kinds, ',')) AS kind FROM requests) GROUP BY ALL ORDER BY ALL"
        )
    }
    row = database.row(
        """
        SELECT median(date_diff('day', requests.received, decided.moment)), count(*) FROM requests
        JOIN (SELECT subject, min(moment) AS moment FROM audit WHERE action = 'decided' GROUP BY subject)
            AS decided ON decided.subject = requests.request_id::VARCHAR
        """
    )
    median, decided = row if row is not None else (None, 0)
    late = database.row(
        "SELECT count(*) FROM requests WHERE due < ? AND state IN ('in_review', 'appealed', 'objected')",
        registry.now.replace(tzinfo=None),
    )
    releases = [
        {"release": one.release, "published": one.published.date().isoformat()}
        for one in registry.releases.published()
        if one.published is not None
    ]
    total = database.row("SELECT count(*), max(changed) FROM requests")
    count, changed = total if total is not None else (0, None)
    return {
        "requests": count // 10 * 10,
        "months": months,
        "states": states,
        "kinds": kinds,
        "median_days_to_decision": float(median) if decided >= FEW else None,
        "overdue": told(late[0]) if late is not None else 0,
        "releases": releases,
        "as_of": utc(changed).date().isoformat() if changed else None,
    }


def told(count: int) -> int | None:
    """A count as it may be told: rounded down to tens, `None` for one to nine.

    Rounded, because a total less its other parts would give a suppressed part away.
    """
    return count // 10 * 10 if count == 0 or count >= FEW else SUPPRESSED
