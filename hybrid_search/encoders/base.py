"""What an encoder is: a model card and two sides, queries and documents, because many models treat them differently.

Every matrix an encoder returns is ``(n, dim) float32``, rows L2-normalised, in the order of the input; ``n = 0`` gives ``(0, dim)``.
The result for one item does not depend on its neighbours in the batch. Construction is cheap: weights load at the first
encoding, once per process, so that an encoder can be made before a fork and used after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from PIL.Image import Image

from hybrid_search.types import FloatMatrix, Modality


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Facts about a model, stored beside every vector it makes.

    ``name`` identifies the weights and the preprocessing together: vectors of equal names may be mixed, others never.
    ``languages`` are BCP 47 tags, empty for image models; ``image_size`` is the shortest side in pixels that the preprocessing
    needs, so that a decoder may scale down to it (0 for text models).
    """

    name: str
    dim: int
    modality: Modality
    license: str
    revision: str
    languages: tuple[str, ...] = ()
    image_size: int = 0
    max_tokens: int = 0


@runtime_checkable
class TextEncoder(Protocol):
    """Words to vectors. Empty strings are allowed and give the model's vector of an empty text."""

    @property
    def card(self) -> ModelCard: ...

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Vectors of what shoppers type. Raises ``EncoderError`` when the weights cannot be loaded."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """Vectors of product texts; longer texts than the model reads are cut at its limit."""
        ...


@runtime_checkable
class ImageEncoder(Protocol):
    """Pictures to vectors. Images come decoded, upright and in mode ``RGB`` (``hybrid_search.catalog.images`` sees to it)."""

    @property
    def card(self) -> ModelCard: ...

    def encode_queries(self, images: Sequence[Image]) -> FloatMatrix:
        """Vectors of pictures that shoppers bring."""
        ...

    def encode_documents(self, images: Sequence[Image]) -> FloatMatrix:
        """Vectors of product pictures."""
        ...
