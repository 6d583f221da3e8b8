"""What the indexing tests share: small products, encoders that count what they are asked, an image source of drawn pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from hybrid_search.encoders.arrays import normalised
from hybrid_search.encoders.base import ImageEncoder, ModelCard, TextEncoder
from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.errors import EncoderError, ImageError
from hybrid_search.indexing.embed import ChunkReport, EmbedLimits, embed_chunk
from hybrid_search.indexing.maps import MapShelf
from hybrid_search.indexing.parts import part_hashes
from hybrid_search.indexing.producers import Producers
from hybrid_search.indexing.spaces import ensure_spaces
from hybrid_search.product import Product
from hybrid_search.types import FloatMatrix, Priority, WriteResult

DIM = 8


def direction(seed: str, dim: int = DIM) -> FloatMatrix:
    """``(1, dim)`` of length one, the same for the same seed."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
    return normalised(np.random.default_rng(number).normal(size=(1, dim)).astype(np.float32))


@dataclass
class CountingText:
    """Every text gets its own direction; ``calls`` are the texts it was asked for."""

    card: ModelCard = ModelCard("tiny-text", DIM, "text", "CC0-1.0", "1")
    calls: list[str] = field(default_factory=list)
    before: Callable[[Sequence[str]], None] = lambda texts: None

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return np.concatenate([direction(text) for text in texts]) if texts else np.zeros((0, DIM), np.float32)

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        self.before(texts)
        self.calls += texts
        return self.encode_queries(texts)


@dataclass
class CountingImage:
    """A picture's direction comes from its middle pixel; red pictures (255, 0, 0) break the whole batch."""

    card: ModelCard = ModelCard("tiny-image", DIM, "image", "CC0-1.0", "1", image_size=4)
    calls: list[tuple[int, ...]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    def encode_queries(self, images: Sequence[Image.Image]) -> FloatMatrix:
        return self.encode_documents(images)

    def encode_documents(self, images: Sequence[Image.Image]) -> FloatMatrix:
        self.batches.append(len(images))
        colors = [tuple(np.asarray(image)[0, 0].tolist()) for image in images]
        if (255, 0, 0) in colors:
            raise RuntimeError("red is poison")
        self.calls += colors
        return np.concatenate([direction(str(color)) for color in colors])


@dataclass
class DrawnPictures:
    """``color:#rrggbb`` is a picture of that colour, ``gone:x`` is missing for good, ``slow:#rrggbb`` times out while it is in ``down``."""

    down: set[str] = field(default_factory=set)
    loads: list[str] = field(default_factory=list)

    def load(self, reference: str, *, min_side: int = 0) -> Image.Image:
        self.loads.append(reference)
        kind, _, color = reference.partition(":")
        if kind == "gone":
            raise ImageError("path_missing", "There is no such file.")
        if reference in self.down:
            raise ImageError("timeout", "The image did not arrive in time.", transient=True)
        return Image.new("RGB", (min_side, min_side), color)

    def content_hash(self, reference: str) -> str:
        if reference.startswith("gone"):
            raise ImageError("path_missing", "There is no such file.")
        return hashlib.sha256(reference.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class OneTowerEach:
    """The encoders of a process, as ``hybrid_search.query.parts.Encoders`` gives them."""

    text: CountingText
    image: CountingImage

    def text_encoder(self, model: str) -> TextEncoder:
        if model != self.text.card.name:
            raise EncoderError(f"No text encoder {model!r} here.")
        return self.text

    def image_encoder(self, model: str) -> ImageEncoder:
        if model != self.image.card.name:
            raise EncoderError(f"No image encoder {model!r} here.")
        return self.image


class Shop:
    """An embedded engine in a folder, with towers, pictures and a clock that only moves when told."""

    def __init__(self, home: Path) -> None:
        self.now = 1_000.0
        self.home = home
        self.engine = EmbeddedEngine(home, index=False, retry_pause=2.0, max_attempts=3, clock=lambda: self.now)
        self.text, self.image, self.pictures = CountingText(), CountingImage(), DrawnPictures()
        self.maps = MapShelf(home, self.engine)
        self.producers = Producers(OneTowerEach(self.text, self.image), self.maps)
        self.limits = EmbedLimits(write_every=4, beat_every=60.0)
        ensure_spaces(self.engine, self.text.card, self.image.card)

    def put(self, *products: Product, priority: Priority = Priority.LIVE) -> list[WriteResult]:
        return self.engine.put([ProductWrite(p, part_hashes(p, self.pictures)) for p in products], priority=priority)

    def embed(self, chunk_id: str) -> ChunkReport:
        return embed_chunk(chunk_id, self.engine, self.producers, self.pictures, self.limits)

    def embed_all(self, *, size: int = 64) -> list[ChunkReport]:
        """Feed and embed until nothing may be started at this time."""
        reports: list[ChunkReport] = []
        while chunks := self.engine.open_chunks(at_most=100, size=size):
            reports += [self.embed(chunk.id) for chunk in chunks]
        return reports

    def vectors(self, space: str, product_id: str) -> FloatMatrix:
        """What is stored, ``(m, dim)``."""
        (found,) = self.engine.read_vectors(space, [product_id])
        assert found is not None, f"{product_id} has no vectors in {space}"
        return found

    def ledger(self, product_id: str) -> Mapping[str, tuple[str, int, str | None]]:
        """State, attempts and error by space."""
        document = self.engine.fetch([product_id])[0]
        assert document is not None
        return {key: (entry.state.value, entry.attempts, entry.error) for key, entry in document.ledger.items()}


def product(number: int, *images: str, **fields: object) -> Product:
    """Product ``p<number>`` with a title of its own."""
    return Product.model_validate({"id": f"p{number}", "title": f"thing {number}", "images": images, **fields})


def color(number: int) -> str:
    """A drawn picture of its own colour, never the poisonous red."""
    return f"color:#{number * 7 % 256:02x}{number % 256:02x}01"
