"""The list of embedding spaces: one document, changed by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hybrid_search.engines.cluster.layout import OWN
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.cluster.transport import ServerError
from hybrid_search.errors import ConflictError, NotFoundError
from hybrid_search.types import Part, Space

SPACES = "spaces"
"""Id of the document."""
_TRIES = 50


@dataclass(slots=True)
class SpaceList:
    """The document. ``used`` are fields that ever were: a space that is made again gets a new one and so starts empty."""

    fields: dict[str, Space]
    """Spaces by field, in order of creation."""
    used: list[str]
    dropping: list[str]
    """Fields whose entries and vectors are still to be taken out of products."""

    def field_of(self, key: str) -> str | None:
        """The field of a space key, ``None`` for an unknown one."""
        return next((field for field, space in self.fields.items() if space.key == key), None)


def read_spaces(server: Server) -> SpaceList:
    """The list as it is now."""
    return _parse(server.get(server.indices.meta, SPACES))


def add_space(server: Server, space: Space) -> None:
    """``Vectors.add_space``. No product is written: one that has the part and no entry in the new field is pending there as a backfill."""

    def add(held: SpaceList) -> bool:
        known = held.field_of(space.key)
        if known is not None:
            if held.fields[known] != space:
                raise ConflictError(
                    f"Space {space.key} exists and differs: {held.fields[known]}.",
                    field="space",
                    value=space.key,
                    remedy="Raise the version, or drop the old space first.",
                )
            return False
        field = _map_field(server, space, held)
        held.fields[field] = space
        held.used.append(field)
        return True

    if space.dim > server.dialect.max_dim:
        raise ConflictError(
            f"Space {space.key} has {space.dim} dimensions, {server.dialect.server} keeps at most {server.dialect.max_dim}.",
            field=space.key,
            value=space.dim,
            remedy="Use a model with fewer.",
        )
    _change(server, add)


def drop_space(server: Server, key: str) -> SpaceList:
    """Take a space out of the list; gives the list, whose ``dropping`` fields are to be cleaned up."""

    def drop(held: SpaceList) -> bool:
        field = held.field_of(key)
        if field is None:
            known = ", ".join(space.key for space in held.fields.values()) or "none"
            raise NotFoundError(f"There is no space {key!r}.", field="space", value=key, remedy=f"Existing spaces: {known}.")
        del held.fields[field]
        held.dropping.append(field)
        return True

    return _change(server, drop)


def forget_dropped(server: Server, fields: list[str]) -> None:
    """Say that these fields have been taken out of all products."""

    def forget(held: SpaceList) -> bool:
        left = [field for field in held.dropping if field not in fields]
        changed = left != held.dropping
        held.dropping = left
        return changed

    _change(server, forget)


def map_fields(server: Server) -> None:
    """Give the vector fields of all spaces to a products index that has none of them. Raises ``ServerError``."""
    for field, space in read_spaces(server).fields.items():
        _put_field(server, field, space)


def _put_field(server: Server, field: str, space: Space) -> None:
    body = server.dialect.vector_mapping(space.dim, space.part, server.codec)
    mapping = {"properties": {OWN: {"properties": {f"vec_{field}": body}}}}
    server.transport.request("PUT", f"/{server.indices.products}/_mapping", mapping)


def _map_field(server: Server, space: Space, held: SpaceList) -> str:
    """Add the vector field to the mapping; another name where one of another shape is in the way, left there by a dropped space."""
    ordinal = 1
    while True:
        field = space.key if ordinal == 1 else f"{space.key}_{ordinal}"
        ordinal += 1
        if field in held.used:
            continue
        try:
            _put_field(server, field, space)
        except ServerError as error:
            if error.status == 400 and ("vec_" in error.message and ("different" in error.message or "update parameter" in error.message)):
                continue
            raise
        return field


def _change(server: Server, change: Callable[[SpaceList], bool]) -> SpaceList:
    """Read, change, write if nobody else did meanwhile. ``change`` says whether there is anything to write."""
    meta = server.indices.meta
    for _ in range(_TRIES):
        stored = server.get(meta, SPACES)
        held = _parse(stored)
        if not change(held):
            return held
        params = {"require_alias": "true"}
        params |= {"op_type": "create"} if stored is None else _guard(stored)
        reply = server.transport.request("PUT", f"/{meta}/_doc/{SPACES}", _stored(held), params=params, ignore=(409,))
        if reply.ok:
            return held
    raise ConflictError("The list of spaces is being changed by others all the time.", field="spaces", remedy="Try again.")


def _guard(stored: Mapping[str, Any]) -> dict[str, str]:
    return {"if_seq_no": str(stored["_seq_no"]), "if_primary_term": str(stored["_primary_term"])}


def _stored(held: SpaceList) -> dict[str, Any]:
    records = [
        {
            "field": field,
            "name": space.name,
            "version": space.version,
            "dim": space.dim,
            "part": space.part,
            "model": space.model,
            "query_models": dict(space.query_models),
        }
        for field, space in held.fields.items()
    ]
    return {"spaces": records, "used": held.used, "dropping": held.dropping}


def _parse(stored: Mapping[str, Any] | None) -> SpaceList:
    if stored is None:
        return SpaceList({}, [], [])
    body = stored["_source"]
    return SpaceList({one["field"]: _space(one) for one in body["spaces"]}, list(body["used"]), list(body["dropping"]))


def _space(record: Mapping[str, Any]) -> Space:
    part: Part = record["part"]
    return Space(record["name"], record["version"], record["dim"], part, record["model"], record["query_models"])
