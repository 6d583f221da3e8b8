"""The joined parts of one worker child: made once, after the fork, at the first task or by the warm-up, whichever comes first."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, field

from PIL import Image

from hybrid_search.bootstrap import Services, build
from hybrid_search.encoders.base import ImageEncoder, TextEncoder
from hybrid_search.engines.presence import Announcer, Presence, Roster, process_name
from hybrid_search.errors import EncoderError, HybridSearchError
from hybrid_search.indexing.embed import EmbedLimits
from hybrid_search.indexing.maps import MapShelf
from hybrid_search.indexing.producers import Producers
from hybrid_search.settings import Settings

ANNOUNCE_EVERY = 2.0
"""Seconds between two looks at whether there is something new to say."""

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_parts: dict[int, WorkerParts] = {}
"""By process id: what came through a fork is never used."""


@dataclass(frozen=True)
class WorkerParts:
    """What the tasks work with."""

    settings: Settings
    services: Services
    producers: Producers
    limits: EmbedLimits
    process: str = field(default_factory=process_name)

    def presence(self) -> Presence:
        """What this child says of itself: the spaces whose products it can embed, and why it cannot embed those of others."""
        serves, faults = [], {}
        for space in self.services.search_parts.spaces.spaces():
            try:
                _ = self.producers.text_encoder(space) if space.part == "text" else self.producers.image_producer(space)
                serves.append(space.key)
            except EncoderError as err:
                faults[space.key] = str(err)
        version, _ = self.services.search_parts.control.current()
        return Presence(self.process, "worker", control_version=version, serves=tuple(serves), faults=faults)

    @property
    def text(self) -> TextEncoder:
        """The text tower of the settings."""
        return next(iter(self.services.encoders.text.values()))

    @property
    def image(self) -> ImageEncoder:
        """The image tower of the settings."""
        return next(iter(self.services.encoders.image.values()))


def parts_of_process(settings: Settings) -> WorkerParts:
    """This process's parts. Raises ``EngineUnavailable`` or ``EncoderError``; the next call tries again."""
    with _lock:
        pid = os.getpid()
        if pid not in _parts:
            parts = _parts[pid] = _join(settings)
            Announcer(Roster(parts.services.engine), parts.presence, every=ANNOUNCE_EVERY)
        return _parts[pid]


def _join(settings: Settings) -> WorkerParts:
    services = build(settings, index=False)  # children are busy encoding: the search structures are for others to keep
    limits = EmbedLimits(
        write_every=settings.write_every,
        max_attempts=settings.max_attempts,
        beat_every=settings.chunk_silence / 4,
        stuck_after=settings.stuck_after,
    )
    return WorkerParts(settings, services, Producers(services.encoders, MapShelf(settings.home, services.engine)), limits)


def warm_up(settings: Settings) -> None:
    """Load the models before the first product needs them."""
    try:
        parts = parts_of_process(settings)
        parts.text.encode_documents(["warm"])
        parts.image.encode_documents([Image.new("RGB", (64, 64), "grey")])
    except HybridSearchError as err:  # the tasks will meet it too, and say so product by product
        _log.warning("the models could not be loaded ahead: %s", err)
