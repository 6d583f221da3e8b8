"""A shop moves to another model and back while it is searched and written: real worker, two real API processes, the real commands; on one
machine and on search servers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from hybrid_search.cli.main import app
from hybrid_search.encoders.registry import IMAGE_ENCODERS, TEXT_ENCODERS, text_encoder
from hybrid_search.engines.base import Engine, ProductWrite
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.errors import HybridSearchError
from hybrid_search.indexing.parts import text_hash
from hybrid_search.product import Product
from hybrid_search.redis_server import RedisServer
from hybrid_search.types import Priority, State
from tests.contracts.conftest import ENGINES, SERVERS
from tests.indexing_parts import direction
from tests.integration.spaces_shop import SECOND_COSINE, register, second_document

ROOT = Path(__file__).resolve().parents[2]
PRODUCTS = 600


@dataclass(frozen=True)
class Answer:
    """One search: when it was asked, by which API process, what the control document said just before, and the cosine of the best hit."""

    at: float
    api: int
    pinned: str
    cosine: float
    fault: str = ""


@dataclass
class Shop:
    folder: Path
    redis: RedisServer
    engine: Engine
    ports: tuple[int, ...]
    server: dict[str, str]
    """The settings of a search server."""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "REDIS_URL": self.redis.url,
            "TINY_LOG": str(self.folder / "encoded.log"),
            "HYBRID_SEARCH_HOME": str(self.folder / "home"),
            "HYBRID_SEARCH_TEXT_ENCODER": "tiny-text",
            "HYBRID_SEARCH_IMAGE_ENCODER": "tiny-image",
            "HYBRID_SEARCH_WORKER_PROCESSES": "1",
            "HYBRID_SEARCH_FEED_EVERY": "0.25",
            "OMP_NUM_THREADS": "1",
            **self.server,
        }

    def start(self, *arguments: str, **more: str) -> None:
        with (self.folder / "processes.log").open("ab") as log:
            command = [sys.executable, "-m", "tests.integration.spaces_shop", *arguments]
            environment = {**self.environment, **more}
            self.processes.append(
                subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
            )

    def command(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """The JSON that a ``hybrid-search`` command prints, or the error that it ends with."""
        found = CliRunner().invoke(app, list(arguments))
        assert found.exit_code == (code and 1), f"{arguments}: {found.exit_code}\n{found.output}\n{found.exception!r}"
        if code:
            assert isinstance(found.exception, HybridSearchError)
            return {"error": str(found.exception)}
        return dict(json.loads(found.stdout))

    def command_of_its_own(self, *arguments: str) -> dict[str, Any]:
        """The same in a process of its own, as an operator runs it."""
        command = [sys.executable, "-m", "tests.integration.spaces_shop", "cli", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            log = (self.folder / "processes.log").read_text(errors="replace")[-3_000:]
            assert time.monotonic() < deadline, f"waited in vain for {what}: {self.engine.status()}\n{log}"
            time.sleep(0.1 if self.server else 0.02)

    def pending(self, space: str) -> int:
        return self.engine.status().states[space][State.PENDING]

    def put(self, titles: dict[int, str], priority: Priority) -> None:
        products = [Product(id=f"p{number:03}", title=title) for number, title in titles.items()]
        self.engine.put([ProductWrite(p, {"text": (text_hash(p.title),)}) for p in products], priority=priority)


@contextmanager
def installed(request: pytest.FixtureRequest, home: Path) -> Iterator[tuple[Engine, dict[str, str]]]:
    """An engine by name, and the settings by which other processes open it."""
    if request.param == "embedded":
        embedded = EmbeddedEngine(home, index=False)
        yield embedded, {}
        embedded.close()
        return
    url, prefix = request.getfixturevalue(f"{request.param}_url"), f"spaces-{uuid.uuid4().hex[:8]}"
    engine = SERVERS[request.param](url, prefix=prefix)
    values = {"ENGINE": request.param, f"{request.param.upper()}_URL": url, "INDEX_PREFIX": prefix}
    yield engine, {f"HYBRID_SEARCH_{name}": value for name, value in values.items()}
    remove_all(engine.server.transport, engine.server.indices)
    engine.close()


@pytest.fixture(params=ENGINES)
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with RedisServer(tmp_path / "redis") as redis, installed(request, tmp_path / "home") as (engine, server):
        made = Shop(tmp_path, redis, engine, free_ports(2), server)
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        for name in ("tiny-text", "tiny"):
            monkeypatch.setitem(TEXT_ENCODERS, name, None)  # taken out again afterwards
        monkeypatch.setitem(IMAGE_ENCODERS, "tiny-image", None)
        text_encoder.cache_clear()
        register()
        try:
            made.start("worker")
            for port in made.ports:
                made.start("api", HYBRID_SEARCH_PORT=str(port))
            yield made
        finally:
            for process in made.processes:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def free_ports(count: int) -> tuple[int, ...]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = tuple(int(probe.getsockname()[1]) for probe in probes)
    for probe in probes:
        probe.close()
    return ports


class Searcher(threading.Thread):
    """Ten searches a second, turn and turn about; ``thing 7`` is never changed."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(daemon=True)
        self.shop = shop
        self.answers: list[Answer] = []
        self.stop = threading.Event()

    def run(self) -> None:
        with httpx.Client(trust_env=False, timeout=10.0) as client:
            number = 0
            while not self.stop.wait(0.1):
                api = number % len(self.shop.ports)
                pinned = self.shop.engine.read_control()[1].get("active_spaces", {}).get("text", "")
                self.answers.append(self.ask(client, api, pinned))
                number += 1

    def ask(self, client: httpx.Client, api: int, pinned: str) -> Answer:
        at = time.monotonic()
        try:
            reply = client.post(f"http://127.0.0.1:{self.shop.ports[api]}/v1/search", json={"q": "thing 7", "size": 3, "explain": True})
            reply.raise_for_status()
            body = reply.json()
            if body["degraded"] or body["hits"][0]["id"] != "p007":
                return Answer(at, api, pinned, 0.0, str(body)[:500])
            return Answer(at, api, pinned, body["hits"][0]["explain"]["legs"]["text"]["raw"])
        except (httpx.HTTPError, KeyError, IndexError) as err:
            return Answer(at, api, pinned, 0.0, repr(err))

    def followed(self, since: float, key: str, cosine: float) -> list[float]:
        """Per API process the seconds from when the control document was seen to say ``key`` to its first answer with that model."""
        answers = [a for a in self.answers if a.at >= since]
        switched = min(a.at for a in answers if a.pinned == key)
        return [
            min(a.at for a in answers if a.api == api and abs(a.cosine - cosine) < 0.01) - switched for api in range(len(self.shop.ports))
        ]


