"""The installed worker on real processes with real weights: pictures and words in, vectors out, and what it says when it cannot start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from hybrid_search.bootstrap import image_roots, open_engine, open_intake
from hybrid_search.catalog.rows import Accepted
from hybrid_search.encoders.passage import passage
from hybrid_search.encoders.registry import image_encoder, text_encoder
from hybrid_search.engines.base import Engine
from hybrid_search.indexing.ingest import ingest
from hybrid_search.product import Product
from hybrid_search.redis_server import RedisServer
from hybrid_search.settings import Settings, load_settings
from hybrid_search.types import Priority, State
from tests.integration.own_group import own_group
from workers.app import feed_requester

COLORS = ("red", "green", "blue", "orange", "purple")
SHAPES = ("mug", "lamp", "plate")


@contextmanager
def worker(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        "HYBRID_SEARCH_HOME": str(settings.home),
        "REDIS_URL": settings.redis_url,
        "HYBRID_SEARCH_TEXT_ENCODER": settings.text_encoder,
        "HYBRID_SEARCH_IMAGE_ENCODER": settings.image_encoder,
        "HYBRID_SEARCH_WORKER_PROCESSES": "1",
        "HYBRID_SEARCH_ALIGN_PAIRS": "25",
        "OMP_NUM_THREADS": "1",
    }
    with own_group("hybrid_search", ["worker", "--beat"], environment, log) as process:
        yield process


def draw(path: Path, color: str, shape: str) -> Path:
    image = Image.new("RGB", (320, 320), "white")
    pen = ImageDraw.Draw(image)
    if shape == "mug":
        pen.rectangle((80, 80, 220, 240), fill=color)
    elif shape == "lamp":
        pen.polygon([(160, 40), (60, 200), (260, 200)], fill=color)
    else:
        pen.ellipse((40, 120, 280, 200), fill=color)
    image.save(path)
    return path


def wait(condition: Callable[[], bool], what: str, log: Path, seconds: float = 120.0) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"waited in vain for {what}\n{log.read_text(errors='replace')[-2_000:]}"
        time.sleep(0.05)
    return time.monotonic() - started


def is_ready(engine: Engine, product_id: str, *spaces: str) -> bool:
    (document,) = engine.fetch([product_id])
    return document is not None and all(s in document.ledger and document.ledger[s].state is State.READY for s in spaces)


@pytest.mark.slow
def test_pictures_and_words_become_vectors_of_the_real_towers(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    products = [
        Product(
            id=f"p{i:02}",
            title=f"{COLORS[i % 5]} {SHAPES[i // 5 % 3]} no {i}",
            category=("Home", SHAPES[i // 5 % 3]),
            images=(str(draw(pictures / f"{i}.{'jpg' if i % 2 else 'png'}", COLORS[i % 5], SHAPES[i // 5 % 3])),),
        )
        for i in range(30)
    ]
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    products.append(Product(id="broken", title="a mug with a broken picture", images=(str(pictures / "broken.jpg"),)))
    log = tmp_path / "worker.log"
    with RedisServer(tmp_path / "redis") as redis:
        settings = load_settings(home=tmp_path / "home", redis_url=redis.url, text_encoder="offline-use")
        engine = open_engine(settings)
        image_roots(settings).add(pictures)
        ingest(engine, [Accepted(product, i) for i, product in enumerate(products)], open_intake(settings))
        with worker(settings, log) as process:
            wait(lambda: is_ready(engine, "p29", "text_1", "image_1", "cross_1"), "vectors and a picture map", log)
            wait(lambda: len(engine.failures()) == 2, "the broken picture's failures", log)
            assert [(f.product_id, f.entry.space) for f in engine.failures()] == [("broken", "cross_1"), ("broken", "image_1")]
            assert is_ready(engine, "broken", "text_1"), "its words are found all the same"

            expected = text_encoder("offline-use").encode_documents([passage(products[7].body())])
            np.testing.assert_allclose(engine.read_vectors("text_1", ["p07"])[0], expected, atol=1e-5)  # type: ignore[arg-type]
            tower = image_encoder(settings.image_encoder)
            picture = open_intake(settings).load(products[7].images[0], min_side=tower.card.image_size)
            stored = engine.read_vectors("image_1", ["p07"])[0]
            assert stored is not None
            assert float((stored[0] * tower.encode_documents([picture])[0]).sum()) > 0.9999

            ingest(
                engine,
                [Accepted(products[0].model_copy(update={"id": "new", "title": "green kettle"}), 1)],
                open_intake(settings),
                priority=Priority.LIVE,
            )
            assert feed_requester(settings)()
            wait(lambda: is_ready(engine, "new", "text_1", "image_1", "cross_1"), "a live change", log, 30.0)

            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(30) == 0
        engine.close()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://:secret@127.0.0.1:1/0", "Redis cannot be reached at redis://:**@127.0.0.1:1/0"),
        ("redis+socket:///nowhere/s.sock?virtual_host=0", "Redis cannot be reached at redis+socket:///nowhere/s.sock"),
        ("nonsense://x", "redis_url begins with 'nonsense', which is no Redis scheme"),
        ("", "redis_url is empty"),
    ],
)
def test_a_worker_without_a_broker_says_so_and_ends(tmp_path: Path, url: str, says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hybrid_search", "worker"],
        env={**os.environ, "REDIS_URL": url, "HYBRID_SEARCH_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_write_never_waits_for_a_broker_that_is_gone(tmp_path: Path) -> None:
    request_feed = feed_requester(load_settings(home=tmp_path, redis_url="redis+socket:///nowhere/s.sock?virtual_host=0"))
    assert not request_feed()
    assert not request_feed()
    assert not feed_requester(load_settings(home=tmp_path, redis_url=""))()
    refused = feed_requester(load_settings(home=tmp_path, redis_url="redis://127.0.0.1:1/0"))  # nothing listens there
    began = time.monotonic()
    assert not refused()
    assert time.monotonic() - began < 4.0
