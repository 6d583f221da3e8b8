"""A shop's index copied into one that can hold vectors, for OpenSearch, where ``index.knn`` cannot be switched on later.

The copy has their settings and mapping. While it is made their writers go on (``index_copy``). For the last pass their index refuses
writes, so that no write is lost unseen; then both are compared, and all aliases of the old index move in one request. The old index
stays, and stays closed to writes, as a way back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hybrid_search.attach.copy_mark import mark_of, marked
from hybrid_search.attach.index_copy import NOT_PROCESSED, IndexCopy, Progress, mapping_of
from hybrid_search.attach.reindex_plan import ReindexPlan, copy_name
from hybrid_search.attach.source import Source, describe, index_path
from hybrid_search.engines.cluster.copying import count, end_copies
from hybrid_search.engines.cluster.indices import EXISTS
from hybrid_search.engines.cluster.transport import ServerError, Transport
from hybrid_search.errors import ConflictError, EngineError

SAMPLE = 500
"""Documents that are compared whole at the end."""
_COPIES_WITHIN = 600.0
"""Seconds for the copies of the new index's shards; without them it goes on, the cluster is yellow for longer."""
_BLOCKS = 3
"""Times that writes are blocked until the server says that none is under way."""
_UNSEARCHED: Mapping[str, Any] = {
    "index.number_of_replicas": 0,
    "index.auto_expand_replicas": "false",
    "index.refresh_interval": "-1",
}
"""Settings of the copy until it is about to be searched."""


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


def run_reindex(transport: Transport, plan: ReindexPlan, progress: Progress = lambda done, total: None) -> Reindexed:
    """Copy and move. Whatever ends it early, an interrupt included: the new index is removed and the old one takes writes as before.

    Raises:
        ConflictError: the alias was moved elsewhere meanwhile.
        EngineError: a document cannot be copied, or the copy is not equal in the end.
        EngineUnavailable: the server cannot be reached.
    """
    try:
        _make(transport, plan)
        copy = IndexCopy(transport, plan.old, plan.new)
        _fill(transport, plan, copy, progress)
        begun = time.monotonic()
        _block(transport, plan)
        documents, compared = _finish(transport, plan, copy)
        actions, moving = _actions(transport, plan)
    except BaseException as err:
        if not (isinstance(err, ServerError) and err.reason == EXISTS):  # somebody else's
            _undo(transport, plan)
        raise
    try:
        if actions:
            _point(transport, plan.new, actions, moving)
        else:
            _unblock(transport, plan)
    except BaseException:
        if not _moved(transport, plan):
            _undo(transport, plan)
        raise
    blocked = time.monotonic() - begun
    return Reindexed(plan.old.name, plan.new, documents, copy.passes, copy.removed, compared, tuple(sorted(moving)), blocked)


def go_back(transport: Transport, index: str, old: str) -> None:
    """Let the alias ``index``, and those that moved with it, stand for ``old`` again. What was written since is not in it.

    Raises:
        NotFoundError: there is no index ``old``.
        ConflictError: ``index`` is no alias, stands for ``old`` already, or for no copy of ``old`` that we made.
    """
    current = describe(transport, index)
    if current.name in (index, old):
        state = f"stands for {old!r} already" if current.name == old else "is an index of its own"
        raise ConflictError(f"{index!r} {state}.", field="--back", value=old, remedy="There is nothing to move.")
    kept, mark = describe(transport, old), mark_of(transport, current.name)
    if mark is None or (mark.of, mark.uuid) != (kept.name, kept.uuid):
        told = "no copy that attach reindex made" if mark is None else f"a copy of {mark.of!r} (uuid {mark.uuid})"
        raise ConflictError(
            f"{index!r} stands for {current.name!r}, which is {told}, not of {old!r} as it is now: nothing was moved.",
            field="--back",
            value=old,
            remedy=f"Name {mark.of!r}." if mark and mark.of != kept.name else "Move the alias by hand (POST /_aliases) if that is meant.",
        )
    aliases = _aliases_of(transport, current.name)
    transport.request("PUT", f"{index_path(old)}/_settings", {"index.blocks.write": None})
    _point(transport, old, _moves(current.name, old, aliases), list(aliases))


def discard_unfinished(transport: Transport, index: str, name: str = "") -> bool:
    """Remove what a reindex that was killed left of a copy of ``index``, as it would have been called; whether there was something.

    Raises ``ConflictError`` where what has that name is no unfinished copy of ours.
    """
    old = describe(transport, index)
    new = name or copy_name(old)
    if not transport.request("HEAD", index_path(new), ignore=(404,)).ok:
        return False
    mark = mark_of(transport, new)
    if mark is None or mark.finished or mark.uuid != old.uuid:
        raise ConflictError(
            f"{new!r} is no unfinished copy of {old.name!r}.",
            field="--restart",
            value=new,
            remedy="Give another --name, or delete it yourself.",
        )
    end_copies(transport, new)  # it would make the index anew
    transport.request("DELETE", index_path(new), ignore=(404,))
    return True


def _make(transport: Transport, plan: ReindexPlan) -> None:
    path = index_path(plan.new)
    mapping = marked(plan.mapping, plan.old)
    transport.request("PUT", path, {"settings": {**plan.settings, **_UNSEARCHED, **NOT_PROCESSED}, "mappings": mapping})
    told = transport.request("GET", path).body[plan.new]
    if told["mappings"] != mapping or told["aliases"]:
        raise EngineError(
            f"A template of yours adds to the mapping or the aliases of an index named {plan.new!r}: it would not be a copy.",
            field="--name",
            value=plan.new,
            remedy="Give a --name that no template's index_patterns match.",
        )


