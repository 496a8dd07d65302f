"""What can go wrong on the corpus side; every one of them is the input's or the caller's doing.

::

    filter.errors.InputError
    ├── UnreadableSource    an opt-out file that does not follow its own format
    ├── UnreadableFile      a file that is missing, truncated or not what its name says
    ├── WrongColumns        a table without the columns, or with other types, than the work needs
    ├── WrongVersion        an artefact of another format version
    ├── WrongRun            an output folder that belongs to another run
    └── UnknownName         a recipe, policy, agent set or option that does not exist
"""

from __future__ import annotations

import os

from filter.errors import InputError


class UnreadableSource(InputError):
    """An opt-out file that does not follow its own format; never a silent "keep"."""


class UnreadableFile(InputError):
    """A file that is missing, truncated or not what its name says."""


class WrongColumns(InputError):
    """A table without the columns, or with other types, than the work needs."""


class WrongVersion(InputError):
    """An artefact written in a format version that this program does not know."""


class WrongRun(InputError):
    """An output folder that already holds another run."""


class UnknownName(InputError):
    """A recipe, policy, agent set or option that does not exist."""


def of_the_disk(error: OSError) -> InputError:
    """What a file system says, as one sentence, for work that goes on where it was."""
    why = os.strerror(error.errno) if error.errno else type(error).__name__
    return InputError(
        f"A file could not be read or written ({why}): set that right; the same command goes on "
        "where it was."
    )
