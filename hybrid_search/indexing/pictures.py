"""A few pictures: loaded, then encoded in one batch; whatever cannot be loaded or encoded is a fault of its own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from PIL.Image import Image

from hybrid_search.errors import ImageError
from hybrid_search.indexing.faults import Fault, image_fault
from hybrid_search.indexing.towers import ImageTower, encode_each
from hybrid_search.types import FloatVector

IMAGE_BATCH = 16
"""Decoded pictures held at once."""

DOWNLOADS = 8
"""Pictures fetched at the same time; paths are read one after the other, because decoding is the work there."""


class ImageSource(Protocol):
    """The part of ``ImageIntake`` that this module needs."""

    def load(self, reference: str, *, min_side: int = 0) -> Image: ...


def encode_pictures(references: Sequence[str], tower: ImageTower, source: ImageSource) -> list[FloatVector | Fault]:
    """One feature row ``(features,) float32`` or fault per reference."""
    loaded = _load(references, tower.min_side, source)
    rows = iter(encode_each(tower.encode, [image for image in loaded if not isinstance(image, Fault)]))
    return [image if isinstance(image, Fault) else next(rows) for image in loaded]


def _load(references: Sequence[str], side: int, source: ImageSource) -> list[Image | Fault]:
    def load(reference: str) -> Image | Fault:
        try:
            return source.load(reference, min_side=side)
        except ImageError as err:
            return image_fault(err)

    if sum(reference[:4].lower() == "http" for reference in references) < 2:
        return [load(reference) for reference in references]
    with ThreadPoolExecutor(DOWNLOADS, thread_name_prefix="picture") as pool:
        return list(pool.map(load, references))
