"""The embedded engine: SQLite is the truth, search structures are derived from it on disk. Nothing beside pip packages is needed."""

from __future__ import annotations

from hybrid_search.engines.embedded.engine import EmbeddedEngine

__all__ = ["EmbeddedEngine"]
