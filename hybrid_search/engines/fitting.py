"""Whether vectors fit the space that they are written to; the same question on every engine."""

from __future__ import annotations

import numpy as np

from hybrid_search.errors import ConflictError
from hybrid_search.types import Space, VectorWrite


def require_fit(write: VectorWrite, space: Space | None) -> None:
    """``space`` is None where it was dropped meanwhile, which is no error: the write will find no entry.

    Raises ``ConflictError`` for another dimension, several vectors for a space of texts, NaN and infinity.
    """
    vectors = write.vectors
    if space is not None and (vectors.ndim != 2 or vectors.shape[1] != space.dim):
        raise ConflictError(
            f"Vectors of {write.product_id!r} have shape {vectors.shape}, space {space.key} takes (m, {space.dim}).",
            field=space.key,
            value=vectors.shape,
            remedy="Make a new space for a model of another dimension.",
        )
    if space is not None and space.part == "text" and len(vectors) > 1:
        raise ConflictError(
            f"There are {len(vectors)} vectors of {write.product_id!r} for space {space.key}, which takes one per product.",
            field=space.key,
            value=vectors.shape,
            remedy="Pool them into one; only a space of pictures takes several.",
        )
    if not np.isfinite(vectors).all():
        raise ConflictError(
            f"A vector of {write.product_id!r} for space {write.space} holds NaN or infinity.",
            field=write.space,
            remedy="Check the model and its precision.",
        )
