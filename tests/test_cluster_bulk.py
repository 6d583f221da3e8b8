"""Bulk bodies, and how they are sent: against a local HTTP server that answers as it is told to."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hybrid_search.engines.cluster.bulk import Action, send_bulk, stream_bulk
from hybrid_search.engines.cluster.bulk_body import UnwritableBody, encode
from hybrid_search.engines.cluster.bulk_pressure import FIRST_BYTES, Pressure
from hybrid_search.engines.cluster.reaching import access
from hybrid_search.engines.cluster.transport import ServerError
from hybrid_search.engines.elasticsearch.transport import ElasticsearchTransport
from hybrid_search.engines.opensearch.transport import OpenSearchTransport
from hybrid_search.errors import EngineUnavailable

OVERLOAD = {"type": "es_rejected_execution_exception", "reason": "queue capacity reached"}


@dataclass
class Asked:
    """One request as the server saw it."""

    number: int
    size: int
    ids: list[str]
    at: float


@dataclass
class Told:
    """A whole answer (``status`` other than 200), or the errors of single items by id, as ``(status, error)``."""

    status: int = 200
    error: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    items: dict[str, tuple[int, Any]] = field(default_factory=dict)
    drop: int = 0
    """Items left out of the reply."""
    cut: bool = False
    """Whether the connection is closed without an answer."""


class Scripted(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.script: Callable[[Asked], Told] = lambda asked: Told()
        self.asked: list[Asked] = []
        self.written: list[str] = []
        """Ids in the order in which they were carried out."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # an answer in one packet, not held up by Nagle's algorithm
    server: Scripted

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        heads = [orjson.loads(line) for line in body.split(b"\n") if line[:9] in (b'{"create"', b'{"index":', b'{"update"', b'{"delete"')]
        ids = [next(iter(head.values()))["_id"] for head in heads]
        asked = Asked(len(self.server.asked), len(body), ids, time.monotonic())
        self.server.asked.append(asked)
        told = self.server.script(asked)
        if told.cut:
            self.close_connection = True
            return
        if told.status != 200:
            self._send(told.status, {"error": told.error, "status": told.status}, told.headers)
            return
        items = []
        for head in heads:
            ((op, meta),) = head.items()
            status, error = told.items.get(meta["_id"], (201, None))
            if error is None:
                self.server.written.append(meta["_id"])
            items.append(
                {op: {"_id": meta["_id"], "status": status} | ({"error": error} if error else {"result": "created", "_seq_no": 5})}
            )
        self._send(200, {"errors": bool(told.items), "items": items[: len(items) - told.drop]}, {})

    def _send(self, status: int, body: Any, headers: dict[str, str]) -> None:
        sent = orjson.dumps(body)
        self.send_response(status)
        for name, value in {
            "content-type": "application/json",
            "x-elastic-product": "Elasticsearch",
            "content-length": str(len(sent)),
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def transport(server: Scripted) -> Iterator[OpenSearchTransport]:
    made = OpenSearchTransport(access("opensearch", server.url))
    yield made
    made.close()


def items(count: int, size: int = 10) -> list[Action]:
    return [Action("create", "shop", f"p{number}", {"text": "x" * size}) for number in range(count)]


# --- bodies ------------------------------------------------------------------------------------------------------------


@given(arrays(np.float32, st.integers(1, 40), elements=st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=True)))
def test_vectors_come_back_bit_by_bit_and_in_no_more_digits_than_needed(vector: Any) -> None:
    lines = encode(Action("index", "shop", "a", {"v": vector})).split(b"\n")
    numbers = lines[1].removeprefix(b'{"v":[').removesuffix(b"]}").split(b",")
    back = np.array([np.float32(number.decode()) for number in numbers])
    assert back.tobytes() == vector.tobytes()
    for number, value in zip(numbers, vector, strict=True):
        shortest = np.format_float_scientific(value, unique=True, trim="-")  # Dragon4: the fewest digits that name this float32
        assert _digits(number.decode()) == _digits(shortest)


def _digits(number: str) -> str:
    return number.lower().split("e")[0].lstrip("-").replace(".", "").strip("0")


def test_subnormals_and_extremes_are_exact() -> None:
    vector = np.array([1e-45, -1.1754942e-38, 3.4028235e38, -0.0, 0.1], dtype=np.float32)
    assert encode(Action("index", "shop", "a", {"v": vector})).endswith(b'{"v":[1e-45,-1.1754942e-38,3.4028235e+38,-0.0,0.1]}\n')


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_json_has_not_are_refused_by_name(bad: float) -> None:
    rows = np.zeros((2, 3), dtype=np.float32)
    rows[1, 2] = bad
    with pytest.raises(UnwritableBody, match=r"'sku-1'.*doc\.hybrid\.vec_image_1\[1\]\.vector"):
        encode(Action("update", "shop", "sku-1", {"doc": {"hybrid": {"vec_image_1": [{"vector": rows[0]}, {"vector": rows[1]}]}}}))
    with pytest.raises(UnwritableBody, match="in price"):
        encode(Action("index", "shop", "sku-1", {"price": bad}))
    assert encode(Action("index", "shop", "a", {"title": None, "text": "null"})).endswith(b'{"title":null,"text":"null"}\n')


