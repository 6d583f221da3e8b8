"""What every encoder must do. A family's tests subclass one of these and give an ``encoder`` fixture."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from hybrid_search.encoders.base import ImageEncoder, TextEncoder
from hybrid_search.types import FloatMatrix

TOLERANCE = 1e-5
FORK_TIMEOUT = 120.0

TEXTS: tuple[str, ...] = (
    "red running shoe",
    "a",
    "Waterproof hiking jacket with three pockets, taped seams, an adjustable hood and a warm lining for cold autumn days in the mountains. "
    * 3,
    "防水登山外套",
    "café crème, naïve résumé",
    "USB-C cable 2m 60W",
    "  spaces   around  ",
    "🦊 fox plush",
)
"""Short, long, Chinese, accented, with emoji and stray spaces."""


def pictures(count: int) -> list[Image.Image]:
    """Seeded pictures of different sizes and shapes, mode RGB."""
    rng = np.random.default_rng(7)
    sizes = [(224, 224), (40, 90), (300, 120), (64, 64), (33, 57)]
    return [Image.fromarray(rng.integers(0, 256, (*sizes[i % len(sizes)], 3), dtype=np.uint8)) for i in range(count)]


def assert_rows(rows: FloatMatrix, count: int, dim: int) -> None:
    assert rows.shape == (count, dim)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), np.ones(count), atol=TOLERANCE)


def in_forked_child(encode: Callable[[Sequence[Any]], FloatMatrix], items: Sequence[Any]) -> FloatMatrix:
    """``encode(items)`` as a child gets it that was forked now. Fails when the child hangs or dies."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(encode(items)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork beside threads; that fork is what is tested
        child.start()
    try:
        assert receiver.poll(FORK_TIMEOUT), "the forked child gave no answer"
        rows: FloatMatrix = receiver.recv()
        return rows
    finally:
        child.kill()
        child.join()


class TextEncoderContract:
    def test_card(self, encoder: TextEncoder) -> None:
        card = encoder.card
        assert card.name and card.license and card.modality == "text"
        assert card.dim > 0 and card.image_size == 0

    def test_nothing_gives_an_empty_matrix(self, encoder: TextEncoder) -> None:
        for rows in (encoder.encode_queries([]), encoder.encode_documents([])):
            assert rows.shape == (0, encoder.card.dim) and rows.dtype == np.float32

    def test_rows_have_length_one_on_both_sides(self, encoder: TextEncoder) -> None:
        assert_rows(encoder.encode_queries(TEXTS), len(TEXTS), encoder.card.dim)
        assert_rows(encoder.encode_documents(TEXTS), len(TEXTS), encoder.card.dim)

    def test_a_batch_equals_its_items_alone(self, encoder: TextEncoder) -> None:
        texts = [f"{text} {i}" for i in range(4) for text in TEXTS]
        alone = np.concatenate([encoder.encode_documents([text]) for text in texts])
        np.testing.assert_allclose(encoder.encode_documents(texts), alone, atol=TOLERANCE)

    def test_order_of_the_input_is_kept(self, encoder: TextEncoder) -> None:
        forward, backward = encoder.encode_queries(TEXTS), encoder.encode_queries(TEXTS[::-1])
        np.testing.assert_allclose(forward, backward[::-1], atol=TOLERANCE)
        assert abs(float(forward[0] @ forward[2])) < 1 - 1e-4, "different texts have different vectors"

    def test_a_short_text_does_not_feel_a_long_neighbour(self, encoder: TextEncoder) -> None:
        beside = encoder.encode_documents(["red shoe", "a very long text about everything a shop could sell " * 40])
        np.testing.assert_allclose(beside[:1], encoder.encode_documents(["red shoe"]), atol=TOLERANCE)

    def test_the_same_twice(self, encoder: TextEncoder) -> None:
        np.testing.assert_array_equal(encoder.encode_documents(TEXTS), encoder.encode_documents(TEXTS))

    def test_odd_texts_are_texts(self, encoder: TextEncoder) -> None:
        odd = ["", " ", "\x00", "half a pair \ud83d here", "x" * 20_000, "\n\t"]
        assert_rows(encoder.encode_queries(odd), len(odd), encoder.card.dim)

    def test_a_forked_child_encodes_the_same(self, encoder: TextEncoder) -> None:
        mine = encoder.encode_documents(TEXTS)
        np.testing.assert_allclose(in_forked_child(encoder.encode_documents, TEXTS), mine, atol=TOLERANCE)


class ImageEncoderContract:
    def test_card(self, encoder: ImageEncoder) -> None:
        card = encoder.card
        assert card.name and card.license and card.modality == "image"
        assert card.dim > 0 and card.image_size > 0

    def test_nothing_gives_an_empty_matrix(self, encoder: ImageEncoder) -> None:
        for rows in (encoder.encode_queries([]), encoder.encode_documents([])):
            assert rows.shape == (0, encoder.card.dim) and rows.dtype == np.float32

    def test_rows_have_length_one_on_both_sides(self, encoder: ImageEncoder) -> None:
        assert_rows(encoder.encode_queries(pictures(3)), 3, encoder.card.dim)
        assert_rows(encoder.encode_documents(pictures(3)), 3, encoder.card.dim)

    def test_a_batch_equals_its_items_alone(self, encoder: ImageEncoder) -> None:
        images = pictures(32)
        alone = np.concatenate([encoder.encode_documents([image]) for image in images])
        np.testing.assert_allclose(encoder.encode_documents(images), alone, atol=TOLERANCE)

    def test_the_same_twice_and_pictures_untouched(self, encoder: ImageEncoder) -> None:
        images = pictures(3)
        before = [image.tobytes() for image in images]
        np.testing.assert_array_equal(encoder.encode_documents(images), encoder.encode_documents(images))
        assert [image.tobytes() for image in images] == before

    def test_plain_and_tiny_pictures_are_pictures(self, encoder: ImageEncoder) -> None:
        odd = [Image.new("RGB", (1, 1)), Image.new("RGB", (500, 1), "white"), Image.new("RGB", (8, 300), "red")]
        assert_rows(encoder.encode_queries(odd), len(odd), encoder.card.dim)

    def test_a_forked_child_encodes_the_same(self, encoder: ImageEncoder) -> None:
        images = pictures(2)
        mine = encoder.encode_documents(images)
        np.testing.assert_allclose(in_forked_child(encoder.encode_documents, images), mine, atol=TOLERANCE)
