"""Several searches in one ``_msearch``: sent, and each answer judged. What failed is told per search, never as a shorter list."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from hybrid_search.engines.cluster.transport import ServerError, Transport

WANTED = ",".join(
    f"responses.{path}" for path in ("status", "error", "took", "timed_out", "_shards", "hits.total", "hits.hits.sort", "aggregations")
)
"""All that is read of an answer; the rest does not travel."""
_BAD_REQUEST = 400


@dataclass(frozen=True, slots=True)
class Answer:
    """One search's answer: ``body`` as the server gave it, or in ``failed`` why there is none (a reason and a sentence)."""

    body: Mapping[str, Any]
    failed: str = ""


class Searches:
    """``_msearch`` on one index, within one deadline."""

    def __init__(self, transport: Transport, index: str, timeout: float | None) -> None:
        self._transport = transport
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        # All searches of a plan ask the same copies of the shards, so that they see one state.
        self._header = orjson.dumps({"index": index, "preference": secrets.token_hex(4)})

    @property
    def left(self) -> float | None:
        """Seconds until the deadline, not below 0; ``None`` without one."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def run(self, bodies: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Answers in the order of ``bodies``. Those that a shard or a lack of room spoilt are asked once more.

        Raises ``EngineUnavailable`` when the server cannot be reached, ``ServerError`` when it refuses a single search's wording.
        """
        answers = self._send(bodies)
        spoilt = [number for number, answer in enumerate(answers) if answer.failed and _may_pass(answer.body)]
        if spoilt and self.left != 0:
            again = self._send([bodies[number] for number in spoilt])
            for number, answer in zip(spoilt, again, strict=True):
                answers[number] = answer
        return answers

    def _send(self, bodies: Sequence[Mapping[str, Any]]) -> list[Answer]:
        if not bodies:
            return []
        left = self.left
        if left == 0:
            return [Answer({}, f"timeout: the search's {self._timeout:g} s had passed")] * len(bodies)
        limit = {} if left is None else {"timeout": f"{max(round(left * 1_000), 1)}ms"}
        lines = [line for body in bodies for line in (self._header, orjson.dumps({**body, **limit}, option=orjson.OPT_SERIALIZE_NUMPY))]
        try:
            reply = self._transport.request("POST", "/_msearch", b"\n".join((*lines, b"")), params={"filter_path": WANTED}, timeout=left)
        except ServerError as err:
            if err.status != _BAD_REQUEST:
                raise
            if len(bodies) == 1:
                return [Answer({}, f"{err.reason or 'refused'}: {err.message}")]
            # A body that this server cannot read fails all of them: find out which.
            return [answer for body in bodies for answer in self._send([body])]
        return [_judged(body) for body in reply.body["responses"]]


def _judged(body: Mapping[str, Any]) -> Answer:
    error = body.get("error")
    if error is not None:
        return Answer(body, reason(error))
    if body.get("timed_out"):
        return Answer(body, "timeout: the server stopped before it had looked at everything")
    shards = body.get("_shards", {})
    if shards.get("failed"):
        causes = "; ".join(dict.fromkeys(reason(one.get("reason", {})) for one in shards.get("failures", ())))
        return Answer(body, f"shards: {shards['failed']} of {shards['total']} shards gave no answer ({causes or 'no reason given'})")
    return Answer(body)


def reason(error: Any) -> str:
    """A server's error as ``type: sentence``, from the deepest cause it names."""
    if not isinstance(error, Mapping):
        return str(error)
    for deeper in (*(one.get("reason", {}) for one in error.get("failed_shards", ())), error.get("caused_by")):
        if isinstance(deeper, Mapping) and deeper.get("reason"):
            return reason(deeper)
    return f"{error.get('type', 'error')}: {error.get('reason', 'no reason given')}"


def _may_pass(body: Mapping[str, Any]) -> bool:
    """Whether the same search may succeed on another copy of a shard, or when there is room again."""
    return bool(body.get("_shards", {}).get("failed")) or body.get("status", 200) in (429, 500, 502, 503, 504)
