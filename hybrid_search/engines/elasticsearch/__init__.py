"""The engine on Elasticsearch. Its client is imported when an engine is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.opening import open_engine
from hybrid_search.engines.cluster.reaching import access
from hybrid_search.errors import SettingsError


def open_elasticsearch(
    urls: str,
    *,
    user: str = "",
    password: str = "",
    api_key: str = "",
    sigv4_region: str = "",
    ca: Path | None = None,
    verify: bool = True,
    timeout: float = 30.0,
    pool: int = 16,
    compress: bool = False,
    **options: Any,
) -> ClusterEngine:
    """An engine on the Elasticsearch at ``urls`` (several nodes separated by commas).

    Args:
        user, password, api_key: one way to sign in, or none.
        sigv4_region: refused when set; requests are signed for OpenSearch only.
        ca, verify: how the server's certificate is checked.
        timeout: seconds for one request, retries included.
        pool: connections kept open per node.
        compress: whether requests are gzipped.
        options: those of ``cluster.opening.open_engine``.

    Raises what ``open_engine`` does, and ``SettingsError`` for an address that is none, or where the client is not installed.
    """
    reached = access(
        "elasticsearch", urls, user=user, password=password, api_key=api_key, sigv4_region=sigv4_region,
        ca=ca, verify=verify, timeout=timeout, pool=pool, compress=compress,
    )  # fmt: skip
    try:
        from hybrid_search.engines.elasticsearch.transport import ElasticsearchTransport
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"The engine elasticsearch needs a package that is not installed ({error.name}).",
            field="engine",
            value="elasticsearch",
            remedy="Install it, of the server's major version: pip install 'hybrid-search[elasticsearch]'.",
        ) from None
    return open_engine(ElasticsearchTransport(reached), "elasticsearch", **options)
