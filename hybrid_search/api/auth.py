"""API keys and their scopes: ``search`` reads, ``write`` changes products, ``metrics`` scrapes, ``admin`` does everything.

Without configured keys everything is open, which is allowed on loopback only (``require_safe_bind``). A key travels as
``Authorization: Bearer KEY`` or ``X-API-Key: KEY``; the search page keeps a token derived from it in a cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping

from flask import request

from hybrid_search.api.problems import Problem
from hybrid_search.errors import SettingsError
from hybrid_search.settings import Scope, Settings

COOKIE = "hybrid_search_page"
SHORTEST_KEY = 16


def require_safe_bind(settings: Settings) -> None:
    """Refuse to serve other machines without keys, or with keys that can be guessed. Raises ``SettingsError``."""
    for key in settings.api_keys:
        if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable():
            raise SettingsError(
                f"An API key is shorter than {SHORTEST_KEY} characters or not printable ASCII.",
                field="api_keys",
                remedy="Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'.",
            )
    if not settings.api_keys and not is_loopback(settings.host):
        raise SettingsError(
            f"host = {settings.host!r} can be reached from other machines, but no API keys are set.",
            field="api_keys",
            value=settings.host,
            remedy='Set HYBRID_SEARCH_API_KEYS=\'{"a-long-secret": ["search"]}\' or serve on 127.0.0.1.',
        )


def is_loopback(host: str) -> bool:
    """Whether ``host`` is an address that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_scope(keys: Mapping[str, tuple[Scope, ...]], scope: Scope) -> None:
    """Let the current request pass if its key has ``scope``. Raises ``Problem`` 401 (no or unknown key) or 403 (wrong scope)."""
    if not keys:
        return
    given = _given_key()
    scopes = _scopes_of(keys, given) if given else _scopes_of_cookie(keys)
    if scopes is None:
        raise Problem(
            401,
            "The API key is unknown." if given else f"This needs an API key with the scope {scope!r}.",
            field="Authorization",
            remedy="Send it as 'Authorization: Bearer KEY'.",
            headers={"WWW-Authenticate": 'Bearer realm="hybrid-search"'},
        )
    if scope not in scopes and "admin" not in scopes:
        raise Problem(
            403, f"This needs the scope {scope!r}; the key has {', '.join(scopes)}.", field="Authorization", remedy="Use another key."
        )


def page_token(key: str) -> str:
    """What the page's cookie holds instead of the key: worthless once the key is removed from the settings."""
    return hmac.new(key.encode(), b"hybrid-search page", hashlib.sha256).hexdigest()


def key_allows_search(keys: Mapping[str, tuple[Scope, ...]], key: str) -> bool:
    """Whether ``key`` may search."""
    scopes = _scopes_of(keys, key)
    return scopes is not None and bool({"search", "admin"} & set(scopes))


def _given_key() -> str:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key", "").strip()


def _scopes_of(keys: Mapping[str, tuple[Scope, ...]], given: str) -> tuple[Scope, ...] | None:
    """Compares with every key in constant time, so that the time taken tells nothing about any of them."""
    found: tuple[Scope, ...] | None = None
    for key, scopes in keys.items():
        if hmac.compare_digest(key.encode(), given.encode("utf-8", "replace")):
            found = scopes
    return found


def _scopes_of_cookie(keys: Mapping[str, tuple[Scope, ...]]) -> tuple[Scope, ...] | None:
    """A page's cookie stands for ``search`` alone, whatever else its key may do."""
    token = request.cookies.get(COOKIE, "")
    allowed = False
    for key, scopes in keys.items():
        same = hmac.compare_digest(page_token(key).encode(), token.encode("utf-8", "replace"))
        allowed = allowed or (same and bool({"search", "admin"} & set(scopes)))
    return ("search",) if allowed else None
