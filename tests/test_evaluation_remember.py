"""Encoders that remember what their towers computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybrid_search.encoders.base import ModelCard
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.evaluation.remember import RememberingImages, RememberingText
from hybrid_search.types import FloatMatrix


class Letters:
    """An encoder of texts and of pictures that notes what it is asked."""

    def __init__(self, revision: str = "1") -> None:
        self.card = ModelCard("letters", 2, "text", "MIT", revision)
        self.asked: list[object] = []

    def encode_queries(self, items: Sequence[object]) -> FloatMatrix:
        self.asked += items
        return np.array([[0.0, 1.0] for _ in items], dtype=np.float32)

    def encode_documents(self, items: Sequence[object]) -> FloatMatrix:
        self.asked += items
        angles = np.array([len(item) if isinstance(item, str) else item.getpixel((0, 0))[0] for item in items], dtype=np.float32)  # type: ignore[attr-defined]
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[EmbeddedEngine]:
    engine = EmbeddedEngine(tmp_path, index=False)
    yield engine
    engine.close()


def test_a_second_run_computes_only_what_is_new(memory: EmbeddedEngine) -> None:
    first, second = Letters(), Letters()
    before = RememberingText(first, memory).encode_documents(["mug", "teapot", "mug"])
    after = RememberingText(second, memory).encode_documents(["teapot", "saucers", "mug"])
    assert first.asked == ["mug", "teapot"]
    assert second.asked == ["saucers"]
    np.testing.assert_array_equal(after[[2, 0]], before[:2])
    np.testing.assert_allclose(after[1], [np.cos(7), np.sin(7)], rtol=1e-6)


def test_queries_and_other_revisions_are_apart(memory: EmbeddedEngine) -> None:
    RememberingText(Letters(), memory).encode_documents(["mug"])
    assert RememberingText(Letters(), memory).encode_queries(["mug"]).tolist() == [[0.0, 1.0]]
    newer = Letters("2")
    RememberingText(newer, memory).encode_documents(["mug"])
    assert newer.asked == ["mug"]


def test_pictures_are_known_by_their_pixels(memory: EmbeddedEngine) -> None:
    tower = Letters()
    pictures = [Image.new("RGB", size, (shade, 0, 0)) for size, shade in (((2, 3), 1), ((3, 2), 1), ((2, 3), 2), ((2, 3), 1))]
    rows = RememberingImages(tower, memory).encode_documents(pictures)
    assert len(tower.asked) == 3
    np.testing.assert_allclose(rows[:, 0], np.cos([1, 1, 2, 1]), rtol=1e-6)


def test_nothing_in_nothing_out(memory: EmbeddedEngine) -> None:
    assert RememberingText(Letters(), memory).encode_documents([]).shape == (0, 2)
