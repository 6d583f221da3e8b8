"""Pictures of products: small ones are made from paths and data URLs and kept; http(s) pictures are linked."""

from __future__ import annotations

import hashlib

from flask import Blueprint, Response, redirect, request

from hybrid_search.api.context import services
from hybrid_search.api.models import ImageQuery
from hybrid_search.api.operations import operation
from hybrid_search.api.problems import Problem
from hybrid_search.api.products import unknown
from hybrid_search.api.reading import read_query
from hybrid_search.api.thumbnails import Thumbnails

blueprint = Blueprint("images", __name__, url_prefix="/v1/products")

SIDES = (100, 200, 400, 800, 1_200, 2_000)
"""Sizes that are made, so that a caller cannot fill the disk with hundreds of others."""


@blueprint.get("/<path:product_id>/images/<int:number>")
@operation("search", "A product's picture, scaled down", "products", query=ImageQuery, replies={200: "image/webp"}, problems=(404, 422))
def product_image(product_id: str, number: int) -> Response:
    """WEBP of at most `side` pixels, from 0 in the product's order. A picture that lies at an http(s) address is a redirect to it."""
    query = read_query(ImageQuery)
    document = services().engine.fetch([product_id])[0]
    if document is None:
        raise unknown(product_id)
    references = document.body.get("images", ())
    if number >= len(references):
        raise Problem(404, f"Product {product_id!r} has {len(references)} pictures.", field="number", value=number, remedy="Count from 0.")
    reference = str(references[number])
    if reference.lower().startswith(("http://", "https://")):
        return redirect(reference, 302)  # type: ignore[return-value]
    side = next((known for known in SIDES if known >= query.side), SIDES[-1])
    parts = services()
    content = Thumbnails(parts.settings.home / "thumbnails", parts.intake).get(reference, side)
    response = Response(content, content_type="image/webp")
    response.set_etag(hashlib.blake2b(content, digest_size=12).hexdigest())
    response.headers["Cache-Control"] = "private, max-age=3600" if parts.settings.api_keys else "public, max-age=3600"
    return response.make_conditional(request)  # type: ignore[return-value]
