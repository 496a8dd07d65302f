"""What can go wrong, by whose fault it is.

::

    LetheError
    ├── InputError               what was handed in cannot be used; the message says what to do
    │   ├── MalformedHost        not a host name and not an IP address
    │   ├── MalformedUrl         no host can be read from it
    │   ├── MalformedIdentifier  not an identifier of its kind
    │   ├── UnknownKind          no such kind of identifier
    │   ├── PhraseTooShort       too few letters to be looked for
    │   ├── PhraseTooLong        more letters than are looked at
    │   └── BundleError
    │       ├── NotABundle       a file of another kind
    │       ├── DamagedBundle    cut short, or changed since it was built
    │       ├── BundleTooNew     of a format or a normaliser that this version does not know
    │       └── BundleExpired    past its last day and the days of grace
    └── MissingExtra             an optional dependency is not installed

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


class MalformedIdentifier(InputError):
    """Not an identifier of its kind."""


class UnknownKind(InputError):
    """No such kind of identifier."""


class PhraseTooShort(InputError):
    """Too few letters to be looked for: it would be found everywhere."""


class PhraseTooLong(InputError):
    """More letters than are ever looked at."""


class BundleError(InputError):
    """A bundle that must not be used."""


class NotABundle(BundleError):
    """A file of another kind."""


class DamagedBundle(BundleError):
    """Cut short, or changed since it was built."""


class BundleTooNew(BundleError):
    """Of a format or a normaliser that this version does not know."""


class BundleExpired(BundleError):
    """Past its last day and the days of grace."""


class MissingExtra(LetheError):
    """An optional dependency is not installed; the message names the extra to install."""
