"""The built-in demo catalogue, drawn by the project itself."""

from __future__ import annotations

from hybrid_search.demo.catalogue.write import write_demo_catalogue

__all__ = ["write_demo_catalogue"]
