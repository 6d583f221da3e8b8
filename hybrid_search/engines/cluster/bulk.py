"""Bulk writes: every item is sent, in order, and each has its result; refusals for load are repeated, other errors told per item.

What is repeated: an item refused for load (429), alone or with its whole request, was not carried out and is sent again. A request
whose answer got lost may have been carried out, and the transport sends it again: a ``create`` and a guarded write then answer 409,
a ``delete`` 404, an ``index`` writes the same document once more. Whoever gets a 409 reads again, and finds either its own write or
somebody else's. An unguarded ``update`` by a script must therefore be one that changes nothing the second time.

An exception leaves the last request in doubt, never a result that was given: writing the same items again is safe in the same sense.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_before_delay, wait_random_exponential

from hybrid_search.engines.cluster.bulk_body import Action, UnwritableBody, encode
from hybrid_search.engines.cluster.bulk_pressure import MOST_BYTES, Pressure
from hybrid_search.engines.cluster.problems import problem
from hybrid_search.engines.cluster.transport import ServerError, Transport
from hybrid_search.errors import EngineUnavailable

__all__ = ["Action", "ItemResult", "send_bulk", "stream_bulk"]

PATIENCE = 120.0
"""Seconds for one chunk of items, with all its repeats."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Seconds: upper bound of the jittered pause before the first repeat, which doubles, and its largest value."""
_TOO_LARGE, _OVERLOADED = 413, 429
_BLOCKED = "cluster_block_exception"
"""Also told with 429 (a full disk), and no matter of waiting."""
_WANTED = ",".join(f"items.*.{name}" for name in ("_id", "status", "result", "error", "_seq_no", "_primary_term"))


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one item: ``result`` as the server says it (``created``, ``updated``, ``noop``, ``deleted``, ``not_found``),
    or why it was refused: ``error`` is a sentence, ``reason`` the server's own type of the error, as in ``mapper_parsing_exception``.
    """

    id: str
    status: int
    result: str = ""
    error: str | None = None
    reason: str = ""
    seq_no: int | None = None
    primary_term: int | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def conflict(self) -> bool:
        """Somebody wrote it since it was read, or made it before."""
        return self.status == 409

    @property
    def missing(self) -> bool:
        return self.status == 404


@dataclass(slots=True)
class _Item:
    """An item that waits for its result."""

    id: str
    lines: bytes
    result: ItemResult | None = None


class _Overloaded(Exception):
    """Some items are still to be written."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def send_bulk(
    transport: Transport,
    actions: Iterable[Action],
    *,
    max_bytes: int = MOST_BYTES,
    refresh: str | None = None,
    timeout: float | None = None,
) -> list[ItemResult]:
    """Write ``actions`` and give their results in the same order. See ``stream_bulk``."""
    return list(stream_bulk(transport, actions, max_bytes=max_bytes, refresh=refresh, timeout=timeout))


def stream_bulk(
    transport: Transport,
    actions: Iterable[Action],
    *,
    max_bytes: int = MOST_BYTES,
    refresh: str | None = None,
    timeout: float | None = None,
) -> Iterator[ItemResult]:
    """Write any number of ``actions``, giving one result each, in order, as the requests are answered.

    Memory holds one request, not the stream. An item whose id is in the request already begins a new one, so that two writes of one
    document are carried out in their order, whatever is repeated. Nothing is written before the first result is asked for.

    Args:
        max_bytes: of a request; a larger item is sent alone.
        refresh: ``true`` or ``wait_for``, as the server has it.
        timeout: seconds for one request with all its repeats, 120 when left out.

    Raises:
        EngineUnavailable: the server cannot be reached, or is overloaded for longer than ``timeout``; names the server's reason.
        ServerError: the server refuses the request as a whole, or its reply has not one result per item.
    """
    sender = _Sender(transport, Pressure(max_bytes), refresh, PATIENCE if timeout is None else timeout)
    chunk: list[_Item] = []
    size = 0
    seen: set[tuple[str, str]] = set()
    for action in actions:
        try:
            item = _Item(action.id, encode(action))
        except UnwritableBody as error:
            item = _Item(action.id, b"", ItemResult(action.id, 400, error=str(error), reason="unwritable_body"))
        document = (action.index, action.id)
        if chunk and (size + len(item.lines) > sender.pressure.bytes or document in seen):
            yield from sender.deliver(chunk)
            chunk, size = [], 0
            seen.clear()
        chunk.append(item)
        size += len(item.lines)
        seen.add(document)
    if chunk:
        yield from sender.deliver(chunk)


