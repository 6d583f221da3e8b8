"""The work of one chunk, on a real engine with encoders that count what they are asked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybrid_search.errors import EncoderError
from hybrid_search.indexing.embed import LACKING_PAUSE, EmbedLimits
from hybrid_search.indexing.faults import Fault
from hybrid_search.indexing.pictures import encode_pictures
from hybrid_search.indexing.towers import ImageTower
from hybrid_search.types import FloatMatrix, Space
from tests.indexing_parts import DrawnPictures, Shop, color, direction, product

READY = ("ready", 0, None)


def assert_close(vectors: FloatMatrix, *rows: FloatMatrix) -> None:
    np.testing.assert_allclose(vectors, np.concatenate(rows), atol=1e-6)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "home")
    yield made
    made.engine.close()


def test_words_and_pictures_become_the_towers_vectors(shop: Shop) -> None:
    shop.put(product(1, "color:#0000ff", "color:#00ff00"), product(2), product(3, "color:#0000ff"))
    (report,) = shop.embed_all()
    assert (report.written, report.failed) == (5, 0)
    assert_close(shop.vectors("text_1", "p2"), direction("thing 2"))
    assert_close(shop.vectors("image_1", "p1"), direction("(0, 0, 255)"), direction("(0, 255, 0)"))
    assert_close(shop.vectors("image_1", "p3"), direction("(0, 0, 255)"))
    assert shop.ledger("p2") == {"text_1": READY}
    assert sorted(shop.image.calls) == [(0, 0, 255), (0, 255, 0)], "a picture that two products share is encoded once"


def test_a_refill_calls_no_tower(shop: Shop) -> None:
    shop.put(*(product(i, color(i)) for i in range(10)))
    shop.embed_all()
    texts, images = len(shop.text.calls), len(shop.image.calls)
    for space in shop.engine.spaces():
        shop.engine.drop_space(space.key)
        shop.engine.add_space(replace(space, version=2))
    shop.embed_all()
    assert shop.ledger("p9") == {"text_2": READY, "image_2": READY}
    assert (len(shop.text.calls), len(shop.image.calls)) == (texts, images) == (10, 10)
    assert len(shop.pictures.loads) == 10


def test_an_unchanged_part_is_not_embedded_again(shop: Shop) -> None:
    shop.put(product(1, color(1)))
    shop.embed_all()
    shop.put(product(1, color(1), price=5.0, currency="EUR"))
    assert shop.embed_all() == []
    shop.put(product(1, color(2)))
    shop.embed_all()
    assert len(shop.text.calls) == 1
    assert len(shop.image.calls) == 2


def test_one_poisonous_picture_spoils_no_other(shop: Shop) -> None:
    shop.limits = EmbedLimits(write_every=16, beat_every=60.0)
    shop.put(*(product(i, "color:#ff0000" if i == 11 else color(i)) for i in range(16)))
    shop.embed_all()
    for i in range(16):
        if i != 11:
            assert shop.ledger(f"p{i}") == {"text_1": READY, "image_1": READY}
    state, attempts, error = shop.ledger("p11")["image_1"]
    assert (state, attempts, error) == ("pending", 1, "encoder: RuntimeError: red is poison")
    assert shop.ledger("p11")["text_1"] == READY
    assert shop.image.batches[0] == 16
    assert max(shop.image.batches[1:]) == 8, "halves, not one by one"


def test_a_picture_that_can_never_be_read_fails_at_once_with_its_reason(shop: Shop) -> None:
    shop.put(product(1, "gone:x"))
    shop.embed_all()
    assert shop.ledger("p1") == {"text_1": READY, "image_1": ("failed", 1, "path_missing: There is no such file.")}
    assert shop.engine.read_vectors("image_1", ["p1"]) == [None]


def test_good_pictures_of_a_product_are_embedded_and_the_bad_one_noted(shop: Shop) -> None:
    shop.put(product(1, "color:#0000ff", "gone:x", "color:#00ff00"))
    shop.embed_all()
    assert shop.ledger("p1")["image_1"] == ("ready", 0, "path_missing: picture 2 of 3: There is no such file.")
    assert_close(shop.vectors("image_1", "p1"), direction("(0, 0, 255)"), direction("(0, 255, 0)"))


def test_a_transient_fault_is_tried_three_times_with_pauses(shop: Shop) -> None:
    shop.pictures.down.add("slow:#0000ff")
    shop.put(product(1, "slow:#0000ff"))
    states = []
    for _ in range(3):
        shop.embed_all()
        states.append(shop.ledger("p1")["image_1"][:2])
        assert shop.embed_all() == [], "not before the pause is over"
        shop.now += 10.0
    assert states == [("pending", 1), ("pending", 2), ("failed", 3)]
    assert len(shop.pictures.loads) == 3
    shop.pictures.down.clear()
    assert shop.engine.retry_failures() == 1
    shop.embed_all()
    assert shop.ledger("p1")["image_1"][0] == "ready"


def test_a_product_waits_for_a_slow_picture_but_not_for_ever(shop: Shop) -> None:
    shop.pictures.down.add("slow:#0000ff")
    shop.put(product(1, "slow:#0000ff", "color:#00ff00"))
    shop.embed_all()
    assert shop.ledger("p1")["image_1"][0] == "pending"
    for _ in range(2):
        shop.now += 10.0
        shop.embed_all()
    state, _, error = shop.ledger("p1")["image_1"]
    assert (state, error) == ("ready", "timeout: picture 1 of 2: The image did not arrive in time.")
    assert_close(shop.vectors("image_1", "p1"), direction("(0, 255, 0)"))


def test_vectors_of_words_that_changed_meanwhile_are_refused(shop: Shop) -> None:
    shop.put(product(1))

    def change(texts: Sequence[str]) -> None:
        shop.put(product(1, description="new words"))

    shop.text.before = change
    chunks = shop.engine.open_chunks(at_most=1, size=1)
    assert shop.embed(chunks[0].id).written == 0
    shop.text.before = lambda texts: None
    shop.embed_all()
    assert_close(shop.vectors("text_1", "p1"), direction("thing 1 new words"))


def test_a_second_delivery_of_a_message_does_nothing(shop: Shop) -> None:
    shop.put(product(1))
    (chunk,) = shop.engine.open_chunks(at_most=1, size=64)
    assert not shop.embed(chunk.id).dropped
    assert shop.embed(chunk.id).dropped
    assert shop.embed("no such chunk").dropped
    assert len(shop.text.calls) == 1


def test_work_stops_when_the_chunk_was_given_up(shop: Shop) -> None:
    shop.limits = EmbedLimits(write_every=1, beat_every=0.01)
    shop.put(*(product(i) for i in range(8)))
    (chunk,) = shop.engine.open_chunks(at_most=1, size=64)

    def give_up(texts: Sequence[str]) -> None:
        if len(shop.text.calls) == 2:
            shop.now += 100.0
            assert shop.engine.give_up_chunks(silent_for=50.0) == 1
            time.sleep(0.2)

    shop.text.before = give_up
    report = shop.embed(chunk.id)
    assert report.lost
    assert len(shop.text.calls) == 3, "the product at hand is finished, no further one is begun"


def test_a_killed_chunk_repeats_one_small_group_at_most(shop: Shop) -> None:
    shop.put(*(product(i, color(i)) for i in range(32)))

    def die(texts: Sequence[str]) -> None:
        if len(shop.text.calls) == 16:
            raise SystemExit  # as abrupt as a test can be in-process: nothing below the task runs on

    shop.text.before = die
    (chunk,) = shop.engine.open_chunks(at_most=1, size=64)
    with pytest.raises(SystemExit):
        shop.embed(chunk.id)
    shop.text.before = lambda texts: None
    shop.now += 100.0
    assert shop.engine.give_up_chunks(silent_for=12.0) == 1
    assert all(len(chunk.product_ids) == 1 for chunk in shop.engine.open_chunks(at_most=1, size=64)), "the others come alone"
    shop.now += 100.0
    for again in shop.engine.stale_chunks(queued_for=1.0):
        shop.embed(again.id)
    shop.embed_all()
    assert all(shop.ledger(f"p{i}") == {"text_1": READY, "image_1": READY} for i in range(32))
    assert len(shop.text.calls) == 32
    assert len(shop.image.calls) <= 32 + shop.limits.write_every


def test_a_model_that_cannot_be_had_is_the_reason_of_the_failure(shop: Shop) -> None:
    shop.engine.add_space(Space("text", 2, 8, "text", "another-model", {"text": "another-model"}))
    shop.put(product(1))
    shop.embed_all()
    assert shop.ledger("p1")["text_1"] == READY
    assert shop.ledger("p1")["text_2"] == ("pending", 0, "model: No text encoder 'another-model' here.")
    shop.now += LACKING_PAUSE - 1
    assert shop.embed_all() == [], "left alone for a while"
    shop.now += 1
    assert [report.failed for report in shop.embed_all()] == [1], "then asked again, without an attempt"
    assert shop.ledger("p1")["text_2"][:2] == ("pending", 0)


def test_weights_that_do_not_load_fail_the_products_not_the_worker(shop: Shop) -> None:
    def missing(texts: Sequence[str]) -> None:
        raise EncoderError("The weights are not there.", remedy="Fetch them.")

    shop.text.before = missing
    shop.put(product(1, color(1)))
    shop.embed_all()
    assert shop.ledger("p1") == {"text_1": ("pending", 0, "model: The weights are not there. Fetch them."), "image_1": READY}


def test_a_chunk_that_takes_too_long_gives_the_rest_back(shop: Shop) -> None:
    shop.limits = EmbedLimits(write_every=4, beat_every=60.0, seconds=0.0)
    shop.put(*(product(i) for i in range(10)))
    (first, *others) = shop.embed_all()
    assert first.written == 4
    assert [report.written for report in others] == [4, 2]


def test_numbers_that_are_not_finite_are_no_vector(shop: Shop) -> None:
    broken = shop.text.encode_queries
    shop.text.encode_queries = lambda texts: broken(texts) * np.float32("nan")  # type: ignore[method-assign]
    shop.put(product(1))
    shop.embed_all()
    assert shop.ledger("p1")["text_1"] == ("failed", 1, "encoder: The model gave numbers that are not finite.")


@dataclass
class Web:
    """``https://shop.example/<rrggbb>`` is a picture of that colour; remembers how many were fetched at the same time."""

    pictures: DrawnPictures
    at_once: int = 0
    most: int = 0

    def load(self, reference: str, *, min_side: int = 0) -> Image.Image:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        time.sleep(0.02)
        self.at_once -= 1
        return self.pictures.load("color:#" + reference.rpartition("/")[2], min_side=min_side)


def test_pictures_from_the_web_are_fetched_side_by_side_and_kept_in_order(shop: Shop) -> None:
    web = Web(shop.pictures)
    rows = encode_pictures([f"https://shop.example/00{n:02x}00" for n in range(12)], ImageTower("t", shop.image.encode_documents, 4), web)
    assert web.most > 1
    for n, row in enumerate(rows):
        assert not isinstance(row, Fault)
        assert_close(row[None, :], direction(f"(0, {n}, 0)"))
