"""Encoding so that one bad item spoils no other, and remembering what towers computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL.Image import Image

from hybrid_search.engines.base import Vectors
from hybrid_search.errors import EncoderError
from hybrid_search.indexing.faults import Fault
from hybrid_search.telemetry.metrics import TOWER_OUTPUT_CACHE
from hybrid_search.types import FloatMatrix, FloatVector

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ImageTower:
    """Pictures to feature rows under a name: an image encoder, or a cheaper feature such as a colour histogram.

    ``encode`` gives ``(n, dim) float32``; ``min_side`` is the shortest side in pixels that it needs.
    """

    model: str
    encode: Callable[[Sequence[Image]], FloatMatrix]
    min_side: int


def encode_each(encode: Callable[[Sequence[T]], FloatMatrix], items: Sequence[T]) -> list[FloatVector | Fault]:
    """One row or fault per item. A call that raises is repeated in halves until the item at fault stands alone.

    A model that cannot be loaded (``EncoderError``) is the fault of all items at once.
    """
    if not items:
        return []
    try:
        rows = encode(items)
    except EncoderError as err:
        return [Fault("model", str(err), transient=True)] * len(items)
    except Exception as err:  # the one named place: whatever a third-party model raises at one item must not stop the others
        if len(items) == 1:
            return [Fault("encoder", f"{type(err).__name__}: {err}", transient=True)]
        middle = len(items) // 2
        return encode_each(encode, items[:middle]) + encode_each(encode, items[middle:])
    return [row if np.isfinite(row).all() else Fault("encoder", "The model gave numbers that are not finite.") for row in rows]


class Outputs:
    """What towers computed for the parts of one chunk, by model and content hash. Kept outputs are read once, new ones saved by ``save``."""

    def __init__(self, engine: Vectors) -> None:
        self._engine = engine
        self._known: dict[str, dict[str, FloatVector]] = {}
        self._fresh: dict[str, dict[str, FloatVector]] = {}

    def recall(self, model: str, hashes: Iterable[str]) -> None:
        """Read the kept outputs among ``hashes``."""
        known = self._known.setdefault(model, {})
        if asked := list(dict.fromkeys(h for h in hashes if h not in known)):
            kept = self._engine.tower_outputs(model, asked)
            known.update(kept)
            TOWER_OUTPUT_CACHE.labels("hit").inc(len(kept))
            TOWER_OUTPUT_CACHE.labels("miss").inc(len(asked) - len(kept))

    def get(self, model: str, content_hash: str) -> FloatVector | None:
        """``(dim,) float32`` as recalled or added, ``None`` where there is none."""
        return self._known.get(model, {}).get(content_hash)

    def add(self, model: str, content_hash: str, row: FloatVector) -> None:
        """A row that a tower has just computed."""
        self._known.setdefault(model, {})[content_hash] = row
        self._fresh.setdefault(model, {})[content_hash] = row

    def save(self) -> None:
        """Keep what was added since the last call."""
        for model, rows in self._fresh.items():
            self._engine.save_tower_outputs(model, rows)
        self._fresh = {}
