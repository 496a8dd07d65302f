"""What can go wrong when a release is published.

::

    filter.errors.InputError
    └── PublishingError
        ├── UnusableKey          a key file that cannot be read or must not be overwritten
        ├── TooFewSignatures     a threshold is not reached
        ├── UnusableProposal     what is to be signed is damaged, or was prepared for another state
        ├── UnusableRepository   the folder holds no repository, another one, or a damaged one
        └── RefusedTarget        a bundle that must not be published
"""

from __future__ import annotations

from filter.errors import InputError


class PublishingError(InputError):
    """Nothing was published."""


class UnusableKey(PublishingError):
    """A key file that cannot be read or must not be overwritten."""


class TooFewSignatures(PublishingError):
    """A threshold is not reached."""


class UnusableProposal(PublishingError):
    """What is to be signed is damaged, or was prepared for another state of the repository."""


class UnusableRepository(PublishingError):
    """The folder holds no repository, another one, or a damaged one."""


class RefusedTarget(PublishingError):
    """A bundle that must not be published."""