def test_strided_arrays_are_written_like_others_and_what_is_no_json_is_refused() -> None:
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = encode(Action("index", "shop", "a", {"v": np.ascontiguousarray(rows[:, 1])}))
    assert encode(Action("index", "shop", "a", {"v": rows[:, 1]})) == expected
    assert encode(Action("index", "shop", "a", {"v": np.array(2.5, dtype=np.float32)})).endswith(b'{"v":2.5}\n')
    with pytest.raises(UnwritableBody, match="'a'.*endianness"):
        encode(Action("index", "shop", "a", {"v": rows[0].astype(">f4")}))
    with pytest.raises(UnwritableBody, match="'a'.*set is no JSON"):
        encode(Action("index", "shop", "a", {"v": {1}}))


def test_lines_of_every_operation() -> None:
    assert encode(Action("create", "shop", "a", {"x": 1})) == b'{"create":{"_index":"shop","_id":"a","require_alias":true}}\n{"x":1}\n'
    guarded = encode(Action("update", "shop", "a", {"doc": {}}, if_seq_no=0, if_primary_term=2, require_alias=False))
    assert guarded == b'{"update":{"_index":"shop","_id":"a","if_seq_no":0,"if_primary_term":2}}\n{"doc":{}}\n'
    assert encode(Action("delete", "shop", "a\n")) == b'{"delete":{"_index":"shop","_id":"a\\n"}}\n'


# --- sending -----------------------------------------------------------------------------------------------------------


def test_requests_keep_within_their_bytes(server: Scripted, transport: OpenSearchTransport) -> None:
    actions = items(50, 100)
    one = len(encode(actions[10]))
    results = send_bulk(transport, actions, max_bytes=7 * one)
    assert [result.id for result in results] == [action.id for action in actions] == server.written
    assert all(result.ok and result.seq_no == 5 for result in results)
    assert max(len(asked.ids) for asked in server.asked) == 7 and max(asked.size for asked in server.asked) <= 7 * one


def test_nothing_to_write_asks_nothing(server: Scripted, transport: OpenSearchTransport) -> None:
    assert send_bulk(transport, []) == [] and server.asked == []


def test_errors_of_items_keep_their_place(server: Scripted, transport: OpenSearchTransport) -> None:
    server.script = lambda asked: Told(
        items={"p1": (400, {"type": "mapper_parsing_exception", "reason": "no number"}), "p3": (409, OVERLOAD)}
    )
    actions = items(5)
    actions[2] = Action("create", "shop", "p2", {"v": np.array([np.nan], dtype=np.float32)})
    results = send_bulk(transport, actions)
    assert [(result.id, result.status) for result in results] == [("p0", 201), ("p1", 400), ("p2", 400), ("p3", 409), ("p4", 201)]
    assert (results[1].error, results[1].reason) == ("no number", "mapper_parsing_exception")
    assert results[2].error is not None and "'p2' has NaN" in results[2].error and results[3].conflict
    assert server.asked[0].ids == ["p0", "p1", "p3", "p4"]


def test_items_refused_for_load_alone_are_sent_again(server: Scripted, transport: OpenSearchTransport) -> None:
    server.script = lambda asked: Told(items={"p1": (429, OVERLOAD), "p3": (429, OVERLOAD)} if asked.number < 2 else {})
    results = send_bulk(transport, items(5))
    assert [result.id for result in results] == [f"p{number}" for number in range(5)] and all(result.ok for result in results)
    assert [asked.ids for asked in server.asked] == [["p0", "p1", "p2", "p3", "p4"], ["p1", "p3"], ["p1", "p3"]]


def test_two_writes_of_one_document_are_never_in_flight_together(server: Scripted, transport: OpenSearchTransport) -> None:
    server.script = lambda asked: Told(items={"a": (429, OVERLOAD)} if asked.number == 0 else {})
    actions = [Action("index", "shop", "a", {"n": 1}), Action("index", "shop", "b", {}), Action("index", "shop", "a", {"n": 2})]
    assert all(result.ok for result in send_bulk(transport, actions))
    assert [asked.ids for asked in server.asked] == [["a", "b"], ["a"], ["a"]]


def test_an_overload_that_lasts_is_told_with_the_servers_reason(server: Scripted, transport: OpenSearchTransport) -> None:
    server.script = lambda asked: Told(status=429, error={"type": "circuit_breaking_exception", "reason": "[parent] Data too large"})
    began = time.monotonic()
    with pytest.raises(EngineUnavailable, match=r"refused 3 of 3 writes for 0.5 s: \[parent\] Data too large"):
        send_bulk(transport, items(3), timeout=0.5)
    assert time.monotonic() - began < 1.5 and len(server.asked) > 2


