"""The ``hybrid-search`` command. Its modules import nothing heavy before a command runs, so that ``--help`` answers at once."""

from hybrid_search.cli.main import main

__all__ = ["main"]
