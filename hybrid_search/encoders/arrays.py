"""Matrices as encoders return them: float32 rows of length one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hybrid_search.types import FloatMatrix

T = TypeVar("T")


def normalised(rows: npt.NDArray[np.floating[Any]]) -> FloatMatrix:
    """``rows`` ``(n, dim)`` as float32 with L2 norm 1; a row of zeros stays zero, because it has no direction."""
    wide = np.asarray(rows, dtype=np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.where(norms > 0, norms, 1.0), dtype=np.float32)


def batches(count: int, size: int) -> Iterator[slice]:
    """Slices of at most ``size`` that cover ``range(count)``."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def by_length(items: Sequence[T], length: Callable[[T], int], budget: int) -> Iterator[list[int]]:
    """Positions of ``items`` in groups of similar length, shortest first, so that little of a padded batch is padding.

    A group holds at most ``budget`` units when padded to its longest item; a longer item makes a group of its own.
    """
    order = sorted(range(len(items)), key=lambda i: length(items[i]))
    group: list[int] = []
    for i in order:
        if group and length(items[i]) * (len(group) + 1) > budget:
            yield group
            group = []
        group.append(i)
    if group:
        yield group
