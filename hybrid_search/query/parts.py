"""What the query layer works with, joined by ``hybrid_search.bootstrap``: the engine, the encoders, the control document, the intake."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol, TypeVar

from PIL import Image

from hybrid_search.catalog.images import ImageIntake
from hybrid_search.control import ControlReader
from hybrid_search.encoders.base import ImageEncoder, ModelCard, TextEncoder
from hybrid_search.encoders.registry import IMAGE_ENCODERS, TEXT_ENCODERS, image_encoder, text_encoder
from hybrid_search.engines.base import Engine
from hybrid_search.errors import EncoderError, EngineError, EngineUnavailable
from hybrid_search.types import FloatVector, Space, State
from hybrid_search.waiting import Reading, turn

COMPLETE = 0.995
"""A newer version of a space takes over by itself when it has vectors for this share of the products that the older one has them for."""


class Encoders:
    """The towers of this process, by model name (``ModelCard.name``): those of its settings, and others that it can make. Threads may share it.

    Args:
        text: text towers of the settings.
        image: image towers of the settings.
        specs: how other models are made, by model name (``Control.encoders``); a model of the registry needs no line there. Called with
            whether the last known answer will not do.
    """

    def __init__(
        self,
        text: Mapping[str, TextEncoder],
        image: Mapping[str, ImageEncoder],
        specs: Callable[[bool], Mapping[str, str]] = lambda fresh: {},
    ) -> None:
        self.text = text
        self.image = image
        self._specs = specs
        self._ready: set[tuple[str, str]] = set()

    def text_encoder(self, model: str) -> TextEncoder:
        """Raises ``EncoderError`` when this process neither has nor can make the model."""
        if model in self.text:
            return self.text[model]
        return self._made(model, "text", TEXT_ENCODERS, text_encoder)

    def image_encoder(self, model: str) -> ImageEncoder:
        """Raises ``EncoderError`` when this process neither has nor can make the model."""
        if model in self.image:
            return self.image[model]
        return self._made(model, "image", IMAGE_ENCODERS, image_encoder)

    def can_ask(self, space: Space) -> bool:
        """Whether this process can make the space's query models, as far as that is known without loading weights."""
        try:
            for modality, model in space.query_models.items():
                _ = self.text_encoder(model) if modality == "text" else self.image_encoder(model)
        except EncoderError:
            return False
        return True

    def at_hand(self, space: Space) -> bool:
        """Whether queries can be encoded for the space without loading anything new: its models are the settings', or were prepared."""
        own = {"text": self.text, "image": self.image}
        return all(model in own[modality] or (modality, model) in self._ready for modality, model in space.query_models.items())

    def prepare(self, space: Space) -> None:
        """Load the space's query models and encode once with each. Raises ``EncoderError`` when one cannot be had."""
        for modality, model in space.query_models.items():
            if modality == "text":
                self.text_encoder(model).encode_queries(["ready"])
            else:
                self.image_encoder(model).encode_queries([Image.new("RGB", (64, 64), "grey")])
            self._ready.add((modality, model))

    def _made(self, model: str, modality: str, registry: Collection[str], make: Callable[[str], E]) -> E:
        default = model if model in registry else ""
        spec = self._specs(False).get(model, default) or self._specs(True).get(model, "")
        own = ", ".join(self.text if modality == "text" else self.image)
        if not spec:
            raise EncoderError(
                f"No {modality} encoder {model!r} here.",
                field=f"{modality}_encoder",
                value=model,
                remedy=f"Set {modality}_encoder to it, or name it in control.encoders; known: {own}.",
            )
        encoder = make(spec)
        if encoder.card.name != model:
            raise EncoderError(
                f"The encoder {spec!r} makes {encoder.card.name!r} here, not {model!r}.",
                field="encoders",
                value=spec,
                remedy="Give this machine the same weights, or add a space for the new ones.",
            )
        return encoder


class _Named(Protocol):
    @property
    def card(self) -> ModelCard: ...


E = TypeVar("E", bound=_Named)


class SpaceReader:
    """Which space answers for each name, read from the engine at most every ``every`` seconds; the last answer stands when it cannot be read.

    Args:
        engine: where the spaces are.
        prefer: versions that this process would rather ask, because it has their models; all of them by default.
        every: seconds between two readings.
        pinned: space key by name, before all that the control document says: for comparing two versions.
    """

    def __init__(
        self,
        engine: Engine,
        prefer: Callable[[Space], bool] = lambda space: True,
        *,
        every: float = 1.0,
        pinned: Mapping[str, str] | None = None,
    ) -> None:
        self._engine = engine
        self._prefer = prefer
        self._every = every
        self._pinned = dict(pinned or {})
        self._lock = threading.Lock()
        self._due = 0.0
        self._seen: tuple[tuple[Space, ...], Mapping[str, int]] | None = None
        self._reading = Reading()

    @property
    def error(self) -> str | None:
        """Why what is known is old, ``None`` where the last reading worked: shown by ``/v1/status``."""
        return self._reading.error

    def active(self, chosen: Mapping[str, str]) -> dict[str, Space]:
        """Space by name: the ``chosen`` key where it exists, else the newest complete version, else the oldest one.

        Versions that this process prefers come first: while a shop moves from one encoder to another, each process asks the version
        that it can encode for.

        The first call waits for the engine's answer; raises ``EngineUnavailable`` when there has never been one.
        """
        spaces, counts = self._read()
        chosen = {**chosen, **self._pinned}
        preferred = tuple(space for space in spaces if self._prefer(space))
        return choose_spaces(spaces, counts, chosen) | choose_spaces(preferred, counts, chosen)

    def spaces(self) -> tuple[Space, ...]:
        """All of them, as last read; raises as ``active`` does."""
        return self._read()[0]

    def _read(self) -> tuple[tuple[Space, ...], Mapping[str, int]]:
        if time.monotonic() >= self._due or self._seen is None:
            with turn(self._lock, wait=self._seen is None) as mine:
                if mine and (time.monotonic() >= self._due or self._seen is None):
                    self._read_now()
        if self._seen is None:
            raise EngineUnavailable("The embedding spaces have never been read.", remedy="See whether the engine is overloaded; try again.")
        return self._seen

    def _read_now(self) -> None:
        self._due = time.monotonic() + self._every
        try:
            with self._reading.again(self._seen is not None, EngineError):
                spaces = self._engine.spaces()
                several = len({space.name for space in spaces}) < len(spaces)  # nothing to choose: nothing to count
                states = self._engine.status().states if several else {}
            self._seen = (spaces, {key: counts.get(State.READY, 0) for key, counts in states.items()})
        except EngineError:
            self._due = time.monotonic() + self._every
            if self._seen is None:
                raise


def choose_spaces(spaces: tuple[Space, ...], ready: Mapping[str, int], chosen: Mapping[str, str]) -> dict[str, Space]:
    """Pure form of ``SpaceReader.active``; ``ready`` counts by space key the products that have their vectors.

    A name in ``chosen`` is pinned: no newer version takes over by itself, so that a cut-over and a rollback stay what they are.
    """
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
