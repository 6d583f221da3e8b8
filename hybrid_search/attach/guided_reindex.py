"""A shop's index copied into one that can hold vectors, for OpenSearch, where ``index.knn`` cannot be switched on later.

The copy has their settings and mapping. While it is made their writers go on; what changed meanwhile is copied again in passes that get
shorter, found by the server's own sequence numbers. For the last pass their index refuses writes, so that no write is lost unseen; then
both are compared, and all aliases of the old index move in one request. The old index stays, and stays closed to writes, as a way back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hybrid_search.attach.source import Source, SourceIndex, describe
from hybrid_search.engines.cluster.copying import count, end_copies, last_change, run_copy
from hybrid_search.engines.cluster.indices import EXISTS, greet
from hybrid_search.engines.cluster.reindexing import PASSES, SMALL, index_bytes, require_space
from hybrid_search.engines.cluster.transport import ServerError, Transport
from hybrid_search.errors import ConflictError, EngineError, SettingsError

SAMPLE = 500
"""Documents that are compared whole at the end."""
_IDS = 1_000
"""Ids per request that removes documents."""
_COPIES_WITHIN = 600.0
"""Seconds for the copies of the new index's shards; without them it goes on, the cluster is yellow for longer."""
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
_WHILE_COPYING: Mapping[str, Any] = {
    "index.number_of_replicas": 0,
    "index.auto_expand_replicas": "false",
    "index.refresh_interval": "-1",
    "index.default_pipeline": "_none",  # their documents went through it already
    "index.final_pipeline": "_none",
}

