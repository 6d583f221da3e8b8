"""Encoders that remember: what a tower computed for a text or a picture once is read from the cache folder the next time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from PIL.Image import Image

from hybrid_search.encoders.base import ImageEncoder, ModelCard, TextEncoder
from hybrid_search.engines.base import Vectors
from hybrid_search.types import FloatMatrix, FloatVector

T = TypeVar("T")


class RememberingText:
    """``encoder`` with a memory; queries and documents are remembered apart."""

    def __init__(self, encoder: TextEncoder, memory: Vectors) -> None:
        self._encoder = encoder
        self._memory = memory

    @property
    def card(self) -> ModelCard:
        return self._encoder.card

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return recalled(texts, _text_hash, self._encoder.encode_queries, self._memory, model_key(self.card, "queries"), self.card.dim)

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        return recalled(texts, _text_hash, self._encoder.encode_documents, self._memory, model_key(self.card, "documents"), self.card.dim)


class RememberingImages:
    """``encoder`` with a memory, by the pixels of the decoded picture."""

    def __init__(self, encoder: ImageEncoder, memory: Vectors) -> None:
        self._encoder = encoder
        self._memory = memory

    @property
    def card(self) -> ModelCard:
        return self._encoder.card

    def encode_queries(self, images: Sequence[Image]) -> FloatMatrix:
        return recalled(images, _image_hash, self._encoder.encode_queries, self._memory, model_key(self.card, "queries"), self.card.dim)

    def encode_documents(self, images: Sequence[Image]) -> FloatMatrix:
        return recalled(images, _image_hash, self._encoder.encode_documents, self._memory, model_key(self.card, "documents"), self.card.dim)


def model_key(card: ModelCard, side: str) -> str:
    """What outputs are filed under: another revision of a model starts anew."""
    return f"{card.name}@{card.revision}/{side}"


def recalled(
    items: Sequence[T],
    content_hash: Callable[[T], str],
    encode: Callable[[Sequence[T]], FloatMatrix],
    memory: Vectors,
    model: str,
    dim: int,
) -> FloatMatrix:
    """``encode(items)`` ``(n, dim)``, computing only what ``memory`` lacks and keeping that."""
    hashes = [content_hash(item) for item in items]
    known: dict[str, FloatVector] = dict(memory.tower_outputs(model, list(dict.fromkeys(hashes))))
    lacking = {h: item for h, item in zip(hashes, items, strict=True) if h not in known}
    if lacking:
        fresh = dict(zip(lacking, encode(list(lacking.values())), strict=True))
        memory.save_tower_outputs(model, fresh)
        known |= fresh
    return np.stack([known[h] for h in hashes]).astype(np.float32) if hashes else np.zeros((0, dim), dtype=np.float32)


def _text_hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _image_hash(image: Image) -> str:
    return hashlib.blake2b(f"{image.mode}{image.size}".encode() + image.tobytes(), digest_size=16).hexdigest()
