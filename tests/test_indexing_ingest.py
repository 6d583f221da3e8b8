"""Rows into the engine, content hashes, progress figures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from hybrid_search.catalog.images import ImageIntake, ImageLimits
from hybrid_search.catalog.rows import Accepted, Reject, RejectsFile
from hybrid_search.engines.base import EngineStatus, QueueCounts
from hybrid_search.indexing.ingest import ingest
from hybrid_search.indexing.parts import part_hashes, text_hash
from hybrid_search.indexing.progress import Progress
from hybrid_search.types import State
from tests.indexing_parts import DrawnPictures, Shop, color, product


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "home")
    yield made
    made.engine.close()


def test_rows_become_products_and_rejects_a_file(shop: Shop, tmp_path: Path) -> None:
    rows = [Accepted(product(i, color(i)), i) for i in range(7)]
    seen: list[int] = []
    with RejectsFile(tmp_path / "rejects.jsonl") as rejects:
        summary = ingest(
            shop.engine,
            [*rows, Reject(8, "price", "-1", "must not be negative")],
            shop.pictures,
            rejects=rejects,
            batch=3,
            on_progress=lambda s: seen.append(s.created),
        )
    assert (summary.accepted, summary.rejected, summary.created, summary.unchanged) == (7, 1, 7, 0)
    assert seen == [3, 6, 7]
    assert '"field":"price"' in (tmp_path / "rejects.jsonl").read_text()
    again = ingest(shop.engine, rows, shop.pictures)
    assert (again.created, again.updated, again.unchanged) == (0, 0, 7)
    changed = ingest(shop.engine, [Accepted(product(1, color(1), price=3.0), 1)], shop.pictures)
    assert (changed.created, changed.updated, changed.unchanged) == (0, 1, 0)


def test_what_was_acknowledged_before_an_error_stays(shop: Shop) -> None:
    def broken() -> Iterator[Accepted]:
        yield from (Accepted(product(i), i) for i in range(4))
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="went away"):
        ingest(shop.engine, broken(), shop.pictures, batch=2)
    assert shop.engine.status().products == 4


def test_hashes_follow_the_words_and_the_bytes_and_nothing_else(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "blue").save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    (tmp_path / "b.png").write_bytes(buffer.getvalue())
    intake = ImageIntake(ImageLimits(roots=(tmp_path,)))
    a = part_hashes(product(1, str(tmp_path / "a.png"), price=1.0), intake)
    b = part_hashes(product(1, str(tmp_path / "b.png"), price=2.0, sku="X"), intake)
    assert a == b
    assert a["text"] == (text_hash("thing 1"),)
    (tmp_path / "b.png").write_bytes(buffer.getvalue() + b"\0")
    assert part_hashes(product(1, str(tmp_path / "b.png")), intake)["image"] != a["image"]


def test_parts_a_product_does_not_have_are_left_out_and_unreadable_pictures_keep_their_place() -> None:
    pictures = DrawnPictures()
    assert part_hashes(product(1, title=""), pictures) == {}
    assert part_hashes(product(1), pictures).keys() == {"text"}
    hashes = part_hashes(product(1, "gone:x", color(1), "gone:y"), pictures)["image"]
    assert len(set(hashes)) == 3
    assert hashes[1] == pictures.content_hash(color(1))


def status(pending: int, ready: int, failed: int = 0) -> EngineStatus:
    counts = {State.PENDING: pending, State.READY: ready, State.FAILED: failed}
    return EngineStatus("embedded", 10, {"text_1": counts, "image_1": counts}, QueueCounts(), 1, 1)


def test_rate_and_remaining_time() -> None:
    progress = Progress(window=10.0)
    first = progress.observe(status(100, 0), now=0.0)
    assert (first.pending, first.rate, first.eta) == (200, None, None)
    second = progress.observe(status(79, 20, 1), now=4.0)
    assert (second.done, second.total, second.rate, second.eta) == (42, 200, 42 / 4, 158 / (42 / 4))
    refilled = progress.observe(status(90, 9, 1), now=6.0)
    assert refilled.rate == 42 / 6, "what became pending again is no negative work"
    assert progress.observe(status(90, 9, 1), now=30.0).rate == 0.0
    assert progress.observe(status(90, 9, 1), now=31.0).eta is None
    assert progress.observe(status(0, 99, 1), now=32.0).eta == 0.0
