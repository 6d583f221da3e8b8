"""The list of embedding spaces, and the ledger rows that come and go with them."""

from __future__ import annotations

from dataclasses import asdict

from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.rows import PRIORITIES, dumps, next_seq, read_spaces
from hybrid_search.errors import ConflictError, NotFoundError
from hybrid_search.types import Priority, Space, State


def spaces(db: Database) -> tuple[Space, ...]:
    """``Vectors.spaces``."""
    with db.read() as connection:
        return read_spaces(connection)


def add_space(db: Database, space: Space, *, now: float) -> None:
    """``Vectors.add_space``: its products are a backfill."""
    with db.write() as connection:
        existing = {known.key: known for known in read_spaces(connection)}.get(space.key)
        if existing is not None:
            if existing != space:
                raise ConflictError(
                    f"Space {space.key} exists and differs: {existing}.",
                    field="space",
                    value=space.key,
                    remedy="Raise the version, or drop the old space first.",
                )
            return
        seq = next_seq(connection)
        body = asdict(space) | {"query_models": dict(space.query_models)}
        connection.execute("INSERT INTO spaces VALUES (?, ?, ?)", (space.key, seq, dumps(body)))
        part = f"$.{space.part}"
        connection.execute(
            "INSERT INTO ledger (slot, space, state, model, parts, updated, priority, chunk)"
            " SELECT p.slot, ?, ?, ?, json_extract(p.parts, ?), ?, ?, (SELECT m.chunk FROM members AS m WHERE m.slot = p.slot)"
            " FROM products AS p WHERE NOT p.deleted AND json_extract(p.parts, ?) IS NOT NULL",
            (space.key, State.PENDING, space.model, part, now, PRIORITIES.index(Priority.BACKFILL), part),
        )


def drop_space(db: Database, key: str) -> None:
    """``Vectors.drop_space``."""
    with db.write() as connection:
        known = [space.key for space in read_spaces(connection)]
        if key not in known:
            raise NotFoundError(
                f"There is no space {key!r}.", field="space", value=key, remedy=f"Existing spaces: {', '.join(known) or 'none'}."
            )
        next_seq(connection)
        connection.execute("DELETE FROM ledger WHERE space = ?", (key,))
        connection.execute("DELETE FROM vectors WHERE space = ?", (key,))
        connection.execute("DELETE FROM spaces WHERE key = ?", (key,))
        connection.execute("DELETE FROM counts WHERE space = ?", (key,))