def test_a_full_disk_is_not_waited_for(server: Scripted, transport: OpenSearchTransport) -> None:
    blocked = {
        "type": "cluster_block_exception",
        "reason": "index [shop] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]",
    }
    server.script = lambda asked: Told(status=429, error=blocked)
    with pytest.raises(EngineUnavailable, match="takes no writes.*flood-stage.*free space"):
        send_bulk(transport, items(3))
    assert len(server.asked) == 1
    server.script = lambda asked: Told(items={"p1": (429, blocked)})
    results = send_bulk(transport, items(3))
    assert results[1].reason == "cluster_block_exception" and results[2].ok and len(server.asked) == 2


def test_the_server_says_when_to_come_again(server: Scripted) -> None:
    server.script = lambda asked: Told(status=429, error=OVERLOAD, headers={"retry-after": "1"}) if asked.number == 0 else Told()
    transport = ElasticsearchTransport(access("elasticsearch", server.url))
    assert send_bulk(transport, items(1))[0].ok
    transport.close()
    assert [asked.at - before.at >= 1 for before, asked in pairwise(server.asked)] == [True]


def test_requests_shrink_under_a_limit_of_the_server(server: Scripted, transport: OpenSearchTransport) -> None:
    server.script = lambda asked: Told(status=413, error="too large") if asked.size > 3_000 else Told()
    actions = items(60, 500)
    actions[30] = Action("create", "shop", "p30", {"text": "x" * 5_000})
    results = send_bulk(transport, actions)
    assert [result.id for result in results] == [action.id for action in actions]
    assert [result.id for result in results if not result.ok] == ["p30"]
    assert results[30].status == 413 and "'p30' has 5,0" in str(results[30].error) and "http.max_content_length" in str(results[30].error)
    assert server.written == [action.id for action in actions if action.id != "p30"]


def test_a_reply_without_all_items_is_an_error(server: Scripted, transport: OpenSearchTransport) -> None:
    server.script = lambda asked: Told(drop=1)
    with pytest.raises(ServerError, match="answered 2 items where 3"):
        send_bulk(transport, items(3))


def test_a_lost_connection_is_repeated(server: Scripted, transport: OpenSearchTransport) -> None:
    server.script = lambda asked: Told(cut=asked.number == 0)
    assert [result.id for result in send_bulk(transport, items(3))] == ["p0", "p1", "p2"]
    assert len(server.asked) == 2


def test_a_stream_of_200_mb_is_written_once_each_in_order_in_bounded_memory(server: Scripted, transport: OpenSearchTransport) -> None:
    refused: set[str] = set()

    def script(asked: Asked) -> Told:
        if asked.number % 9 == 4:
            return Told(status=429, error=OVERLOAD)
        if asked.size > 4_000_000:
            return Told(status=413, error="too large")
        told = {}
        for id_ in asked.ids:
            if int(id_[1:]) % 90 == 11 and id_ not in refused:
                refused.add(id_)
                told[id_] = (429, OVERLOAD)
            elif int(id_[1:]) % 50 == 7:
                told[id_] = (400, {"type": "mapper_parsing_exception", "reason": "no"})
        return Told(items=told)

    server.script = script
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((40, 512), dtype=np.float32)
    count = 900
    actions = (Action("create", "shop", f"p{number}", {"v": rows + np.float32(number)}) for number in range(count))
    tracemalloc.start()
    results = [(result.id, result.status) for result in stream_bulk(transport, actions)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert results == [(f"p{number}", 400 if number % 50 == 7 else 201) for number in range(count)]
    assert sorted(server.written) == sorted(id_ for id_, status in results if status == 201)
    assert len(refused) == 10 and sum(asked.size for asked in server.asked) > 200_000_000
    assert peak < 40_000_000  # a request twice here, and twice more at the server, which is in this process


def test_the_size_of_requests_follows_the_answers() -> None:
    pressure = Pressure(10_000_000)
    assert pressure.bytes == FIRST_BYTES
    pressure.answered(5_000_000, 0.2)
    assert pressure.bytes == 6_000_001
    pressure.answered(6_000_000, 3.0)
    pressure.answered(1_000, 0.01)
    assert pressure.bytes == 6_000_001
    pressure.overloaded()
    assert pressure.bytes == 3_000_000
    for _ in range(20):
        pressure.answered(pressure.bytes, 0.1)
    assert pressure.bytes == 10_000_000
    pressure.too_large(8_000_000)
    for _ in range(20):
        pressure.answered(pressure.bytes, 0.1)
    assert pressure.bytes == 7_999_999
