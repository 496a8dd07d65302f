"""The texts of messages, in German, French, Italian, Romansh and English.

A text is a file ``<language>/<name>.txt``: a line with the subject, an empty line, the body. Words that depend
on a code (a reason of refusal, say) stand in ``<language>/words.json``, as do salutation and farewell.
"""

from __future__ import annotations

from filter_service.messages.texts.render import (
    LANGUAGES,
    NAMES,
    UnusableText,
    codes,
    render,
    values_of,
)

__all__ = ["LANGUAGES", "NAMES", "UnusableText", "codes", "render", "values_of"]
