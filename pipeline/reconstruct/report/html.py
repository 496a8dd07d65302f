"""The report as one self-contained HTML page: no script, no network, fit for print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from filter.errors import MissingExtra
from pipeline.reconstruct.report import figures, losses, numbers, prose, tables
from pipeline.reconstruct.report.text import shown

if TYPE_CHECKING:
    from jinja2 import Environment

    from pipeline.reconstruct.report.model import Summary


def render(summary: Summary) -> str:
    """The page.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        from markupsafe import Markup

        made = environment()
    except ImportError:
        raise MissingExtra(
            "HTML reports need jinja2: install lethe-llm[corpus], or ask for --format md."
        ) from None
    drawn: dict[str, Any] = {
        "overall": Markup(figures.overall(summary.flow)),  # noqa: S704  (escaped where it is drawn)
        "languages": Markup(figures.languages(summary)),  # noqa: S704
        "signals": Markup(figures.signals(summary)),  # noqa: S704
        "agents": Markup(figures.agents(summary)),  # noqa: S704
        "hosts": Markup(figures.hosts(summary)),  # noqa: S704
    }
    return made.get_template("report.html").render(
        s=summary,
        figures=drawn,
        tables=tables,
        losses=losses,
        prose=prose,
        homepage=link(summary.dataset.homepage),
    )


def environment() -> Environment:
    """Where the templates are rendered; every value is escaped.

    Raises:
        ImportError: jinja2 is not installed.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("pipeline.reconstruct.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["shown"] = shown
    made.filters["counted"] = numbers.counted
    return made


def link(address: str | None) -> str | None:
    """The address, where it can be linked to safely."""
    return address if address and address.startswith(("https://", "http://")) else None
