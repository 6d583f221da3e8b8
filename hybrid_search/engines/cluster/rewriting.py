"""Stored products changed by compare-and-set: read, decide, write, each write conditional on what was read.

An update goes as one script with parameters: the same text always, so compiled once, and what it does not name never travels. Vectors
are therefore removed without being read. A write that reached the server although its reply was lost is harmless: the next try reads
what it left and decides anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tenacity import RetryCallState, RetryError, Retrying, retry_if_result, wait_random_exponential

from hybrid_search.engines.cluster.bulk import Action, ItemResult, send_bulk
from hybrid_search.engines.cluster.documents import document_id, storable
from hybrid_search.engines.cluster.entries import Change
from hybrid_search.engines.cluster.server import MGET, Sequenced, Server
from hybrid_search.engines.cluster.transport import ServerError
from hybrid_search.errors import EngineUnavailable

ROUNDS = 16
"""Times a product is read again because somebody else wrote it meanwhile; beyond that something is wrong."""
MOST_BLOCKED = 60.0
"""Seconds for which a write waits while the index takes none: the last step of a reindex of a large catalogue."""
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 1.0
"""Seconds between the rounds: drawn at random below a bound that doubles."""

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
"""From a product's id and what is stored of it (without vectors; ``None``: it does not exist) to what is to be done, ``None`` for nothing.

Called again, with what is there then, when somebody else wrote the product meanwhile: only its last answer counts.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one product; ``noop`` also where it does not exist and nothing was to be done."""

    result: Literal["created", "updated", "deleted", "noop", "error"]
    error: str | None = None


NOOP = Outcome("noop")
_RESULTS: Mapping[str, Outcome] = {name: Outcome(name) for name in ("created", "updated", "deleted", "noop")}


def rewrite(server: Server, ids: Iterable[str], decide: Decide, *, at: Mapping[str, Sequenced] | None = None) -> dict[str, Outcome]:
    """Read products, ask ``decide``, write; per product what became of it.

    Args:
        at: sequence numbers (``_seq_no``) by id: a product that is at another one, or in another index, by now is left alone.

    Raises:
        EngineUnavailable: the server cannot be reached, or somebody else keeps writing the same products.
    """
    rewriting = _Rewriting(server, decide, at)
    outcomes = {id_: NOOP for id_ in ids}
    wanted = storable(outcomes)
    for start in range(0, len(wanted), MGET):
        rewriting.all_of(wanted[start : start + MGET])
    return outcomes | rewriting.outcomes


def require_written(outcomes: Mapping[str, Outcome]) -> None:
    """Raises ``ServerError`` for the first product that the server refused."""
    for id_, outcome in outcomes.items():
        if outcome.error is not None:
            raise ServerError(f"The search server refused to change product {id_!r}: {outcome.error}", status=400)


@dataclass(slots=True)
class _Rewriting:
    server: Server
    decide: Decide
    at: Mapping[str, Sequenced] | None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    refusal: str | None = None
    """Why the index took no writes in the last round."""
    contests: int = 0
    """Rounds in which somebody else was first."""

    def all_of(self, ids: Sequence[str]) -> None:
        left, self.contests = list(ids), 0

        def attempt() -> list[str]:
            left[:] = self._round(left)
            return left

        rounds = Retrying(
            stop=self._given_up,
            wait=wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
            retry=retry_if_result(bool),
        )
        try:
            rounds(attempt)
        except RetryError:
            if self.refusal is not None:
                raise EngineUnavailable(
                    f"Writes are blocked: {self.refusal}",
                    field="index",
                    value=self.server.indices.products,
                    remedy="A reindex lifts its block by itself; otherwise set index.blocks.write to false.",
                ) from None
            raise EngineUnavailable(
                f"Product {left[0]!r} was written by others {ROUNDS} times while it was to be changed.",
                value=left[0],
                remedy="Look for a process that rewrites it in a loop.",
            ) from None

    def _given_up(self, state: RetryCallState) -> bool:
        return self.contests >= ROUNDS if self.refusal is None else (state.seconds_since_start or 0.0) >= MOST_BLOCKED

    def _round(self, ids: Sequence[str]) -> list[str]:
        """One read, one write; gives the ids that somebody else wrote in between."""
        index = self.server.indices.products
        stored = self.server.mget(index, map(document_id, ids))
        asked: list[str] = []
        actions: list[Action] = []
        for id_ in ids:
            action = self._action(index, id_, stored.get(document_id(id_)))
            self.outcomes[id_] = NOOP
            if action is not None:
                asked.append(id_)
                actions.append(action)
        if not actions:
            return []
        results = send_bulk(self.server.transport, actions)
        self.server.wrote(index)
        contested: list[str] = []
        self.refusal = None
        for id_, result in zip(asked, results, strict=True):
            if result.conflict or result.missing or _moving(result):  # gone, made or written meanwhile, or about to be elsewhere
                contested.append(id_)
                if _moving(result):
                    self.refusal = result.error
            else:
                self.outcomes[id_] = _outcome(result)
        self.contests += bool(contested) and self.refusal is None
        return contested

    def _action(self, index: str, id_: str, found: Mapping[str, Any] | None) -> Action | None:
        if self.at is not None and (found is None or Sequenced(found["_index"], found["_seq_no"]) != self.at[id_]):
            return None
        change = self.decide(id_, None if found is None else found["_source"])
        if change is None:
            return None
        if found is None:
            return Action("create", index, document_id(id_), body=change.create)
        # To the index that was read, not to the alias: the numbers of another index would mean something else.
        guard = {"if_seq_no": found["_seq_no"], "if_primary_term": found["_primary_term"], "require_alias": False}
        index = found["_index"]
        if change.delete:
            return Action("delete", index, document_id(id_), **guard)
        params = {"remove": list(change.remove), "set": list(change.set.items())}
        body = {"script": {"lang": "painless", "source": _SCRIPT, "params": params}}
        return Action("update", index, document_id(id_), body=body, **guard)


def _moving(result: ItemResult) -> bool:
    """Whether the index takes no writes for the moment: the last step of a reindex (``reindexing``)."""
    return result.reason == "cluster_block_exception" and "index write (api)" in (result.error or "")


def _outcome(result: ItemResult) -> Outcome:
    return _RESULTS[result.result] if result.error is None else Outcome("error", result.error)
