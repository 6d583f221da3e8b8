"""Reaching the server of a foreign index: its own sign-in where the attach file names one, that of the settings otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from hybrid_search.attach.config import SourceTable
from hybrid_search.attach.source import Product, identify
from hybrid_search.engines.cluster.reaching import access
from hybrid_search.engines.cluster.transport import Transport
from hybrid_search.engines.opensearch.transport import OpenSearchTransport
from hybrid_search.errors import EngineError, SettingsError
from hybrid_search.settings import Settings

_SETTINGS_SIGN_IN = "server_user and server_password, server_api_key or server_sigv4_region of the settings"
_OWN_SIGN_IN = "source.user and source.password_file, or source.api_key_file"


def open_source(settings: Settings, source: SourceTable) -> Transport:
    """A transport to the server that ``source`` names. Raises ``SettingsError`` for a file that cannot be read."""
    password, api_key = _secret(source.password_file, "password_file"), _secret(source.api_key_file, "api_key_file")
    own = bool(source.user or api_key)
    return _transport(
        settings,
        source.engine,
        source.url,
        user=source.user if own else settings.server_user,
        password=password if own else settings.server_password.get_secret_value(),
        api_key=api_key if own else settings.server_api_key.get_secret_value(),
        url_key="source.url (of the attach file)",
        sign_in_keys=_OWN_SIGN_IN if own else f"{_SETTINGS_SIGN_IN}, or name a sign-in of this server in the attach file ({_OWN_SIGN_IN})",
    )


def open_own(settings: Settings) -> Transport:
    """A transport to the server of our own engine. Raises ``SettingsError`` when the settings name none."""
    product: Product = "elasticsearch" if settings.engine == "elasticsearch" else "opensearch"
    return _transport(
        settings,
        product,
        settings.elasticsearch_url if product == "elasticsearch" else settings.opensearch_url,
        user=settings.server_user,
        password=settings.server_password.get_secret_value(),
        api_key=settings.server_api_key.get_secret_value(),
    )


def find_product(settings: Settings, url: str, expected: Product | None = None) -> tuple[Transport, Product]:
    """A transport of the product that answers at ``url``, which may hold user and password.

    Raises ``EngineError`` when it is not ``expected``, ``EngineUnavailable`` when nothing answers.
    """
    sign_in: dict[str, Any] = {
        "url_key": "--url",
        "sign_in_keys": f"{_SETTINGS_SIGN_IN}, or give user and password within --url",
        "user": settings.server_user,
        "password": settings.server_password.get_secret_value(),
        "api_key": settings.server_api_key.get_secret_value(),
    }
    transport = _transport(settings, "opensearch", url, **sign_in)  # its client talks to both products
    try:
        product, version = identify(transport)
        if expected is not None and product != expected:
            raise EngineError(
                f"The server at {transport.url} is {product} {version}, not {expected}.",
                field="engine",
                value=expected,
                remedy=f"Use --engine {product}.",
            )
    except BaseException:
        transport.close()
        raise
    if product == "opensearch":
        return transport, product
    transport.close()
    return _transport(settings, product, url, **sign_in), product


def without_secrets(url: str) -> str:
    """``url`` without user and password: what may be written into a file."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _transport(settings: Settings, product: Product, url: str, *, user: str, password: str, api_key: str, **named: str) -> Transport:
    reached = access(
        product,
        url,
        user=user,
        password=password,
        api_key=api_key,
        sigv4_region=settings.server_sigv4_region,
        ca=settings.server_ca,
        verify=settings.server_verify,
        timeout=settings.server_timeout,
        pool=2,
        compress=settings.server_compress,
        **named,
    )
    if product == "opensearch":
        return OpenSearchTransport(reached)
    from hybrid_search.engines.elasticsearch.transport import ElasticsearchTransport  # late: its client is an extra

    return ElasticsearchTransport(reached)


def _secret(path: Path | None, key: str) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as err:
        raise SettingsError(
            f"source.{key} {path} cannot be read: {err.strerror}.",
            field=f"source.{key}",
            value=str(path),
            remedy="Name a file that holds it.",
        ) from err
