"""The content hashes of a product's parts: what decides whether something is embedded again."""

from __future__ import annotations

import hashlib
from typing import Protocol

from hybrid_search.encoders.passage import passage
from hybrid_search.errors import ImageError
from hybrid_search.product import Product
from hybrid_search.types import Part


class ImageHashes(Protocol):
    """The part of ``ImageIntake`` that this module needs."""

    def content_hash(self, reference: str) -> str: ...


def part_hashes(product: Product, intake: ImageHashes) -> dict[Part, tuple[str, ...]]:
    """``{"text": (h,)}`` and ``{"image": (h1, h2, …)}`` with one hash per image in their order; a part the product does not have is left out.

    An image that cannot be read has the hash of its reference, so that the ledger keeps its place and the worker records the reason.
    """
    hashes: dict[Part, tuple[str, ...]] = {}
    if words := passage(product.body()):
        hashes["text"] = (text_hash(words),)
    if product.images:
        hashes["image"] = tuple(_image_hash(reference, intake) for reference in product.images)
    return hashes


def text_hash(words: str) -> str:
    """32 hex digits, BLAKE2b of the UTF-8 bytes."""
    return hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _image_hash(reference: str, intake: ImageHashes) -> str:
    try:
        return intake.content_hash(reference)
    except ImageError:
        return text_hash(f"unreadable:{reference}")
