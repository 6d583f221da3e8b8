"""What towers computed, by model and content hash, in a file of its own: it can be lost at no more than the cost of computing it again.

Stored as float32: refitting a map on rounded features would move its result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hybrid_search.engines.embedded.connection import Database
from hybrid_search.engines.embedded.rows import id_list
from hybrid_search.types import FloatVector

_STORED = np.dtype("<f4")


def save_tower_outputs(db: Database, model: str, outputs: Mapping[str, FloatVector]) -> None:
    """``Vectors.save_tower_outputs``."""
    rows = [(model, key, np.ascontiguousarray(vector, dtype=_STORED).tobytes()) for key, vector in outputs.items()]
    with db.write() as connection:
        connection.executemany(
            "INSERT INTO outputs VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET data = excluded.data WHERE data <> excluded.data", rows
        )


def tower_outputs(db: Database, model: str, hashes: Sequence[str]) -> dict[str, FloatVector]:
    """``Vectors.tower_outputs``."""
    with db.read() as connection:
        rows = connection.execute(
            "SELECT o.hash, o.data FROM json_each(?) AS w CROSS JOIN outputs AS o ON o.model = ? AND o.hash = w.value",
            (id_list(hashes), model),
        )
        return {key: np.frombuffer(stored, dtype=_STORED).astype(np.float32) for key, stored in rows}
