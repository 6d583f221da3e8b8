"""How requests reach a server. ``engines/opensearch`` and ``engines/elasticsearch`` each give one, made from their product's own client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hybrid_search.errors import EngineError


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the server: its HTTP status and parsed JSON body (``None`` for an empty one).

    ``retry_after``: seconds, where it (or a proxy before it) says when to come again, and the product's client passes that on.
    """

    status: int
    body: Any = field(default=None)
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class ServerError(EngineError):
    """The server refused a request; ``reason`` is its own type of the error, as in ``mapper_parsing_exception``."""

    def __init__(self, message: str, *, status: int, reason: str = "", remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.reason = reason


class Transport(Protocol):
    """One server or cluster. Safe to share between threads, never across a fork."""

    url: str
    """Where it is, without user and password: for messages."""

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        params: Mapping[str, str] | None = None,
        timeout: float | None = None,
        ignore: tuple[int, ...] = (),
    ) -> Reply:
        """Send one request and wait for its answer.

        Args:
            method: ``GET``, ``POST``, ``PUT``, ``DELETE`` or ``HEAD``.
            path: from the root, each part quoted, as in ``/shop-products/_search``.
            body: JSON, or ready bytes; bytes for ``_bulk`` and ``_msearch`` are newline-delimited JSON.
            params: URL parameters.
            timeout: seconds, the client's default when left out.
            ignore: statuses outside 200 to 299 that are an answer, not an error.

        Refused for load (429) and unreachable requests are tried again with growing, jittered pauses within ``timeout``; a request that
        may have been carried out is repeated only where that changes nothing (the caller makes its writes conditional).

        Raises:
            EngineUnavailable: the server cannot be reached, refuses the sign-in, or is overloaded for longer than ``timeout``.
            ServerError: any other status, with the server's own reason.
        """
        ...

    def close(self) -> None: ...
