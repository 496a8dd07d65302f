"""What can go wrong in a gate, by whose fault it is.

::

    LetheError
    ├── FilterFailed              the filter lets its canaries through: nothing may be generated
    └── InputError
        ├── CheckpointError       a model that cannot be used
        │   ├── NotApertus        another architecture
        │   ├── NeedsFork         Apertus 1.5, which needs forks of transformers and vLLM
        │   └── NoTokenizer       none, or not a byte-level one
        ├── PromptTooLong         more tokens than the model's context holds
        ├── NamedPromptRefused    a listed phrase stands in the prompt, and the policy refuses those
        └── BundleError
            └── TestingBundle     a bundle with cheap hashes, which hides nobody
"""

from __future__ import annotations

from filter.errors import BundleError, InputError, LetheError


class FilterFailed(LetheError):
    """The filter lets its canaries through."""


class CheckpointError(InputError):
    """A model that cannot be used."""


class NotApertus(CheckpointError):
    """A model of another architecture."""


class NeedsFork(CheckpointError):
    """A checkpoint that the released libraries cannot run."""


class NoTokenizer(CheckpointError):
    """No tokenizer beside the weights, or one that is not byte-level."""


class PromptTooLong(InputError):
    """More tokens than the model's context holds."""


class NamedPromptRefused(InputError):
    """A listed phrase stands in the prompt."""


class TestingBundle(BundleError):
    """A bundle with cheap hashes."""

    __test__ = False
