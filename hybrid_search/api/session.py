"""The key form of the search page: where API keys are configured, a browser shows one that may search, and keeps a token of it."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from hybrid_search.api.auth import COOKIE, key_allows_search, page_token
from hybrid_search.api.context import services
from hybrid_search.api.operations import page
from hybrid_search.api.wording import negotiate

blueprint = Blueprint("session", __name__, url_prefix="/session")


@blueprint.get("")
@page(None)
def key_form() -> str:
    """Asks for the key."""
    return render_template("session.html", t=negotiate(request), wrong=False)


@blueprint.post("")
@page(None)
def take_key() -> Response:
    """Sets the cookie (``HttpOnly``, ``SameSite=Strict``) and goes to the page, or asks again."""
    key = request.form.get("key", "").strip()
    keys = services().settings.api_keys
    if keys and not key_allows_search(keys, key):
        return make_response(render_template("session.html", t=negotiate(request), wrong=True), 401)
    response = redirect(url_for("page.search_page"), 303)
    if keys:
        response.set_cookie(COOKIE, page_token(key), httponly=True, samesite="Strict", secure=request.is_secure, max_age=30 * 86_400)
    return response  # type: ignore[return-value]
