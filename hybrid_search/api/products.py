"""``/v1/products``: put, read and delete one product, and find similar ones."""

from __future__ import annotations

from flask import Blueprint, Response, request

from hybrid_search.api.context import json_response, services
from hybrid_search.api.models import EmbeddingReply, ProductReply, SimilarQuery, WriteQuery, WriteReply
from hybrid_search.api.operations import operation
from hybrid_search.api.problems import Problem
from hybrid_search.api.reading import parse_json, read_query, require_type
from hybrid_search.api.references import public_body, public_reply
from hybrid_search.api.writing import read_product, to_write
from hybrid_search.errors import NotFoundError
from hybrid_search.product import Product
from hybrid_search.query.pipeline import search
from hybrid_search.query.reply import SearchReply
from hybrid_search.query.request import SearchRequest
from hybrid_search.types import WriteResult

blueprint = Blueprint("products", __name__, url_prefix="/v1/products")


@blueprint.put("/<path:product_id>")
@operation(
    "write",
    "Create or replace a product",
    "products",
    bodies={"application/json": Product},
    query=WriteQuery,
    replies={200: WriteReply, 201: WriteReply},
    problems=(400, 409, 413, 415, 422),
)
def put_product(product_id: str) -> Response:
    """It can be found by words at once; vectors follow when the workers have embedded it.

    An equal product is a `noop`; only parts that changed are embedded again. `id` may be left out of the body.
    """
    query = read_query(WriteQuery)
    require_type("application/json")
    body = parse_json(request.get_data(cache=False))
    if isinstance(body, dict):
        body.setdefault("id", product_id)
        if body["id"] != product_id:
            raise Problem(422, "The id in the body is not the one in the address.", field="id", value=body["id"], remedy="Leave it out.")
    parts = services()
    write = to_write(read_product(body, parts), parts)
    result = _only(parts.engine.put([write], refresh=query.refresh == "wait"))
    if result.result != "noop":
        parts.request_feed()
    created = result.result == "created"
    location = {"Location": request.path} if created else {}
    return json_response(WriteReply.model_validate({"id": result.id, "result": result.result}), 201 if created else 200, **location)


@blueprint.get("/<path:product_id>")
@operation("search", "Read a product", "products", replies={200: ProductReply}, problems=(404,))
def get_product(product_id: str) -> Response:
    """The product as stored, and where it stands in each embedding space. Reads acknowledged writes at once."""
    document = services().engine.fetch([product_id])[0]
    if document is None:
        raise unknown(product_id)
    embedding = {
        key: EmbeddingReply(state=e.state, model=e.model, attempts=e.attempts, error=e.error, updated=e.updated)
        for key, e in document.ledger.items()
    }
    return json_response(
        ProductReply(id=document.id, product=public_body(document.id, document.body), embedding=embedding, seq=document.seq)
    )


@blueprint.delete("/<path:product_id>")
@operation("write", "Remove a product", "products", query=WriteQuery, replies={200: WriteReply}, problems=(404, 409, 422))
def delete_product(product_id: str) -> Response:
    """Its vectors and embedding states go with it."""
    query = read_query(WriteQuery)
    result = _only(services().engine.delete([product_id], refresh=query.refresh == "wait"))
    if result.result == "missing":
        raise unknown(product_id)
    return json_response(WriteReply(id=product_id, result="deleted"))


@blueprint.get("/<path:product_id>/similar")
@operation("search", "Find similar products", "search", query=SimilarQuery, replies={200: SearchReply}, problems=(404, 422))
def similar_products(product_id: str) -> Response:
    """More like this one, by its words and its pictures, without itself."""
    query = read_query(SimilarQuery)
    wanted = SearchRequest(like=product_id, size=query.size, next=query.next or None, explain=query.explain)
    return json_response(public_reply(search(wanted, services().search_parts)))


def unknown(product_id: str) -> NotFoundError:
    """The error of a product that is not there."""
    return NotFoundError(f"There is no product {product_id!r}.", field="id", value=product_id, remedy="Check the id.")


def _only(results: list[WriteResult]) -> WriteResult:
    result = results[0]
    if result.result == "error":
        raise Problem(422, result.error or "The engine refused the product.", field="product", value=result.id)
    return result
