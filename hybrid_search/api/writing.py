"""Products on their way from HTTP into the engine: validation, the rule for picture references, content hashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hybrid_search.api.problems import Problem
from hybrid_search.api.reading import validate
from hybrid_search.api.references import own_address, private_images
from hybrid_search.bootstrap import Services
from hybrid_search.engines.base import ProductWrite
from hybrid_search.indexing.parts import part_hashes
from hybrid_search.product import Product

REMOTE = ("http://", "https://", "data:")


def read_product(body: Any, parts: Services) -> Product:
    """A product as sent over HTTP. Raises ``Problem`` 422, also for a picture path outside the folders that the settings allow."""
    product = validate(Product, body)
    stored: tuple[str, ...] = ()
    if any(reference.startswith(own_address(product.id, 0)[:-1]) for reference in product.images):
        document = parts.engine.fetch([product.id])[0]
        stored = tuple(document.body.get("images", ())) if document else ()
        product = product.model_copy(update={"images": private_images(product.id, product.images, stored)})
    roots = parts.settings.image_roots
    for number, reference in enumerate(product.images):
        if not reference.lower().startswith(REMOTE) and reference not in stored and not _inside(reference, roots):
            raise Problem(
                422,
                "A picture path is not inside one of the folders that are allowed.",
                field=f"images.{number}",
                value=reference,
                remedy="Send an http(s) or data URL, or add the folder to image_roots.",
            )
    return product


def to_write(product: Product, parts: Services) -> ProductWrite:
    """The product with the content hashes of its parts."""
    return ProductWrite(product, part_hashes(product, parts.intake))


def _inside(reference: str, roots: tuple[Path, ...]) -> bool:
    try:
        return any((root / reference).resolve().is_relative_to(root.resolve()) for root in roots)
    except (OSError, ValueError, RuntimeError):  # a NUL, a name that is too long, a loop of links
        return False
