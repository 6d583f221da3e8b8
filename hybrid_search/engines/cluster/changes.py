"""Changes of stored products: read, decide, write, each write conditional on what was read.

An update goes as one script with parameters: the same text always, so compiled once, and what it does not name (vectors) never travels.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hybrid_search.engines.cluster.sending import Action, ItemResult, send_bulk
from hybrid_search.engines.cluster.documents import document_id, storable
from hybrid_search.engines.cluster.entries import Change, Path
from hybrid_search.engines.cluster.server import MGET, Server
from hybrid_search.errors import EngineUnavailable

TRIES = 12
"""Times a product is read again because somebody else wrote it meanwhile; under that many writers of one product something is wrong."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0

_SCRIPT = """
for (def path : params.remove) {
  def at = ctx._source;
  for (int i = 0; i < path.size() - 1 && at != null; i++) { at = at.get(path.get(i)); }
  if (at != null) { at.remove(path.get(path.size() - 1)); }
}
for (def change : params.set) {
  def path = change.get(0);
  def at = ctx._source;
  for (int i = 0; i < path.size() - 1; i++) {
    if (at.get(path.get(i)) == null) { at.put(path.get(i), new HashMap()); }
    at = at.get(path.get(i));
  }
  at.put(path.get(path.size() - 1), change.get(1));
}
"""

Decide = Callable[[str, Mapping[str, Any] | None], Change | None]
"""From a product's id and what is stored of it (without vectors; ``None``: it does not exist) to what is to be done, ``None`` for nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one product; ``noop`` also where it does not exist and nothing was to be done."""

    result: Literal["created", "updated", "deleted", "noop", "error"]
    error: str | None = None


NOOP = Outcome("noop")
_RESULTS: Mapping[str, Literal["created", "updated", "deleted", "noop"]] = {
    "created": "created",
    "updated": "updated",
    "deleted": "deleted",
    "noop": "noop",
}


def rewrite(server: Server, ids: Iterable[str], decide: Decide) -> dict[str, Outcome]:
    """Read products, ask ``decide``, write; those that somebody else wrote meanwhile are read again and decided anew.

    Raises ``EngineUnavailable`` where the server cannot be reached or products stay contested.
    """
    outcomes = {id_: NOOP for id_ in ids}
    wanted = storable(outcomes)
    for start in range(0, len(wanted), MGET):
        left = wanted[start : start + MGET]
        for attempt in range(TRIES):
            left = _once(server, left, decide, outcomes)
            if not left:
                break
            pause = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
            time.sleep(random.uniform(pause / 2, pause))
        else:
            raise EngineUnavailable(
                f"Product {left[0]!r} was written by others {TRIES} times while it was to be changed.",
                value=left[0],
                remedy="Look for a process that rewrites it in a loop.",
            )
    return outcomes


def body_difference(old: Mapping[str, Any], new: Mapping[str, Any], above: Path = ()) -> Change:
    """The change from one object to the other, key by key; values are replaced whole."""
    put = {(*above, key): value for key, value in new.items() if key not in old or old[key] != value}
    return Change(put, [(*above, key) for key in old if key not in new])


def _once(server: Server, ids: list[str], decide: Decide, outcomes: dict[str, Outcome]) -> list[str]:
    """One round; gives the ids that are to be tried again."""
    products = server.indices.products
    stored = server.mget(products, map(document_id, ids))
    asked: list[str] = []
    actions: list[Action] = []
    for id_ in ids:
        found = stored.get(document_id(id_))
        change = decide(id_, None if found is None else found["_source"])
        if change is None:
            outcomes[id_] = NOOP
            continue
        asked.append(id_)
        actions.append(_action(products, document_id(id_), change, found))
    if not actions:
        return []
    again: list[str] = []
    for id_, result in zip(asked, send_bulk(server.transport, actions), strict=True):
        if result.status in (404, 409):
            again.append(id_)
        else:
            outcomes[id_] = _outcome(result)
    server.wrote(products)
    return again


def _action(index: str, id_: str, change: Change, found: Mapping[str, Any] | None) -> Action:
    if found is None:
        return Action("create", index, id_, body=change.create)
    guard = {"if_seq_no": found["_seq_no"], "if_primary_term": found["_primary_term"]}
    if change.delete:
        return Action("delete", index, id_, **guard)
    params = {"remove": list(change.remove), "set": list(change.set.items())}
    return Action("update", index, id_, body={"script": {"lang": "painless", "source": _SCRIPT, "params": params}}, **guard)


def _outcome(result: ItemResult) -> Outcome:
    if result.error is not None:
        return Outcome("error", result.error)
    return Outcome(_RESULTS[result.result])
