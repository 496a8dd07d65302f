"""The front door: the ``lethe`` command. It composes the rooms and decides nothing itself."""

__version__ = "0.1.0"