Progress = Callable[[int, int], None]
"""Called with (documents copied, documents in all)."""


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


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What was done. ``moved`` are the aliases that stand for ``new`` now; ``compared`` documents were equal in both, word by word."""

    old: str
    new: str
    documents: int
    passes: int
    removed: int
    compared: int
    moved: tuple[str, ...]
    blocked_seconds: float


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
    new = name or f"{old.name}-knn"
    if transport.request("HEAD", _path(new), ignore=(404,)).ok:
        raise ConflictError(
            f"There is an index or alias {new!r} already.",
            field="--name",
            value=new,
            remedy="Give another --name, or delete what is there.",
        )
    _require_no_alias_from_templates(transport, new)
    told = transport.request("GET", _path(old.name)).body[old.name]
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


def run_reindex(transport: Transport, plan: ReindexPlan, progress: Progress = lambda done, total: None) -> Reindexed:
    """Copy and move. Whatever ends it early, an interrupt included: the new index is removed and the old one takes writes as before.

    Raises:
        EngineError: a document cannot be copied, or the copy is not equal in the end.
        EngineUnavailable: the server cannot be reached.
    """
    new = plan.new
    try:
        body = {"settings": {**plan.settings, **_WHILE_COPYING}, "mappings": plan.mapping}
        transport.request("PUT", _path(new), body)
        done = _copy(transport, plan, progress)
    except BaseException as err:
        somebody_elses = isinstance(err, ServerError) and err.reason == EXISTS
        if not somebody_elses and not _moved(transport, plan):
            _unblock(transport, plan)
            end_copies(transport, new)  # it would make the index anew
            transport.request("DELETE", _path(new), ignore=(404,))
        raise
    if not done.moved:
        _unblock(transport, plan)
    return done


def go_back(transport: Transport, index: str, old: str) -> None:
    """Let the alias ``index``, and those that moved with it, stand for ``old`` again. What was written since is not in it.

    Raises:
        NotFoundError: there is no index ``old``.
        ConflictError: ``index`` is no alias, or stands for ``old`` already.
    """
    current = describe(transport, index)
    if current.name in (index, old):
        state = f"stands for {old!r} already" if current.name == old else "is an index of its own"
        raise ConflictError(f"{index!r} {state}.", field="--back", value=old, remedy="There is nothing to move.")
    describe(transport, old)
    aliases = transport.request("GET", f"{_path(current.name)}/_alias").body[current.name]["aliases"]
    transport.request("PUT", f"{_path(old)}/_settings", {"index.blocks.write": None})
    _move(transport, current.name, old, aliases)


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


def _copy(transport: Transport, plan: ReindexPlan, progress: Progress) -> Reindexed:
    old, new = plan.old.name, plan.new
    told = transport.request("GET", _path(new)).body[new]
    if told["mappings"] != plan.mapping or told["aliases"]:
        raise EngineError(
            f"A template of yours adds to the mapping or the aliases of an index named {new!r}: it would not be a copy.",
            field="--name",
            value=new,
            remedy="Give a --name that no template's index_patterns match.",
        )
    reached, passes = -1, 0
    while True:
        upto = last_change(transport, old)
        if passes and (upto - reached <= SMALL or passes >= PASSES):
            break
        _copy_changes(transport, plan, reached, progress)
        reached, passes = upto, passes + 1
    removed = _remove_deleted(transport, plan)
    theirs = {key: plan.settings.get(key) for key in _WHILE_COPYING}
    transport.request("PUT", f"{_path(new)}/_settings", theirs)
    _wait_for_copies(transport, new)
    begun = time.monotonic()
    transport.request("PUT", f"{_path(old)}/_block/write")  # unlike the setting, it waits for writes under way
    _copy_changes(transport, plan, reached, lambda done, total: None)
    removed += _remove_deleted(transport, plan)
    documents, compared = _compare(transport, plan)
    moved: tuple[str, ...] = ()
    if plan.replace:
        added = {old: {}, **plan.aliases}
        actions = [_add(new, alias, given) for alias, given in added.items()]
        transport.request("POST", "/_aliases", {"actions": [*actions, {"remove_index": {"index": old}}]})
        moved = tuple(sorted(added))
    elif plan.old.asked != old:
        _move(transport, old, new, plan.aliases)
        moved = tuple(sorted(plan.aliases))
    return Reindexed(old, new, documents, passes + 1, removed, compared, moved, time.monotonic() - begun)


def _copy_changes(transport: Transport, plan: ReindexPlan, after: int, progress: Progress) -> None:
    """Copy what changed after a sequence number.

    Versions travel along at first, for shops that give their own; later a document may have been deleted and made anew with a lower one.
    """
    old, new, total = plan.old.name, plan.new, plan.old.documents
    body = {
        "source": {"index": old, "query": {"range": {"_seq_no": {"gt": after}}}},
        "dest": {"index": new, "pipeline": "_none", "version_type": "external" if after < 0 else "internal"},
    }

    def on_poll(_: Mapping[str, Any]) -> None:
        # a task in slices tells only of those that are done
        stats = transport.request("GET", f"{_path(new)}/_stats/indexing").body["_all"]["primaries"]["indexing"]
        progress(min(int(stats["index_total"]), total), total)

    run_copy(transport, body, params={"slices": "auto"}, remedy="Correct or delete that document, then run it again.", on_poll=on_poll)


def _remove_deleted(transport: Transport, plan: ReindexPlan) -> int:
    """Remove from the copy what is no longer in the old index; equal counts need no look at the ids."""
    old, new = plan.old.name, plan.new
    transport.request("POST", f"{_path(old)}/_refresh")
    transport.request("POST", f"{_path(new)}/_refresh")
    if count(transport, old) == count(transport, new):
        return 0
    there = {document.id for page in Source(transport, plan.old).read(fields=[], page=5_000) for document in page}
    copy = Source(transport, describe(transport, new))
    gone = [document.id for page in copy.read(fields=[], page=5_000) for document in page if document.id not in there]
    for start in range(0, len(gone), _IDS):
        query = {"query": {"ids": {"values": gone[start : start + _IDS]}}}
        transport.request("POST", f"{_path(new)}/_delete_by_query", query, params={"conflicts": "proceed", "refresh": "true"})
    return len(gone)


def _compare(transport: Transport, plan: ReindexPlan) -> tuple[int, int]:
    """Number of documents, and of those that were compared whole. Raises ``EngineError`` where the copy is not equal."""
    old, new = plan.old.name, plan.new
    documents, copied = count(transport, old), count(transport, new)
    if documents != copied:
        raise EngineError(f"The copy {new!r} has {copied} documents, {old!r} has {documents}.", field="index", remedy="Run it again.")
    sample = Source(transport, plan.old).sample(SAMPLE)
    copies = {one.id: one.source for one in Source(transport, describe(transport, new)).by_ids([one.id for one in sample])}
    for one in sample:
        if copies.get(one.id) != one.source:
            raise EngineError(
                f"The document {one.id!r} is not the same in the copy {new!r}.", field="index", value=one.id, remedy="Run it again."
            )
    return documents, len(sample)


def _wait_for_copies(transport: Transport, index: str) -> None:
    """Until no shard is being set up; one that has no node to go to is not waited for."""
    deadline = time.monotonic() + _COPIES_WITHIN
    while time.monotonic() < deadline:
        if not transport.request("GET", f"/_cluster/health{_path(index)}").body["initializing_shards"]:
            return
        time.sleep(0.5)


def _move(transport: Transport, old: str, new: str, aliases: Mapping[str, Mapping[str, Any]]) -> None:
    """All ``aliases`` from one index to the other in one request."""
    actions = [{"remove": {"index": old, "alias": alias}} for alias in aliases]
    actions += [_add(new, alias, given) for alias, given in aliases.items()]
    try:
        transport.request("POST", "/_aliases", {"actions": actions})
    except ServerError:  # refused the second time, where the answer to the first was lost
        if not transport.request("HEAD", f"{_path(new)}/_alias/{','.join(map(_quoted, aliases))}", ignore=(404,)).ok:
            raise


def _moved(transport: Transport, plan: ReindexPlan) -> bool:
    """Whether the new index is in use already."""
    reply = transport.request("GET", f"{_path(plan.new)}/_alias", ignore=(404,))
    return reply.ok and any(entry["aliases"] for entry in reply.body.values())


def _add(index: str, alias: str, given: Mapping[str, Any]) -> dict[str, Any]:
    return {"add": {"index": index, "alias": alias, **given}}


def _unblock(transport: Transport, plan: ReindexPlan) -> None:
    """Let the old index take writes as it did before."""
    before = plan.old.settings.get("index.blocks.write")
    transport.request("PUT", f"{_path(plan.old.name)}/_settings", {"index.blocks.write": before}, ignore=(404,))


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _path(index: str) -> str:
    return f"/{_quoted(index)}"
