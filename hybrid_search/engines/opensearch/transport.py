"""Requests to OpenSearch through opensearch-py's own transport: its connection pool, TLS, sign-in and signing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import opensearchpy
import orjson
from opensearchpy.serializer import JSONSerializer

from hybrid_search.engines.cluster.reaching import Access, RetryingTransport, Unreached, quiet, trouble_of
from hybrid_search.engines.cluster.transport import Reply
from hybrid_search.errors import SettingsError


class _Orjson(JSONSerializer):
    """Request bodies are bytes already; replies are parsed three times as fast as by the default."""

    def dumps(self, data: Any) -> Any:
        return data

    def loads(self, s: str) -> Any:
        try:
            return orjson.loads(s)
        except orjson.JSONDecodeError as error:
            raise opensearchpy.SerializationError(s, error) from error


class OpenSearchTransport(RetryingTransport):
    """``Transport`` to OpenSearch.

    Args:
        access: where it is and how to sign in.

    Raises ``SettingsError`` where signing is asked for and boto3 or its credentials are missing.
    """

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        quiet("opensearch")
        options: dict[str, Any] = {}
        if access.sigv4_region:
            options["http_auth"] = _signer(access.sigv4_region)
        elif access.api_key:
            options["headers"] = {"authorization": f"ApiKey {access.api_key}"}
        elif access.user:
            options["http_auth"] = (access.user, access.password)
        if access.ca is not None:
            options["ca_certs"] = str(access.ca)
        hosts = [
            {"host": one.host, "port": one.port, "use_ssl": one.scheme == "https", "url_prefix": one.path}
            | ({"verify_certs": access.verify, "ssl_show_warn": False} if one.scheme == "https" else {})
            for one in access.addresses
        ]
        self._transport = opensearchpy.Transport(
            hosts, serializer=_Orjson(), max_retries=0, pool_maxsize=access.pool, http_compress=access.compress, **options
        )

    def _once(self, method: str, path: str, body: bytes | None, params: Mapping[str, str], timeout: float) -> Reply:
        try:
            found = self._transport.perform_request(method, path, params=dict(params), body=body, timeout=timeout)
        except opensearchpy.exceptions.ConnectionTimeout as error:
            raise Unreached("timeout", str(error.error)) from error
        except opensearchpy.exceptions.ConnectionError as error:
            raise Unreached(trouble_of(f"{error.error} {error.info!r}"), str(error.error)) from error
        except opensearchpy.exceptions.TransportError as error:
            return Reply(int(error.status_code), error.info)
        except opensearchpy.exceptions.SerializationError as error:
            raise Unreached("refused", f"its answer is not JSON: {error.args[0]!s:.80}") from error
        if isinstance(found, bool):  # HEAD
            return Reply(200 if found else 404)
        return Reply(200, found)

    def close(self) -> None:
        self._transport.close()


def _signer(region: str) -> Any:
    try:
        import boto3
    except ImportError:
        raise SettingsError(
            "Signed requests need boto3.", field="server_sigv4_region", value=region, remedy="Install it: pip install 'hybrid-search[aws]'."
        ) from None
    credentials = boto3.Session().get_credentials()
    if credentials is None:
        raise SettingsError(
            "There are no AWS credentials to sign requests with.",
            field="server_sigv4_region",
            value=region,
            remedy="Set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run under a role.",
        )
    return opensearchpy.Urllib3AWSV4SignerAuth(credentials, region)
