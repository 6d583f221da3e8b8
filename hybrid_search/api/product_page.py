"""The page of one product: its pictures, what is known of it, and what is like it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, make_response, render_template, request

from hybrid_search.api.cards import FIELDS, image_address, make_card, price_text
from hybrid_search.api.context import services
from hybrid_search.api.operations import page
from hybrid_search.api.page_state import PageState
from hybrid_search.api.products import unknown
from hybrid_search.api.wording import LANGUAGES, Wording, negotiate
from hybrid_search.errors import EngineError
from hybrid_search.product import CATEGORY_SEPARATOR, Product
from hybrid_search.query.pipeline import search
from hybrid_search.query.request import SearchRequest

blueprint = Blueprint("product_page", __name__)

SIMILAR = 6


@blueprint.get("/product/<path:product_id>")
@page("search")
def product_page(product_id: str) -> Response:
    """Everything a shopper may want to know."""
    t = negotiate(request)
    document = services().engine.fetch([product_id])[0]
    if document is None:
        raise unknown(product_id)
    product = Product.model_validate(document.body)
    levels = product.category
    html = render_template(
        "product.html",
        t=t,
        languages=LANGUAGES,
        state=PageState(),
        liked=None,
        here=request.path,
        product=product,
        price=price_text(product.price, product.currency),
        availability=t.known(f"availability.{product.availability}", ""),
        pictures=[image_address(product_id, document.body, 800, number) for number in range(min(len(product.images), 8))],
        crumbs=[(f" {CATEGORY_SEPARATOR} ".join(levels[: depth + 1]), level) for depth, level in enumerate(levels)],
        facts=_facts(product, t),
        cards=_similar(product_id, t),
    )
    response = make_response(html)
    response.headers["Content-Language"] = t.tag
    response.headers["Vary"] = "Accept-Language, Cookie"
    return response


def _facts(product: Product, t: Wording) -> list[tuple[str, str]]:
    known = [(t(f"facet.{name}"), str(getattr(product, name))) for name in ("color", "size", "material") if getattr(product, name)]
    return known + [(name.replace("_", " ").capitalize(), ", ".join(values)) for name, values in product.attributes.items()]


def _similar(product_id: str, t: Wording) -> list[Any]:
    """Cards of similar products; none while they cannot be found, for the product itself is what was asked for."""
    try:
        reply = search(SearchRequest(like=product_id, size=SIMILAR, explain=True, fields=FIELDS), services().search_parts)
    except EngineError:
        return []
    return [make_card(hit, t) for hit in reply.hits]
