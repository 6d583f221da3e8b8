"""One generation as a serving process sees it, and the thread that maps the next one when there is one.

A query takes the current ``Generation`` once and uses nothing else, so that everything in its reply belongs to one sequence number.
Nothing is loaded on the thread of a query: ``Follower`` looks at the manifest every ``EVERY`` seconds on a thread of its own.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hybrid_search.engines.embedded.arrays import open_arrays
from hybrid_search.engines.embedded.columns import ColumnFollower, Columns
from hybrid_search.engines.embedded.matrix import Matrix, next_matrix
from hybrid_search.engines.embedded.product_columns import from_line
from hybrid_search.engines.embedded.snapshot import MANIFEST, ColumnFiles, Manifest, read_manifest
from hybrid_search.engines.embedded.text_index import Segment, TextFollower, TextIndex

EVERY = 0.05
"""Seconds between two looks at the manifest."""
BLOCK = 4_000_000
"""Bytes of change records taken in at once."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Generation:
    """Words, columns and vectors at one sequence number."""

    seq: int
    store: str
    text: TextIndex
    columns: Columns
    matrices: Mapping[str, Matrix]


class Loader:
    """Makes the generation of a manifest from the one before, reading only what is new. One thread only.

    ``lines_read`` counts the change records read so far.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._text = TextFollower()
        self._columns = ColumnFollower()
        self._applied: ColumnFiles | None = None
        self.lines_read = 0
        self._matrices: dict[str, Matrix] = {}

    def load(self, manifest: Manifest) -> Generation:
        """Raises ``OSError`` or ``ValueError`` when files that the manifest names are not there any more, or are cut short."""
        self._follow_columns(manifest.columns)
        columns = self._columns.columns()
        known = self._text.segments
        segments = [
            known.get(file.name) or Segment(file.name, file.number, open_arrays(self.folder / f"{file.name}.text"))
            for file in manifest.text
        ]
        text = self._text.advance(segments, columns.size)
        before = self._matrices
        self._matrices = {key: next_matrix(self.folder, files, before.get(key)) for key, files in manifest.spaces.items()}
        return Generation(manifest.seq, manifest.store, text, columns, dict(self._matrices))

    def _follow_columns(self, files: ColumnFiles) -> None:
        done = self._applied
        if done is not None and done.log != files.log and done.log == files.earlier:
            done = self._pass_compaction(done, files)
        if done is None or done.log != files.log:
            self._columns = ColumnFollower()
            self._apply(self.folder / f"{files.base}.lines", 0, None)
            self._apply(self.folder / f"{files.log}.lines", 0, files.size)
        else:
            self._apply(self.folder / f"{files.log}.lines", done.size, files.size)
        self._applied = files

    def _pass_compaction(self, done: ColumnFiles, files: ColumnFiles) -> ColumnFiles:
        """How far we are in the new log, after the rest of what the old one was compacted from."""
        if done.size < files.earlier_size:
            self._apply(self.folder / f"{done.log}.lines", done.size, files.earlier_size)
        return replace(files, size=max(done.size - files.earlier_size, 0))

    def _apply(self, path: Path, start: int, stop: int | None) -> None:
        """Apply the records between two offsets (``None``: to the end), a bounded number at once."""
        with path.open("rb") as file:
            left = (os.fstat(file.fileno()).st_size if stop is None else stop) - file.seek(start)
            while left > 0:
                lines = file.readlines(min(left, BLOCK) - 1)  # stops behind the line with which it has more bytes than that
                if not lines:
                    raise ValueError(f"{path} is shorter than its manifest says")
                self._columns.apply(from_line(line) for line in lines)
                self.lines_read += len(lines)
                left -= sum(map(len, lines))


class Follower:
    """Keeps ``current`` up to date in a thread that starts with the first use and ends with ``close``.

    Args:
        folder: the derived files.
        store: gives the store's random name, so that files of another store in this folder are not shown.
    """

    def __init__(self, folder: Path, store: Callable[[], str]) -> None:
        self._folder = folder
        self._store = store
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._current: Generation | None = None
        self._stamp: tuple[int, int] | None = None
        self._loader = Loader(folder)

    @property
    def current(self) -> Generation | None:
        """The newest generation that is ready, ``None`` before the first."""
        return self._current

    def start(self) -> None:
        with self._changed:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._follow, name="embedded-follower", daemon=True)
                self._thread.start()

    def wait_for(self, seq: int, timeout: float) -> bool:
        """Whether a generation of at least ``seq`` became current within ``timeout`` seconds."""
        self.start()
        with self._changed:
            return self._changed.wait_for(lambda: self._current is not None and self._current.seq >= seq, timeout)

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _follow(self) -> None:
        while not self._stop.is_set():
            self._look()
            self._stop.wait(EVERY)

    def _look(self) -> None:
        try:
            found = os.stat(self._folder / MANIFEST)
        except OSError:
            return  # not built yet, or removed: the indexer makes it again, what is mapped stays
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp == self._stamp:
            return
        manifest = read_manifest(self._folder)
        if manifest is None or manifest.store != self._store():
            return
        try:
            generation = self._loader.load(manifest)
        except (OSError, ValueError) as err:  # removed under our hands, or replaced meanwhile: the next look sees the newer one
            _log.info("generation %d cannot be mapped yet: %s", manifest.number, err)
            self._loader = Loader(self._folder)
            return
        self._stamp = stamp
        with self._changed:
            self._current = generation
            self._changed.notify_all()
