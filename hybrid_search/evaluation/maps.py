"""The map that puts pictures among words, fitted fairly: a product's picture is placed by a map that never saw the words of its group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_search.encoders.alignment import AlignmentMap, fit, pair_targets
from hybrid_search.encoders.base import TextEncoder
from hybrid_search.errors import EncoderError
from hybrid_search.product import Product
from hybrid_search.types import FloatMatrix

Projection = Callable[[FloatMatrix, Product], FloatMatrix]
"""Picture features ``(m, features)`` of one product to vectors ``(m, dim)`` of the text space."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Products with the features ``(n, features)`` of their first picture."""

    products: Sequence[Product]
    features: FloatMatrix


def own_projection(pairs: Pairs, text: TextEncoder, image_model: str) -> Projection | None:
    """Cross-fitted on the catalogue itself: five folds by MD5 of the group. ``None`` when it has too few pairs of picture and words."""
    fitted = _fitted(pairs, text, image_model)
    return None if fitted is None else lambda features, product: fitted.project_out_of_fold(features, [group_of(product)] * len(features))


def foreign_projection(pairs: Pairs, text: TextEncoder, image_model: str) -> Projection:
    """Fitted on another catalogue as a whole. Raises ``EncoderError`` when that has too few pairs."""
    fitted = _fitted(pairs, text, image_model)
    if fitted is None:
        raise EncoderError(
            f"The catalogue to fit on has {len(pairs.products)} products with a picture: too few of them have words too.",
            field="fit_on",
            value=len(pairs.products),
            remedy="Name a catalogue with pictures and titles.",
        )
    return lambda features, product: fitted.project(features)


def group_of(product: Product) -> str:
    """What keeps variants of one thing together: the group id, else the product's own."""
    return product.group_id or product.id


def _fitted(pairs: Pairs, text: TextEncoder, image_model: str) -> AlignmentMap | None:
    targets = pair_targets([product.body() for product in pairs.products], text)
    if not np.abs(targets).sum():
        return None
    try:
        return fit(pairs.features, targets, [group_of(p) for p in pairs.products], image_model=image_model, text_model=text.card.name)
    except EncoderError:  # too few pairs: the set does not allow words against pictures
        return None
