"""The joined parts of one worker child: made once, after the fork, at the first task or by the warm-up, whichever comes first."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass

from PIL import Image

from hybrid_search.bootstrap import Services, build
from hybrid_search.encoders.base import ImageEncoder, TextEncoder
from hybrid_search.errors import HybridSearchError
from hybrid_search.indexing.embed import EmbedLimits
from hybrid_search.indexing.maps import MapShelf
from hybrid_search.indexing.producers import Producers
from hybrid_search.settings import Settings

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
            _parts[pid] = _join(settings)
        return _parts[pid]


def _join(settings: Settings) -> WorkerParts:
    services = build(settings, index=False)  # children are busy encoding: the search structures are for others to keep
    limits = EmbedLimits(write_every=settings.write_every, max_attempts=settings.max_attempts, beat_every=settings.chunk_silence / 4)
    return WorkerParts(settings, services, Producers(services.encoders, MapShelf(settings.home, services.engine)), limits)


def warm_up(settings: Settings) -> None:
    """Load the models before the first product needs them."""
    try:
        parts = parts_of_process(settings)
        parts.text.encode_documents(["warm"])
        parts.image.encode_documents([Image.new("RGB", (64, 64), "grey")])
    except HybridSearchError as err:  # the tasks will meet it too, and say so product by product
        _log.warning("the models could not be loaded ahead: %s", err)
