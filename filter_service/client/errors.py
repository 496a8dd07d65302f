"""What can go wrong in a verified download. Whatever it is, the file that was there stays as it is.

::

    filter.errors.InputError
    ├── ClientError
    │   ├── UnsafeUrl       an address, or a key for it, that must not be used
    │   ├── NoRoot          there is no root of trust, or none that can be used
    │   ├── ClockBehind     this machine's clock would hide that metadata has expired
    │   ├── NoRepository    the address has no repository for this audience, or no bundle in it
    │   ├── KeyRefused      the operators' repository does not accept the key, or there is none
    │   ├── NotReached      no answer, or only expired metadata, and no usable bundle is here
    │   ├── NotTrusted      what the server sent is not what the publisher signed
    │   │   └── OlderRelease   the publisher signed an older release than the one that is here
    │   └── RefusedBundle   a bundle that must not be used
    └── BundleError         of `filter.errors`: damaged, too new, expired
"""

from __future__ import annotations

from filter.errors import InputError


class ClientError(InputError):
    """Nothing was downloaded."""


class UnsafeUrl(ClientError):
    """An address, or a key for it, that must not be used."""


class NoRoot(ClientError):
    """There is no root of trust, or none that can be used."""


class ClockBehind(ClientError):
    """The clock of this machine would hide that metadata has expired."""


class NoRepository(ClientError):
    """The address has no repository for this audience, or no bundle in it."""


class KeyRefused(ClientError):
    """The operators' repository does not accept the key, or there is none."""


class NotReached(ClientError):
    """No answer, or only expired metadata, and no usable bundle is here."""


class NotTrusted(ClientError):
    """What the server sent is not what the publisher signed."""


class OlderRelease(NotTrusted):
    """The publisher signed an older release than the one that is here."""


class RefusedBundle(ClientError):
    """A bundle that must not be used."""
