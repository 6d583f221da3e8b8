"""The folders that image paths may lie in: those of every catalogue that was loaded, remembered beside the index, read by all processes."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from hybrid_search.errors import EngineUnavailable

FILE_NAME = "image-roots.json"


class ImageRoots:
    """The folders in ``<home>/image-roots.json`` together with ``fixed`` ones; the file is read again when it changes. Threads may share it."""

    def __init__(self, home: Path, fixed: tuple[Path, ...] = ()) -> None:
        self._path = home / FILE_NAME
        self._fixed = tuple(path.resolve() for path in fixed)
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._known: tuple[Path, ...] = self._fixed

    def __call__(self) -> tuple[Path, ...]:
        """All folders, absolute, links resolved."""
        with self._lock:
            try:
                stat = self._path.stat()
            except OSError:
                return self._fixed
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if stamp != self._stamp:
                self._known = (*self._fixed, *(Path(line) for line in json.loads(self._path.read_text(encoding="utf-8"))))
                self._stamp = stamp
            return self._known

    def add(self, folder: Path) -> None:
        """Remember a folder. Raises ``EngineUnavailable`` when the home folder cannot be written."""
        folder = folder.resolve()
        if folder in self():
            return
        remembered = [str(path) for path in self() if path not in self._fixed]
        fresh = self._path.with_name(f".{FILE_NAME}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps([*remembered, str(folder)]), encoding="utf-8")
            fresh.replace(self._path)
        except OSError as err:
            raise EngineUnavailable(
                f"{self._path} cannot be written: {err.strerror}.",
                field="home",
                value=str(self._path.parent),
                remedy="Set home to a folder that can be written.",
            ) from err
