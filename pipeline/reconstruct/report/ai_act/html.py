"""The summary of training content as one self-contained HTML document, made to be printed."""

from __future__ import annotations

from filter.errors import MissingExtra
from pipeline.reconstruct.report.ai_act.document import TO_COMPLETE, Document, Heading, Item
from pipeline.reconstruct.report.ai_act.markdown import LEGAL, LEGEND, LONGEST
from pipeline.reconstruct.report.html import environment, link
from pipeline.reconstruct.report.tables import Table


def render(document: Document) -> str:
    """The document.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        made = environment()
    except ImportError:
        raise MissingExtra(
            "HTML needs jinja2: install lethe-llm[corpus], or ask for --format ai-act."
        ) from None
    made.tests["item"] = lambda block: isinstance(block, Item)
    made.tests["heading"] = lambda block: isinstance(block, Heading)
    made.tests["table"] = lambda block: isinstance(block, Table)
    return made.get_template("ai_act.html").render(
        d=document,
        missing=document.missing(),
        legal=LEGAL,
        legend=LEGEND,
        longest=LONGEST,
        link=link,
        to_complete=TO_COMPLETE,
    )