def _fill(transport: Transport, plan: ReindexPlan, copy: IndexCopy, progress: Progress) -> None:
    """All that can be done while the old index is written."""
    copy.catch_up(progress)
    _put_back(transport, plan, _UNSEARCHED)
    _wait_for_copies(transport, plan.new)
    copy.remove_deleted()
    copy.catch_up()  # what was written while the shards were set up and ids read


def _finish(transport: Transport, plan: ReindexPlan, copy: IndexCopy) -> tuple[int, int]:
    """The last pass; returns the number of documents, and of those that were compared whole."""
    copy.copy_changes()
    copy.remove_last_deleted()
    compared = _compare(transport, plan)
    _put_back(transport, plan, NOT_PROCESSED)
    theirs = mapping_of(transport, plan.new).get("_meta", {})
    transport.request("PUT", f"{index_path(plan.new)}/_mapping", marked({"_meta": theirs}, plan.old, finished=True))
    return compared


def _put_back(transport: Transport, plan: ReindexPlan, changed: Mapping[str, Any]) -> None:
    """Give the copy their values of settings that were others until now."""
    transport.request("PUT", f"{index_path(plan.new)}/_settings", {key: plan.settings.get(key) for key in changed})


def _compare(transport: Transport, plan: ReindexPlan) -> tuple[int, int]:
    """Number of documents, and of those that were compared whole. Raises ``EngineError`` where the copy is not equal."""
    old, new = plan.old.name, plan.new
    if mapping_of(transport, old) != mapping_of(transport, new):
        raise EngineError(f"The mapping of {old!r} changed, and its copy {new!r} has another.", field="index", remedy="Run it again.")
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
        if not transport.request("GET", f"/_cluster/health{index_path(index)}").body["initializing_shards"]:
            return
        time.sleep(0.5)


def _aliases_of(transport: Transport, index: str) -> Mapping[str, Mapping[str, Any]]:
    aliases: Mapping[str, Mapping[str, Any]] = transport.request("GET", f"{index_path(index)}/_alias").body[index]["aliases"]
    return aliases


def _actions(transport: Transport, plan: ReindexPlan) -> tuple[list[dict[str, Any]], list[str]]:
    """What moves, as it is now, and the names that stand for the copy then; none where an index that is no alias is not replaced.

    Raises ``ConflictError`` where the alias that was asked for is no longer on the old index.
    """
    old, new = plan.old.name, plan.new
    if plan.old.asked == old and not plan.replace:
        return [], []
    aliases = _aliases_of(transport, old)
    if plan.replace:
        added = {old: {}, **aliases}
        return [*(_add(new, alias, given) for alias, given in added.items()), {"remove_index": {"index": old}}], list(added)
    if plan.old.asked not in aliases:
        raise ConflictError(
            f"The alias {plan.old.asked!r} does not stand for {old!r} any more.",
            field="source.index",
            value=plan.old.asked,
            remedy="Run it again: it begins with the index that the alias stands for now.",
        )
    return _moves(old, new, aliases), list(aliases)


def _moves(old: str, new: str, aliases: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    removed = [{"remove": {"index": old, "alias": alias}} for alias in aliases]
    return [*removed, *(_add(new, alias, given) for alias, given in aliases.items())]


def _point(transport: Transport, new: str, actions: Sequence[Mapping[str, Any]], aliases: Sequence[str]) -> None:
    """Move all ``aliases`` to ``new`` in one request."""
    try:
        transport.request("POST", "/_aliases", {"actions": actions})
    except ServerError:  # refused the second time, where the answer to the first was lost
        names = ",".join(quote(alias, safe="") for alias in aliases)
        if not transport.request("HEAD", f"{index_path(new)}/_alias/{names}", ignore=(404,)).ok:
            raise


def _moved(transport: Transport, plan: ReindexPlan) -> bool:
    """Whether the new index is in use already."""
    reply = transport.request("GET", f"{index_path(plan.new)}/_alias", ignore=(404,))
    return reply.ok and any(entry["aliases"] for entry in reply.body.values())


def _add(index: str, alias: str, given: Mapping[str, Any]) -> dict[str, Any]:
    return {"add": {"index": index, "alias": alias, **given}}


def _block(transport: Transport, plan: ReindexPlan) -> None:
    """Refuse writes. The server answers when the last write that was under way has ended; the bare setting would not wait for it.

    An index that refuses them already it does not wait for: so does its answer to a request that was sent twice, its first answer lost.

    Raises ``EngineError`` where it does not say that none is under way.
    """
    for _ in range(_BLOCKS):
        told = transport.request("PUT", f"{index_path(plan.old.name)}/_block/write").body
        closed_by_them = _closed_by_them(plan) and not told["indices"]
        if told["acknowledged"] and (told["shards_acknowledged"] or closed_by_them):
            return
        _unblock(transport, plan)
    raise EngineError(
        f"The server does not say that no write of {plan.old.name!r} is under way.",
        field="index",
        value=plan.old.name,
        remedy="Wait until its health is at least yellow, then run it again.",
    )


def _closed_by_them(plan: ReindexPlan) -> bool:
    return str(plan.old.settings.get("index.blocks.write", "false")).lower() == "true"


def _unblock(transport: Transport, plan: ReindexPlan) -> None:
    """Let the old index take writes as it did before."""
    before = plan.old.settings.get("index.blocks.write")
    transport.request("PUT", f"{index_path(plan.old.name)}/_settings", {"index.blocks.write": before}, ignore=(404,))


def _undo(transport: Transport, plan: ReindexPlan) -> None:
    """Each step is tried, whatever becomes of the one before."""
    try:
        _unblock(transport, plan)
    finally:
        try:
            end_copies(transport, plan.new)  # it would make the index anew
        finally:
            transport.request("DELETE", index_path(plan.new), ignore=(404,))
