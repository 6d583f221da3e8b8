"""Small pictures on disk, by the hash of the bytes they were made from; they can be deleted at any time."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from hybrid_search.catalog.images import ImageIntake
from hybrid_search.telemetry.metrics import THUMBNAIL_CACHE

log = logging.getLogger(__name__)


class Thumbnails:
    """WEBP pictures under ``folder``, made by ``intake`` when first asked for; processes may share the folder."""

    def __init__(self, folder: Path, intake: ImageIntake) -> None:
        self._folder = folder
        self._intake = intake

    def get(self, reference: str, side: int) -> bytes:
        """The picture at most ``side`` pixels wide and high. Raises ``ImageError`` when it cannot be read."""
        raw = self._intake.read(reference)
        name = hashlib.blake2b(raw, digest_size=16).hexdigest()
        path = self._folder / name[:2] / f"{name}-{side}.webp"
        try:
            kept = path.read_bytes()
            THUMBNAIL_CACHE.labels("hit").inc()
            return kept
        except OSError:
            THUMBNAIL_CACHE.labels("miss").inc()
            content = self._intake.thumbnail(raw, side)
            keep(path, content)
            return content


def keep(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all; a full disk costs the copy, not the answer."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError as err:
        fresh.unlink(missing_ok=True)
        log.warning("a picture could not be kept in %s: %s", path.parent, err.strerror)
