"""The one versioned document that may change while everything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hybrid_search.engines.cluster.server import Server
from hybrid_search.errors import ConflictError

CONTROL = "control"
"""Id of the document."""


def read_control(server: Server) -> tuple[int, Mapping[str, Any]]:
    """``Control.read_control``."""
    version, body, _ = _read(server)
    return version, body


def write_control(server: Server, body: Mapping[str, Any], *, expected_version: int) -> int:
    """``Control.write_control``."""
    version, _, guard = _read(server)
    if version == expected_version:
        params = {"require_alias": "true", **guard}
        changed = {"version": version + 1, "body": dict(body)}
        path = f"/{server.indices.meta}/_doc/{CONTROL}"
        if server.transport.request("PUT", path, changed, params=params, ignore=(409,)).ok:
            return version + 1
        # a lost answer is asked for again by the transport: then the newer version that it met is this one
        version, stored, _ = _read(server)
        if version == expected_version + 1 and stored == changed["body"]:
            return version
    raise ConflictError(
        f"The control document is at version {version}, not {expected_version}.",
        field="version",
        value=expected_version,
        remedy="Read it again and repeat the change.",
    )


def _read(server: Server) -> tuple[int, Mapping[str, Any], dict[str, str]]:
    """Version, body, and the URL parameters that make a write conditional on them."""
    found = server.get(server.indices.meta, CONTROL)
    if found is None:
        return 0, {}, {"op_type": "create"}
    stored = found["_source"]
    return stored["version"], stored["body"], {"if_seq_no": str(found["_seq_no"]), "if_primary_term": str(found["_primary_term"])}
