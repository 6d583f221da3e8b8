"""Exact k nearest rows by cosine, filter first.

float32 rows are multiplied as they are. float16 rows are sieved: the int8 codes give every row's cosine with a proven bound on the
error (Cauchy-Schwarz over what rounding took from the row and from the query), and only rows whose upper bound reaches the k-th best
lower bound are read and scored. The result is that of scoring every row; on 100,000 × 512 it takes a third of the time.
"""

from __future__ import annotations

import numkong
import numpy as np
import numpy.typing as npt

from hybrid_search.engines.embedded.vector_files import Codes, Rows, as_float32, quantise
from hybrid_search.types import FloatVector

_SLACK = 1e-5
"""Rounding of float32 sums, and of the stored rows' norms."""
NARROW = 0.05
"""Below this share of rows, gathering those that pass the filter beats running over all."""

Scores = npt.NDArray[np.float32]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


def nearest(rows: Rows, alive: Mask | None, query: FloatVector, k: int, *, distinct: bool) -> tuple[Index, Scores]:
    """Row numbers and cosines of a superset of the k best products' best rows, the worst of them included with all its ties.

    Args:
        alive: ``(n,) bool`` rows that count, ``None`` for all.
        query: ``(dim,)`` float32, L2-normalised.
        distinct: no product has two rows that count.
    """
    total = len(rows.slots) if alive is None else int(np.count_nonzero(alive))
    if total == 0 or k <= 0:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.float32)
    if alive is not None and total < NARROW * len(rows.slots):
        kept = np.flatnonzero(alive)
    else:
        upper, lower = _scan(rows.vectors, query) if rows.coded is None else _sieve(rows.coded, query)
        if alive is not None:
            lower[~alive] = upper[~alive] = -np.inf
        kept = np.flatnonzero(upper >= max(_kth(lower, rows.slots, k, distinct=distinct), -2.0))
    return kept, _cosines(rows.vectors[kept], query)


def _scan(vectors: npt.NDArray[np.float16] | npt.NDArray[np.float32], query: FloatVector) -> tuple[Scores, Scores]:
    """Upper and lower bounds of every row's cosine: the product, give or take its rounding."""
    scores = vectors @ query
    return scores, scores - np.float32(_SLACK)


def _sieve(coded: Codes, query: FloatVector) -> tuple[Scores, Scores]:
    """The same from codes. |x·q − x'·q'| ≤ |x − x'|·|q| + |x'|·|q − q'|, with |q| = 1 and |x'| ≤ 1 + |x − x'|."""
    short = quantise(query[None])
    near = np.asarray(numkong.cdist(short.codes, coded.codes, metric="dot"))[0].astype(np.float32)
    near *= coded.steps
    near *= short.steps[0]
    error = coded.lost * (1 + short.lost[0])
    error += short.lost[0] + np.float32(_SLACK)
    return near + error, near - error


def _kth(scores: Scores, slots: npt.NDArray[np.int32], k: int, *, distinct: bool) -> float:
    """The k-th best product's score, minus infinity for fewer products."""
    if not distinct:
        by_slot = np.full(int(slots.max()) + 1, -np.inf, dtype=np.float32)
        np.maximum.at(by_slot, slots, scores)
        scores = by_slot
    return float(np.partition(scores, len(scores) - k)[len(scores) - k]) if len(scores) > k else -np.inf


def _cosines(vectors: npt.NDArray[np.float16] | npt.NDArray[np.float32], query: FloatVector) -> Scores:
    """Cosines of rows; equal rows get equal scores wherever they stand, as ties by id need."""
    scores: Scores = np.einsum("nd,d->n", as_float32(vectors), query, optimize=False)
    return np.clip(scores, -1.0, 1.0)
