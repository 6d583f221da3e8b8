"""Who computes a space's document vectors: a text tower, an image tower, or a fitted map over image features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hybrid_search.encoders.base import ImageEncoder, TextEncoder
from hybrid_search.errors import EncoderError
from hybrid_search.indexing.maps import MapShelf, is_map
from hybrid_search.indexing.towers import ImageTower
from hybrid_search.types import FloatMatrix, Space


class Towers(Protocol):
    """The encoders of this process by model name; both methods raise ``EncoderError`` for a model it does not have."""

    def text_encoder(self, model: str) -> TextEncoder: ...

    def image_encoder(self, model: str) -> ImageEncoder: ...


@dataclass(frozen=True, slots=True)
class ImageProducer:
    """``finish(rows, group)`` turns a tower's rows ``(m, features)`` of one product into its vectors ``(m, dim)``."""

    tower: ImageTower
    finish: Callable[[FloatMatrix, str], FloatMatrix]


class Producers:
    """The document side of every space that this process can fill."""

    def __init__(self, towers: Towers, maps: MapShelf) -> None:
        self._towers = towers
        self.maps = maps

    def text_encoder(self, space: Space) -> TextEncoder:
        """Raises ``EncoderError`` when this process does not have the space's model."""
        return self._towers.text_encoder(space.model)

    def tower_model(self, space: Space) -> str:
        """Under which name the tower outputs that fill ``space`` are kept. Raises ``EncoderError`` when its map cannot be read."""
        return self.maps.get(space.model).image_model if is_map(space.model) else space.model

    def image_producer(self, space: Space) -> ImageProducer:
        """Raises ``EncoderError`` when this process does not have the space's model, or its map cannot be read or fits another tower."""
        encoder = self._towers.image_encoder(self.tower_model(space))
        tower = ImageTower(encoder.card.name, encoder.encode_documents, encoder.card.image_size)
        if not is_map(space.model):
            return ImageProducer(tower, lambda rows, group: rows)
        alignment = self.maps.get(space.model)
        if (alignment.feature_dim, alignment.dim) != (encoder.card.dim, space.dim):
            raise EncoderError(
                f"The map {space.model!r} goes from {alignment.feature_dim} to {alignment.dim} numbers, "
                f"but {space.key} needs {encoder.card.dim} to {space.dim}.",
                field="space",
                value=space.key,
                remedy="Fit it again: hybrid-search align.",
            )
        # A map that never saw the product's own words: otherwise they would stand in for its picture.
        return ImageProducer(tower, lambda rows, group: alignment.project_out_of_fold(rows, [group] * len(rows)))
