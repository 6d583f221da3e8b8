"""The one versioned document that may change while everything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.rows import dumps
from hybrid_search.errors import ConflictError


def read_control(db: Database) -> tuple[int, Mapping[str, Any]]:
    """``Control.read_control``."""
    with db.read() as connection:
        version, body = connection.execute("SELECT version, body FROM control").fetchone()
    return version, orjson.loads(body)


def write_control(db: Database, body: Mapping[str, Any], *, expected_version: int) -> int:
    """``Control.write_control``."""
    with db.write() as connection:
        version = int(connection.execute("SELECT version FROM control").fetchone()[0])
        if version != expected_version:
            raise ConflictError(
                f"The control document is at version {version}, not {expected_version}.",
                field="version",
                value=expected_version,
                remedy="Read it again and repeat the change.",
            )
        connection.execute("UPDATE control SET version = ?, body = ?", (version + 1, dumps(dict(body))))
        return version + 1
