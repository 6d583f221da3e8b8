"""Fitted picture maps on disk, by version: ``<home>/alignment/<version>/``; a space names its map as ``alignment:<version>``.

The engine keeps a copy of each, so that workers on other machines, with home folders of their own, fill the same space.
"""

from __future__ import annotations

import threading
from pathlib import Path

import orjson

from hybrid_search.encoders.alignment import AlignmentMap
from hybrid_search.encoders.alignment_files import from_bytes, load, save, to_bytes
from hybrid_search.engines.base import Blobs
from hybrid_search.errors import EncoderError

PREFIX = "alignment:"


def is_map(model: str) -> bool:
    """Whether a space's document model is a fitted map."""
    return model.startswith(PREFIX)


def map_name(version: int) -> str:
    """The document model of a space that this map fills."""
    return f"{PREFIX}{version}"


class MapShelf:
    """The maps of one home folder, and of the engine where the folder lacks one; each is read once. Threads may share it."""

    def __init__(self, home: Path, shared: Blobs) -> None:
        self._folder = home / "alignment"
        self._shared = shared
        self._lock = threading.Lock()
        self._maps: dict[str, AlignmentMap] = {}

    def get(self, model: str) -> AlignmentMap:
        """The map that a space names. Raises ``EncoderError`` when it is not there or damaged."""
        with self._lock:
            if model not in self._maps:
                self._maps[model] = self._load(model)
            return self._maps[model]

    def image_model(self, model: str) -> str | None:
        """Which image model's pictures a map reads, ``None`` when the map is gone or damaged."""
        try:
            return self.get(model).image_model
        except EncoderError:
            return None

    def put(self, model: str, alignment: AlignmentMap) -> None:
        """Store a new map, here and in the engine. Raises ``OSError`` when the folder cannot be written."""
        save(alignment, self.folder(model))
        self._shared.write_blob(model, to_bytes(self.folder(model)))

    def _load(self, model: str) -> AlignmentMap:
        if not self.folder(model).exists() and (content := self._shared.read_blob(model)) is not None:
            from_bytes(content, self.folder(model))
        return load(self.folder(model))

    def folder(self, model: str) -> Path:
        """Where the map's files lie."""
        return self._folder / model.removeprefix(PREFIX)

    def free_version(self, taken: int) -> int:
        """The lowest version above ``taken`` that has no folder yet: a fit that died half-way leaves one behind."""
        version = taken + 1
        while self.folder(map_name(version)).exists():
            version += 1
        return version

    @property
    def lock_path(self) -> Path:
        """Held by the one process that fits."""
        return self._folder / "fit.lock"

    def refuse(self, ready: list[int]) -> None:
        """Remember that a fit found too few pairs although ``ready`` texts and pictures were embedded."""
        path = self._folder / "too-few.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(orjson.dumps(ready))

    def refused(self) -> list[int] | None:
        """What ``refuse`` remembered last."""
        try:
            counts: list[int] = orjson.loads((self._folder / "too-few.json").read_bytes())
        except (OSError, ValueError):
            return None
        return counts
