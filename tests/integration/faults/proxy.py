"""Between a worker and the real search server: passes everything on, or goes wrong in the ways that networks and busy servers do."""

from __future__ import annotations

import http.client
import random
import re
import threading
from collections import Counter
from collections.abc import Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson

from hybrid_search.search_server.node import free_port

VECTOR = rb'vec_text_1"\],\[?-?[0-9]'
"""Matches an item that writes a vector, not one that removes it."""
Mode = Literal["pass", "swallow", "refuse"]
_ERRORS: dict[int, dict[str, str]] = {
    429: {"type": "rejected_execution_exception", "reason": "rejected execution of coordinating operation"},
    409: {"type": "version_conflict_engine_exception", "reason": "version conflict, required seqNo [1], primary term [1]"},
    400: {"type": "mapper_parsing_exception", "reason": "failed to parse field [hybrid.vec] of type [knn_vector]"},
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that a fault cut off are what is wanted."""


class FaultyProxy:
    """``with FaultyProxy(server) as proxy:``; ``mode`` and the shares may change at any moment.

    ``busy``: share of requests answered 429; ``busy_items`` and ``conflicts``: shares of the items of a ``_bulk`` that are not sent on and
    answered 429 or 409. ``unmappable``: ids whose items are answered 400 where they match ``carrying``. ``injected`` counts them.
    ``hang_on``: requests with this in their path are taken and not answered.
    """

    def __init__(self, upstream: str, *, seed: int = 1) -> None:
        split = urlsplit(upstream)
        assert split.hostname is not None
        self._upstream = split.hostname, split.port or 80
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.mode: Mode = "pass"
        self.busy = self.busy_items = self.conflicts = 0.0
        self.unmappable: Collection[str] = frozenset()
        self.carrying = VECTOR
        self.hang_on = ""
        self.injected: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._ended = threading.Event()
        self._server: _Server | None = None
        self._listen()

    def __enter__(self) -> FaultyProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.refuse()

    def refuse(self) -> None:
        """Nobody listens any more: connections are refused."""
        self.mode = "refuse"
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def swallow(self) -> None:
        """Connections and requests are taken, nothing comes back."""
        self.mode = "swallow"

    def heal(self) -> None:
        """Pass on again, without errors."""
        self.mode = "pass"
        self.hang_on = ""
        self.busy = self.busy_items = self.conflicts = 0.0
        if self._server is None:
            self._listen()

    def _listen(self) -> None:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                super().handle_one_request()
                if proxy.mode == "refuse":
                    self.close_connection = True

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                while (proxy.mode == "swallow" or (proxy.hang_on and proxy.hang_on in self.path)) and not proxy._ended.wait(0.05):
                    self.close_connection = True
                if proxy.mode == "refuse" or self.close_connection:
                    self.close_connection = True
                    return
                status, found, kind = proxy._pass(self.command, self.path, body, dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(found)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(found)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = _Server(("127.0.0.1", self._port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _pass(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        if self._chance.random() < self.busy:
            self.injected["requests 429"] += 1
            return 429, orjson.dumps({"error": {"root_cause": [_ERRORS[429]], **_ERRORS[429]}, "status": 429}), "application/json"
        if path.startswith("/_bulk"):
            body, held = self._hold_back(body)
        else:
            held = {}
        if held and not body:
            status, found, kind = 200, b'{"items":[]}', "application/json"
        else:
            status, found, kind = self._send(method, path, body, headers)
        if held and status == 200:
            items = iter(orjson.loads(found)["items"])
            count = len(held) + len(orjson.loads(found)["items"])
            found = orjson.dumps({"errors": True, "items": [held[i] if i in held else next(items) for i in range(count)]})
        return status, found, kind

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        connection = http.client.HTTPConnection(*self._upstream, timeout=60)
        try:
            kept = {key: value for key, value in headers.items() if key.lower() in ("content-type", "accept")}
            connection.request(method, path, body or None, kept)
            reply = connection.getresponse()
            return reply.status, reply.read(), reply.getheader("Content-Type") or "application/json"
        finally:
            connection.close()

    def _hold_back(self, body: bytes) -> tuple[bytes, dict[int, dict[str, Any]]]:
        """The items to send on, and answers by number for those that are not."""
        lines = body.split(b"\n")[:-1]
        sent: list[bytes] = []
        held: dict[int, dict[str, Any]] = {}
        at = number = 0
        while at < len(lines):
            (op, head), *_ = orjson.loads(lines[at]).items()
            item = lines[at : at + (1 if op == "delete" else 2)]
            at += len(item)
            status = self._refusal(head, item)
            if status:
                name = {429: "items 429", 409: "items 409", 400: "items 400"}[status]
                self.injected[name] += 1
                held[number] = {
                    op: {"_index": head.get("_index", ""), "_id": head.get("_id", ""), "status": status, "error": _ERRORS[status]}
                }
            else:
                sent += item
            number += 1
        return (b"\n".join([*sent, b""]) if sent else b""), held

    def _refusal(self, head: dict[str, Any], item: list[bytes]) -> int:
        if head.get("_id") in self.unmappable and re.search(self.carrying, item[-1]):
            return 400
        if self._chance.random() < self.busy_items:
            return 429
        # a conflict is possible only where a condition was given
        if "if_seq_no" in head and self._chance.random() < self.conflicts:
            return 409
        return 0
