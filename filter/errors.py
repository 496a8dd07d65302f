"""What can go wrong, by whose fault it is.

::

    LetheError
    ├── InputError          what was handed in cannot be used; the message says what to do
    │   ├── MalformedHost   not a host name and not an IP address
    │   └── MalformedUrl    no host can be read from it
    └── MissingExtra        an optional dependency is not installed

The other rooms hang their own errors below `InputError`. Nothing here prints or exits: the command
line turns an `InputError` into one sentence and exit code 2.
"""

from __future__ import annotations


class LetheError(Exception):
    """Base of every error that Lethe raises on purpose."""


class InputError(LetheError):
    """What was handed in cannot be used. ``str()`` is one sentence that says what to do."""


class MalformedHost(InputError):
    """Not a host name and not an IP address."""


class MalformedUrl(InputError):
    """No host can be read from the URL."""


class MissingExtra(LetheError):
    """An optional dependency is not installed; the message names the extra to install."""