@pytest.fixture
def searcher(shop: Shop) -> Iterator[Searcher]:
    made = Searcher(shop)
    yield made
    made.stop.set()
    if made.is_alive():
        made.join(15.0)


def ready(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/readyz", timeout=5.0, trust_env=False).status_code == 200
    return False


def judged(folder: Path, numbers: Sequence[int]) -> Path:
    (folder / "qrels.live.tsv").write_text("".join(f"q{n}\tp{n:03}\t3\n" for n in numbers))
    path = folder / "queries.live.jsonl"
    path.write_text("".join(json.dumps({"query_id": f"q{n}", "text": f"thing {n}"}) + "\n" for n in numbers))
    return path


@pytest.mark.slow
def test_a_shop_moves_to_another_model_and_back_under_load(shop: Shop, searcher: Searcher) -> None:
    shop.wait(lambda: "text_1" in shop.engine.status().states, "the first spaces")
    shop.put({n: f"thing {n}" for n in range(PRODUCTS)}, Priority.BACKFILL)
    shop.wait(lambda: not shop.pending("text_1"), "the first model")
    for port in shop.ports:
        shop.wait(lambda port=port: ready(f"http://127.0.0.1:{port}"), "the API")  # type: ignore[misc]
    searcher.start()
    shop.wait(lambda: len(searcher.answers) >= 4, "the first answers")

    # a new version, filled while products change, held back, live changes first
    added = shop.command("spaces", "add", "--model", "tiny:two", "--yes", "--json")
    assert (added["space"], added["model"], added["estimate"]["vectors"]) == ("text_2", "tiny-two", PRODUCTS)
    filling = time.monotonic()
    assert shop.command("spaces", "backfill", "text_2", "--rate", "150", "--detach", "--json")["backfill_per_second"] == 150
    latencies = []
    for number in range(100, 104 if shop.server else 110):
        shop.put({number: f"changed {number}"}, Priority.LIVE)
        changed = time.monotonic()
        product_id = f"p{number}"
        shop.wait(lambda id_=product_id: all(e.state is State.READY for e in shop.engine.fetch([id_])[0].ledger.values()), product_id)  # type: ignore
        latencies.append(time.monotonic() - changed)
    done = shop.command("spaces", "backfill", "text_2", "--json")
    assert (done["ready"], done["pending"], done["failed"], done["coverage"]) == (PRODUCTS, 0, 0, 1.0)
    assert time.monotonic() - filling >= (PRODUCTS - 300 - 10) / 150, "no faster than allowed after a burst of two seconds"
    assert shop.server or max(latencies) < 3.0  # a search server that shares the test's processors takes what time it takes
    for number, title in ((7, "thing 7"), (101, "changed 101")):
        np.testing.assert_allclose(shop.engine.read_vectors("text_1", [f"p{number:03}"])[0], direction(title), atol=1e-6)  # type: ignore
        np.testing.assert_allclose(shop.engine.read_vectors("text_2", [f"p{number:03}"])[0], second_document(title), atol=1e-6)  # type: ignore
    assert {a.cosine for a in searcher.answers if abs(a.cosine - 1.0) > 0.01} == set(), "a filled version does not take over by itself"

    # over, back, and gone
    assert "quality gate was not run" in shop.command("spaces", "cutover", "text_2", code=2)["error"]
    started = time.monotonic()
    over = shop.command_of_its_own("spaces", "cutover", "text_2", "--queries", str(judged(shop.folder, [7, 8, 9])), "--json")
    assert (over["before"], over["now"], over["processes"], over["late"]) == ("text_1", "text_2", 2, [])
    assert (over["quality"]["queries"], over["quality"]["old"], over["quality"]["new"]) == (3, 1.0, 1.0)
    shop.wait(
        lambda: {a.api for a in searcher.answers if a.at > started and abs(a.cosine - SECOND_COSINE) < 0.01} == {0, 1}, "the new model"
    )
    assert max(searcher.followed(started, "text_2", SECOND_COSINE)) <= 2.0

    assert "text_2 answers queries" in shop.command("spaces", "drop", "text_2", "--yes", code=2)["error"]
    started = time.monotonic()
    back = shop.command("spaces", "rollback", "text", "--json")
    assert (back["before"], back["now"], back["processes"], back["late"]) == ("text_2", "text_1", 2, [])
    shop.wait(
        lambda: {a.api for a in searcher.answers if a.at > started and abs(a.cosine - 1.0) < 0.01 and a.pinned == "text_1"} == {0, 1},
        "back",
    )
    assert max(searcher.followed(started, "text_1", 1.0)) <= 2.0

    assert shop.command("spaces", "drop", "text_2", "--yes", "--json") == {"dropped": "text_2", "vectors_of": PRODUCTS}
    listed = shop.command("spaces", "list", "--json")["spaces"]
    assert [(s["key"], s["active"], s["coverage"]) for s in listed] == [("text_1", True, 1.0), ("image_1", True, 1.0)]
    assert "No cut-over of 'text' is remembered" in shop.command("spaces", "rollback", "text", code=2)["error"]
    compared = shop.command("reconcile", "--json")
    assert (compared["products"], compared["found"]) == (PRODUCTS, [])
    after = len(searcher.answers)
    shop.wait(lambda: len(searcher.answers) >= after + 4, "answers after the drop")
    searcher.stop.set()
    searcher.join(10.0)
    assert [a for a in searcher.answers if a.fault] == []
    assert len(searcher.answers) > 50