class _Sender:
    def __init__(self, transport: Transport, pressure: Pressure, refresh: str | None, timeout: float) -> None:
        self.pressure = pressure
        self._transport = transport
        self._params = {"filter_path": _WANTED} | ({"refresh": refresh} if refresh else {})
        self._timeout = timeout

    def deliver(self, items: Sequence[_Item]) -> list[ItemResult]:
        """Results of all ``items``, which name no document twice."""
        deadline = time.monotonic() + self._timeout
        retrying = Retrying(stop=stop_before_delay(self._timeout), wait=_pause, retry=retry_if_exception_type(_Overloaded), reraise=True)
        try:
            retrying(self._try, items, deadline)
        except _Overloaded as overloaded:
            left = sum(item.result is None for item in items)
            raise EngineUnavailable(
                f"The search server at {self._transport.url} refused {left} of {len(items)} writes for {self._timeout:g} s: {overloaded}.",
                remedy="Write less at once, or give it more memory or nodes; then repeat the load: what is written already is left as it is.",
            ) from None
        return [item.result for item in items if item.result is not None]

    def _try(self, items: Sequence[_Item], deadline: float) -> None:
        """Send what has no result yet. Raises ``_Overloaded`` when the server refused some of it for load."""
        refused: _Overloaded | None = None
        waiting = [item for item in items if item.result is None]
        while waiting:
            batch = self._cut(waiting)
            waiting = waiting[len(batch) :]
            size = sum(len(item.lines) for item in batch)
            started = time.monotonic()
            reply = self._transport.request(
                "POST",
                "/_bulk",
                b"".join([item.lines for item in batch]),
                params=self._params,
                timeout=max(deadline - started, 0.001),
                ignore=(_TOO_LARGE, _OVERLOADED),
            )
            if reply.status == _TOO_LARGE:
                self.pressure.too_large(size)
                if len(batch) == 1:
                    batch[0].result = _too_large(batch[0])
                else:
                    waiting = batch + waiting
                continue
            if reply.status == _OVERLOADED:
                found = problem(reply.body)
                if found.type == _BLOCKED:
                    raise EngineUnavailable(
                        f"The search server at {self._transport.url} takes no writes: {found.sentence}.", remedy=found.remedy
                    )
                self.pressure.overloaded()
                raise _Overloaded(found.sentence, reply.retry_after)
            reason = self._read(batch, reply.body)
            if reason is not None:
                self.pressure.overloaded()
                refused = _Overloaded(reason)
            else:
                self.pressure.answered(size, time.monotonic() - started)
        if refused is not None:
            raise refused

    def _cut(self, waiting: Sequence[_Item]) -> list[_Item]:
        """The first of ``waiting`` that fit into a request, one at least."""
        size = 0
        for number, item in enumerate(waiting):
            size += len(item.lines)
            if number and size > self.pressure.bytes:
                return list(waiting[:number])
        return list(waiting)

    def _read(self, batch: Sequence[_Item], body: Any) -> str | None:
        """Note each item's result; gives the server's reason where items were refused for load."""
        answers = body.get("items", []) if isinstance(body, dict) else []
        found = [next(iter(answer.values())) for answer in answers]
        if [one.get("_id") for one in found] != [item.id for item in batch]:
            raise ServerError(
                f"The search server at {self._transport.url} answered {len(found)} items where {len(batch)} were written, or others.",
                status=200,
                reason="bulk_reply",
                remedy="Repeat the load; if it happens again, look for a proxy that changes the replies.",
            )
        refused: str | None = None
        for item, one in zip(batch, found, strict=True):
            error = problem(one["error"]) if "error" in one else None
            if one["status"] == _OVERLOADED and error is not None and error.type != _BLOCKED:
                refused = error.sentence
                continue
            item.result = ItemResult(
                item.id,
                one["status"],
                one.get("result", ""),
                error.sentence if error else None,
                error.type if error else "",
                one.get("_seq_no"),
                one.get("_primary_term"),
            )
        return refused


_backoff = wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE)


def _pause(state: RetryCallState) -> float:
    """Full jitter, and not before the server said."""
    error = state.outcome.exception() if state.outcome else None
    after = error.retry_after if isinstance(error, _Overloaded) else None
    return _backoff(state) + (after or 0.0)


def _too_large(item: _Item) -> ItemResult:
    return ItemResult(
        item.id,
        _TOO_LARGE,
        error=f"Item {item.id!r} has {len(item.lines):,} bytes, more than the server takes in a request (http.max_content_length)",
        reason="content_too_large",
    )
