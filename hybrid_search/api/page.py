"""The search page: rendered here, whole or in parts; the browser's script only swaps the parts."""

from __future__ import annotations

import base64
from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from hybrid_search.api.auth import require_scope
from hybrid_search.api.cards import FIELDS, image_address, make_card, price_text
from hybrid_search.api.context import services
from hybrid_search.api.facets import active_filters, facet_requests, make_groups
from hybrid_search.api.operations import page
from hybrid_search.api.page_state import CHOICES, RATINGS, SORTS, PageState, read_state
from hybrid_search.api.pictures import picture_path
from hybrid_search.api.problems import Problem, from_error
from hybrid_search.api.wording import COOKIE, LANGUAGES, Wording, negotiate
from hybrid_search.errors import HybridSearchError
from hybrid_search.query.pipeline import search
from hybrid_search.query.reply import FacetReply, SearchReply
from hybrid_search.query.request import SearchRequest

blueprint = Blueprint("page", __name__)

PAGE_SIZE = 24
PART_HEADER = "X-Page-Part"
"""The browser's script asks with it for ``results`` (filters and grid) or ``cards`` (further cards) instead of the whole page."""


@blueprint.get("/")
@page(None)
def search_page() -> Response:
    """The page for what the address asks."""
    t = negotiate(request)
    try:
        require_scope(services().settings.api_keys, "search")
    except Problem:
        return redirect(url_for("session.key_form"), 303)  # type: ignore[return-value]
    state = read_state(request.args, max_query_chars=services().settings.max_query_chars)
    part = request.headers.get(PART_HEADER, "")
    shown = _show(state, t)
    status = 200 if "problem" not in shown else shown["problem"].status
    html = render_template("results.html" if part == "results" else "page.html", **shown)
    return _reply(html, t, status)


@blueprint.post("/more")
@page("search")
def more() -> Response:
    """The following cards of a list. A POST because its cursor is longer than addresses may be."""
    t = negotiate(request)
    state = read_state(request.args, max_query_chars=services().settings.max_query_chars)
    cursor = request.form.get("next", "")
    if not cursor:
        raise Problem(422, "There is no cursor in the form.", field="next", remedy="Search again from the first page.")
    reply = search(SearchRequest(next=cursor, size=PAGE_SIZE, explain=True, fields=FIELDS), services().search_parts)
    template = "cards.html" if request.headers.get(PART_HEADER) == "cards" else "more.html"
    return _reply(render_template(template, **_context(state, t), **_listed(reply, t)), t)


def _show(state: PageState, t: Wording) -> dict[str, Any]:
    """Everything the templates need; a search that fails becomes a message in the page."""
    context = _context(state, t)
    try:
        gone = bool(state.picture) and picture_path(state.picture) is None
        reply = search(_request(state, with_picture=not gone), services().search_parts)
        facets = {facet.field: facet for facet in reply.facets} | _facets_of_chosen(state, with_picture=not gone)
    except HybridSearchError as err:
        problem = from_error(err)
        return context | {"problem": problem, "cards": (), "groups": [], "reply": None, "active": active_filters(state, "", t)}
    currency = next((str(hit.product["currency"]) for hit in reply.hits if hit.product.get("currency")), "")
    return (
        context
        | _listed(reply, t)
        | {
            "picture_gone": gone,
            "groups": make_groups(facets, state, t),
            "active": active_filters(state, currency, t),
            "currency": price_text(0, currency).strip("0., ") if currency else "",
        }
    )


def _context(state: PageState, t: Wording) -> dict[str, Any]:
    return {
        "t": t,
        "state": state,
        "languages": LANGUAGES,
        "sorts": SORTS,
        "ratings": RATINGS,
        "liked": _liked(state),
        "here": state.address(),
    }


def _listed(reply: SearchReply, t: Wording) -> dict[str, Any]:
    return {
        "reply": reply,
        "cards": [make_card(hit, t) for hit in reply.hits],
        "shown": reply.hits[-1].rank if reply.hits else 0,
        "degraded": [t.known(f"leg.{line.partition(':')[0]}", line.partition(":")[0]) for line in reply.degraded],
    }


def _request(state: PageState, *, with_picture: bool, leaving_out: str = "") -> SearchRequest:
    path = picture_path(state.picture) if with_picture and state.picture else None
    images = [{"base64": base64.b64encode(path.read_bytes()).decode()}] if path else []
    sort = [] if state.sort == "relevance" else [{"field": state.sort.removeprefix("-"), "descending": state.sort.startswith("-")}]
    uncountable = services().engine.uncountable
    counted = (leaving_out,) if leaving_out else tuple(name for name in ("category", *CHOICES) if name not in uncountable)
    return SearchRequest.model_validate(
        {
            "q": state.q,
            "images": images,
            "like": state.like or None,
            "filters": state.filters(leaving_out=leaving_out),
            "facets": facet_requests(counted),
            "sort": [] if leaving_out else sort,
            "size": 1 if leaving_out else PAGE_SIZE,
            "explain": not leaving_out,
            "fields": ["title"] if leaving_out else FIELDS,
        }
    )


def _facets_of_chosen(state: PageState, *, with_picture: bool) -> dict[str, FacetReply]:
    """A field that is filtered is counted without its own filter, so that a second value of it can be chosen."""
    chosen = [name for name in ("category", *CHOICES) if getattr(state, name)]
    counted: dict[str, FacetReply] = {}
    for name in chosen:
        reply = search(_request(state, with_picture=with_picture, leaving_out=name), services().search_parts)
        counted |= {facet.field: facet for facet in reply.facets}
    return counted


def _liked(state: PageState) -> dict[str, str] | None:
    """Title and picture of the product that others shall be similar to."""
    if not state.like:
        return None
    document = services().engine.fetch([state.like])[0]
    if document is None:
        return {"title": state.like, "image": ""}
    return {"title": str(document.body.get("title") or state.like), "image": image_address(state.like, document.body, 100)}


def _reply(html: str, t: Wording, status: int = 200) -> Response:
    response = make_response(html, status)
    response.headers["Content-Language"] = t.tag
    response.headers["Vary"] = f"Accept-Language, Cookie, {PART_HEADER}"
    if request.args.get("lang") in LANGUAGES:
        response.set_cookie(COOKIE, t.language, max_age=365 * 86_400, samesite="Lax", httponly=True)
    return response
