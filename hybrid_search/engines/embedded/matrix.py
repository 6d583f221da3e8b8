"""The vectors of one space in one generation: mapped rows, which of them count, and the nearest products of a query."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hybrid_search.engines.embedded.nearest import nearest
from hybrid_search.engines.embedded.vector_files import Rows, SpaceFiles, open_rows, read_dead
from hybrid_search.types import FloatVector


@dataclass(frozen=True, slots=True)
class Matrix:
    """One state of a space. ``alive (n,) bool``; ``distinct``: no product has two rows that count; ``full``: all rows count."""

    files: SpaceFiles
    rows: Rows
    alive: npt.NDArray[np.bool_]
    distinct: bool
    full: bool

    def search(
        self, query: FloatVector, k: int, mask: npt.NDArray[np.bool_] | None
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Products and cosines of at least the k nearest (ties of the k-th included) among those in ``mask`` (``None``: all)."""
        alive = None if self.full else self.alive
        if mask is not None:
            allowed = mask[self.rows.slots]
            alive = allowed if alive is None else alive & allowed
        rows, scores = nearest(self.rows, alive, query, k, distinct=self.distinct)
        slots = self.rows.slots[rows]
        if self.distinct:
            return slots, scores
        best_first = np.lexsort((-scores, slots))
        slots, scores = slots[best_first], scores[best_first]
        first = np.ones(len(slots), dtype=np.bool_)
        first[1:] = slots[1:] != slots[:-1]
        return slots[first], scores[first]


def next_matrix(folder: Path, files: SpaceFiles, before: Matrix | None) -> Matrix:
    """The state that a manifest names, from the state before (only dead rows that are new are read)."""
    if before is not None and before.files == files:
        return before
    rows = open_rows(folder, files)
    same = before is not None and before.files.name == files.name
    alive = np.ones(files.rows, dtype=np.bool_)
    seen = 0
    if before is not None and same:
        alive[: len(before.alive)] = before.alive
        seen = before.files.dead
    alive[read_dead(folder, files, seen)] = False
    living = rows.slots if not files.dead else rows.slots[alive]
    return Matrix(files, rows, alive, int(np.bincount(living, minlength=1).max()) <= 1, not files.dead)
