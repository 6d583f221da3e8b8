"""What a guided reindex is going to do, and what it refuses before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hybrid_search.attach.copy_mark import mark_of
from hybrid_search.attach.source import SourceIndex, describe, index_path
from hybrid_search.engines.cluster.indices import greet
from hybrid_search.engines.cluster.reindexing import index_bytes, require_space
from hybrid_search.engines.cluster.transport import Transport
from hybrid_search.errors import ConflictError, EngineError, SettingsError

_SERVER_MADE = (
    "index.uuid",
    "index.creation_date",
    "index.provided_name",
    "index.version.",
    "index.history.",
    "index.blocks.",
    "index.resize.",
    "index.routing.allocation.initial_recovery.",
    "index.verified_before_close",
    "index.remote_store.",
)
"""Beginnings of settings that a server makes itself, or that would keep the copy from being written."""


@dataclass(frozen=True, slots=True)
class ReindexPlan:
    """What is going to be done. ``aliases`` move with their filters and routing; ``replace``: the old index goes, its name becomes an alias."""

    old: SourceIndex
    new: str
    settings: Mapping[str, Any]
    mapping: Mapping[str, Any]
    aliases: Mapping[str, Mapping[str, Any]]
    replace: bool
    bytes: int


def plan_reindex(transport: Transport, index: str, *, name: str = "", replace: bool = False) -> ReindexPlan:
    """Look at their index; nothing is written.

    Args:
        index: theirs, or an alias for it.
        name: of the new index, ``<old>-knn`` when left out.
        replace: where ``index`` is no alias: delete the old index and make its name an alias of the new one.

    Raises:
        EngineError: it is not needed, or this index cannot be copied whole; the message says why.
        ConflictError: the new index exists already.
        SettingsError: ``replace`` for an alias.
    """
    old = describe(transport, index)
    _require_copyable(old)
    if replace and old.asked != old.name:
        raise SettingsError(
            f"{index!r} is an alias: it is moved.", field="--replace", value=index, remedy="Leave --replace out: nothing need be deleted."
        )
    new = name or copy_name(old)
    if transport.request("HEAD", index_path(new), ignore=(404,)).ok:
        mark = mark_of(transport, new)
        if mark is not None and mark.uuid == old.uuid and not mark.finished:
            raise ConflictError(
                f"{new!r} is an unfinished copy of {old.name!r}: another attach reindex makes it, or was killed while it did.",
                field="--name",
                value=new,
                remedy="If none is running, say --restart: it removes this copy and begins anew. Or give another --name.",
            )
        raise ConflictError(
            f"There is an index or alias {new!r} already.",
            field="--name",
            value=new,
            remedy="Give another --name, or delete what is there.",
        )
    _require_no_alias_from_templates(transport, new)
    told = transport.request("GET", index_path(old.name)).body[old.name]
    if lost := told["mappings"].get("_source", {}).keys() & {"excludes", "includes"}:
        raise EngineError(
            f"The mapping of {old.name!r} keeps only a part of each document (_source.{min(lost)}): a copy would lose the rest.",
            field="index",
            value=old.name,
            remedy="Have the shop write its documents into a new index with index.knn.",
        )
    dialect = greet(transport, "opensearch")
    settings = {key: value for key, value in old.settings.items() if not key.startswith(_SERVER_MADE)} | dict(dialect.index_settings)
    needed = index_bytes(transport, old.name) * (1 + int(settings.get("index.number_of_replicas", 1)))
    require_space(transport, needed)
    return ReindexPlan(old, new, settings, told["mappings"], told["aliases"], replace, needed)


def copy_name(old: SourceIndex) -> str:
    """What a copy is called that nobody gave a name."""
    return f"{old.name}-knn"


def _require_copyable(old: SourceIndex) -> None:
    if old.product != "opensearch":
        raise EngineError(
            "Elasticsearch takes vectors in any index: no copy is needed.",
            field="index",
            value=old.asked,
            remedy="Run hybrid-search attach in-place.",
        )
    if old.knn:
        raise EngineError(
            f"index.knn of {old.name!r} is true already: no copy is needed.",
            field="index",
            value=old.asked,
            remedy="Run hybrid-search attach in-place.",
        )
    if old.vectors:
        raise EngineError(
            f"{old.name!r} has vector fields ({', '.join(old.vectors[:3])}) that are plain values there and would become graphs in the copy.",
            field="index",
            value=old.name,
            remedy="Make the new index by hand, with a method of engine lucene for these fields, and copy with _reindex.",
        )


def _require_no_alias_from_templates(transport: Transport, new: str) -> None:
    """A template that gives new indices an alias would let the unfinished copy answer searches."""
    told = transport.request("POST", f"/_index_template/_simulate_index/{quote(new, safe='')}", ignore=(400, 404))
    aliases = told.body.get("template", {}).get("aliases", {}) if told.ok else {}
    if aliases:
        raise EngineError(
            f"An index template of yours gives an index named {new!r} the alias {', '.join(sorted(aliases))}.",
            field="--name",
            value=new,
            remedy="Give a --name that no template's index_patterns match.",
        )
