"""Picture references as the API tells them: the server's paths and long data URLs stay inside, their place is taken by our own addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from hybrid_search.query.reply import SearchReply

LINKED = ("http://", "https://")


def own_address(product_id: str, number: int) -> str:
    """Where picture ``number`` (from 0) of a product can be had, scaled down."""
    return f"/v1/products/{quote(product_id, safe='')}/images/{number}"


def public_body(product_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A product body in which every picture is an address that a browser can open."""
    references = body.get("images")
    if not references:
        return dict(body)
    return {**body, "images": [r if r.lower().startswith(LINKED) else own_address(product_id, n) for n, r in enumerate(references)]}


def public_reply(reply: SearchReply) -> SearchReply:
    """``reply`` with public bodies."""
    hits = tuple(hit.model_copy(update={"product": public_body(hit.id, hit.product)}) for hit in reply.hits)
    return reply.model_copy(update={"hits": hits})


def private_images(product_id: str, given: Sequence[str], stored: Sequence[str]) -> tuple[str, ...]:
    """The reverse for a product that is written back as it was read: our own addresses become what is stored under them."""
    known = {own_address(product_id, number): reference for number, reference in enumerate(stored)}
    return tuple(known.get(reference, reference) for reference in given)
