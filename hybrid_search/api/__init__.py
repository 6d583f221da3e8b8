"""The web edge: a Flask application over the services that ``hybrid_search.bootstrap`` joins. Views are thin."""

from __future__ import annotations

from hybrid_search.api.app import create_app

__all__ = ["create_app"]
