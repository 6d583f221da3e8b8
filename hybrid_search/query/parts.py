"""What the query layer works with, joined by ``hybrid_search.bootstrap``: the engine, the encoders, the control document, the intake."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from hybrid_search.catalog.images import ImageIntake
from hybrid_search.control import ControlReader
from hybrid_search.encoders.base import ImageEncoder, TextEncoder
from hybrid_search.engines.base import Engine
from hybrid_search.errors import EncoderError, EngineError
from hybrid_search.types import FloatVector, Space, State

COMPLETE = 0.995
"""A newer version of a space takes over by itself when it has vectors for this share of the products that the older one has them for."""


@dataclass(frozen=True, slots=True)
class Encoders:
    """The towers of this process, by model name (``ModelCard.name``)."""

    text: Mapping[str, TextEncoder]
    image: Mapping[str, ImageEncoder]

    def text_encoder(self, model: str) -> TextEncoder:
        """Raises ``EncoderError`` when the space was filled by a model that this process does not have."""
        if model not in self.text:
            raise EncoderError(
                f"No text encoder {model!r} here.",
                field="text_encoder",
                value=model,
                remedy=f"Set text_encoder to it; known: {', '.join(self.text)}.",
            )
        return self.text[model]

    def image_encoder(self, model: str) -> ImageEncoder:
        """Raises ``EncoderError`` when the space was filled by a model that this process does not have."""
        if model not in self.image:
            raise EncoderError(
                f"No image encoder {model!r} here.",
                field="image_encoder",
                value=model,
                remedy=f"Set image_encoder to it; known: {', '.join(self.image)}.",
            )
        return self.image[model]


class SpaceReader:
    """Which space answers for each name, read from the engine at most every ``every`` seconds; the last answer stands when it cannot be read."""

    def __init__(self, engine: Engine, models: Collection[str] = (), *, every: float = 1.0) -> None:
        self._engine = engine
        self._models = frozenset(models)
        self._every = every
        self._lock = threading.Lock()
        self._due = 0.0
        self._seen: tuple[tuple[Space, ...], Mapping[str, int]] | None = None

    def active(self, chosen: Mapping[str, str]) -> dict[str, Space]:
        """Space by name: the ``chosen`` key where it exists, else the newest complete version, else the oldest one.

        Versions whose query models this process has (``models``) come first: while a shop moves from one encoder to another, each
        process asks the version that it can encode for.

        The first call waits for the engine's answer; raises ``EngineUnavailable`` when there has never been one.
        """
        now = time.monotonic()
        if (now >= self._due or self._seen is None) and self._lock.acquire(blocking=self._seen is None):
            try:
                if now >= self._due or self._seen is None:
                    self._due = now + self._every
                    ready = {key: states.get(State.READY, 0) for key, states in self._engine.status().states.items()}
                    self._seen = (self._engine.spaces(), ready)
            except EngineError:
                if self._seen is None:
                    raise
            finally:
                self._lock.release()
        assert self._seen is not None
        spaces, counts = self._seen
        usable = tuple(space for space in spaces if self._models.issuperset(space.query_models.values()))
        return choose_spaces(spaces, counts, chosen) | choose_spaces(usable, counts, chosen)


def choose_spaces(spaces: tuple[Space, ...], ready: Mapping[str, int], chosen: Mapping[str, str]) -> dict[str, Space]:
    """Pure form of ``SpaceReader.active``; ``ready`` counts by space key the products that have their vectors."""
    active: dict[str, Space] = {}
    for space in sorted(spaces, key=lambda s: s.version):
        before = active.get(space.name)
        if before is None or ready.get(space.key, 0) >= max(1.0, COMPLETE * ready.get(before.key, 0)):
            active[space.name] = space
    by_key = {space.key: space for space in spaces}
    return active | {name: by_key[key] for name, key in chosen.items() if key in by_key and by_key[key].name == name}


@dataclass(frozen=True)
class SearchParts:
    """Everything a search needs; safe to share between threads."""

    engine: Engine
    control: ControlReader
    spaces: SpaceReader
    encoders: Encoders
    intake: ImageIntake
    secret: bytes
    max_query_chars: int = 256
    max_window: int = 1_000
    timeout: float | None = 5.0
    query_vector: Callable[[str, str], FloatVector] = field(init=False, repr=False)
    """``(model, text) -> (dim,)``, the last 2,000 answers kept: shoppers ask the same again and again."""
    query_vector_cache: Callable[[], tuple[int, int]] = field(init=False, repr=False)
    """Hits and misses of ``query_vector`` since the start."""

    def __post_init__(self) -> None:
        def encode(model: str, text: str) -> FloatVector:
            vector: FloatVector = self.encoders.text_encoder(model).encode_queries([text])[0]
            vector.setflags(write=False)
            return vector

        cached = lru_cache(maxsize=2_000)(encode)
        object.__setattr__(self, "query_vector", cached)
        object.__setattr__(self, "query_vector_cache", lambda: cached.cache_info()[:2])
