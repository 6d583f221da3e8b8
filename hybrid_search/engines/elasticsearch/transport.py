"""Requests to Elasticsearch through elasticsearch-py: its connection pool, TLS and sign-in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import elastic_transport
import elasticsearch
from elasticsearch.serializer import OrjsonSerializer

from hybrid_search.engines.cluster.reaching import Access, RetryingTransport, Unreached, quiet, trouble_of
from hybrid_search.engines.cluster.transport import Reply


class ElasticsearchTransport(RetryingTransport):
    """``Transport`` to Elasticsearch. The client's major version is to be the server's.

    Args:
        access: where it is and how to sign in.
    """

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        quiet("elastic_transport.node_pool", "elastic_transport.transport", "elastic_transport.node", "elasticsearch")
        options: dict[str, Any] = {}
        if access.api_key:
            options["api_key"] = access.api_key
        elif access.user:
            options["basic_auth"] = (access.user, access.password)
        if any(one.scheme == "https" for one in access.addresses):
            options |= {"verify_certs": access.verify, "ssl_show_warn": False}
            if access.ca is not None:
                options["ca_certs"] = str(access.ca)
        self._client = elasticsearch.Elasticsearch(
            [one.url for one in access.addresses],
            serializer=OrjsonSerializer(),
            connections_per_node=access.pool,
            http_compress=access.compress,
            max_retries=0,
            **options,
        )

    def _once(self, method: str, path: str, body: bytes | None, params: Mapping[str, str], timeout: float) -> Reply:
        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/x-ndjson" if path.endswith(("/_bulk", "/_msearch")) else "application/json"
        try:
            found = self._client.options(request_timeout=timeout).perform_request(method, path, params=params, headers=headers, body=body)
        except elasticsearch.ApiError as error:  # also the other product's greeting, which the client refuses by itself
            after = error.meta.headers.get("retry-after") or ""
            return Reply(error.meta.status, error.body, float(after) if after.isdecimal() else None)
        except elastic_transport.ConnectionTimeout as error:
            raise Unreached("timeout", error.message) from error
        except elastic_transport.TransportError as error:
            raise Unreached(trouble_of(f"{error.message} {error.errors!r}"), error.message) from error
        return Reply(found.meta.status, found.body)

    def close(self) -> None:
        self._client.close()
