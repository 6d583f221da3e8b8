"""Decides when derived files are merged or compacted, runs that beside the indexer, and removes files that nothing names.

Small merges are done at once; what takes longer runs in a thread, so that new changes stay searchable meanwhile. Its files begin with
``new-`` until a manifest takes them over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from hybrid_search.engines.embedded import compaction
from hybrid_search.engines.embedded.snapshot import MANIFEST, Manifest, SegmentFile

RATIO = 3
"""A segment with fewer products than this many times all newer ones is merged with them: their number grows with the logarithm."""
AT_ONCE = 2_000
"""Products up to which a merge is done at once."""
COLUMN_LINES = 20_000
"""Lines of the columns' log before it is compacted, and at least as many as half of its base."""
DEAD_ROWS = 1_000
"""Dead rows of a matrix before it is compacted, and at least a third of all."""
GRACE = 10.0
"""Seconds that files stay after a manifest stopped naming them, for readers that are about to map them."""
FRESH = "new-"

Install: TypeAlias = Callable[[Manifest], Manifest]
"""Takes the manifest of the moment, gives the one with the result in its place."""


class Upkeep:
    """State of the upkeep of one folder; used by the thread of the indexer only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unneeded: dict[str, float] = {}
        self._swept = 0.0
        self._thread: threading.Thread | None = None
        self._outcome: Install | OSError | None = None
        self._merging: tuple[SegmentFile, ...] = ()

    def tidy(self, manifest: Manifest) -> Manifest:
        """The manifest after what was due, itself when nothing was. Raises ``OSError`` when the disk refused."""
        tidied = self._take_over(manifest)
        tidied = self._merge_newest(tidied)
        if self._thread is None and (job := self._due(tidied)) is not None:
            self._thread = threading.Thread(target=self._run, args=(job,), name="embedded-upkeep", daemon=True)
            self._thread.start()
        if time.monotonic() - self._swept > 1:
            self._sweep(tidied)
        return tidied if tidied is manifest else replace(tidied, number=manifest.number + 1)

    def close(self) -> None:
        """Wait for what is under way; its result is dropped."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, job: Callable[[], Install]) -> None:
        try:
            self._outcome = job()
        except OSError as err:
            self._outcome = err

    def _take_over(self, manifest: Manifest) -> Manifest:
        if self._thread is None or self._thread.is_alive():
            return manifest
        outcome, self._thread, self._outcome, self._merging = self._outcome, None, None, ()
        if isinstance(outcome, OSError):
            raise outcome
        return manifest if outcome is None else outcome(manifest)

    def _merge_newest(self, manifest: Manifest) -> Manifest:
        """Merge the small segments at the end, as far as no merge under way has them."""
        sizes = [segment.docs for segment in manifest.text]
        free = max((at for at, segment in enumerate(manifest.text, start=1) if segment in self._merging), default=0)
        small = len(sizes)
        while small > free and sum(sizes[small - 1 :]) <= AT_ONCE:
            small -= 1
        start = small + first_to_merge(sizes[small:])
        if len(sizes) - start < 2:
            return manifest
        segments = manifest.text[start:]
        merged = compaction.merge_text(self._folder, segments, FRESH + "small", keep_gone=start > 0)
        return self._install_text(manifest, segments, merged)

    def _due(self, manifest: Manifest) -> Callable[[], Install] | None:
        start = first_to_merge([segment.docs for segment in manifest.text])
        if len(manifest.text) - start > 1:
            self._merging = manifest.text[start:]
            return lambda: self._merge_text(manifest.text[start:], keep_gone=start > 0)
        columns = manifest.columns
        if columns.lines > max(COLUMN_LINES, columns.base_lines // 2):
            return lambda: self._compact_columns(manifest)
        for key, files in manifest.spaces.items():
            if files.dead > max(DEAD_ROWS, files.rows // 3):
                return lambda key=key: self._compact_vectors(manifest, key)  # type: ignore[misc]
        return None

    def _merge_text(self, segments: tuple[SegmentFile, ...], *, keep_gone: bool) -> Install:
        merged = compaction.merge_text(self._folder, segments, FRESH + "text", keep_gone=keep_gone)
        return lambda now: self._install_text(now, segments, merged)

    def _install_text(self, now: Manifest, segments: tuple[SegmentFile, ...], merged: SegmentFile) -> Manifest:
        at = now.text.index(segments[0]) if segments[0] in now.text else len(now.text)
        if now.text[at : at + len(segments)] != segments:
            return now  # a start from nothing came in between
        number = max(segment.number for segment in now.text) + 1
        named = replace(merged, name=f"{_epoch(now)}-t{number}", number=number)
        (self._folder / f"{merged.name}.text").rename(self._folder / f"{named.name}.text")
        return replace(now, text=(*now.text[:at], named, *now.text[at + len(segments) :]))

    def _compact_columns(self, before: Manifest) -> Install:
        made = compaction.compact_columns(self._folder, before.columns, FRESH + "columns")

        def install(now: Manifest) -> Manifest:
            if now.columns.log != before.columns.log:
                return now
            carried = compaction.carry_columns(self._folder, before.columns, now.columns, made)
            named = replace(carried, base=f"{_epoch(now)}-c{now.number}", log=f"{_epoch(now)}-c{now.number}l")
            for old, new in ((made.base, named.base), (made.log, named.log)):
                (self._folder / f"{old}.lines").rename(self._folder / f"{new}.lines")
            return replace(now, columns=named)

        return install

    def _compact_vectors(self, before: Manifest, key: str) -> Install:
        old = before.spaces[key]
        made, moved = compaction.compact_vectors(self._folder, old, FRESH + "rows")

        def install(now: Manifest) -> Manifest:
            files = now.spaces.get(key)
            if files is None or files.name != old.name:
                return now
            carried = compaction.carry_vectors(self._folder, old, files, made, moved)
            named = compaction.move_vectors(self._folder, carried, f"{_epoch(now)}-v{files.ordinal}-{now.number}")
            return replace(now, spaces={**now.spaces, key: named})

        return install

    def _sweep(self, manifest: Manifest) -> None:
        """Remove what nothing names; where something that is named is gone, remove the manifest, so that all is built anew."""
        self._swept = now = time.monotonic()
        there = {path.name for path in self._folder.iterdir()}
        if not manifest.paths() <= there:
            (self._folder / MANIFEST).unlink(missing_ok=True)
        needed = manifest.stems()
        loose = {name for name in there if name.split(".")[0] not in needed and not name.startswith(MANIFEST)}
        if self._thread is not None:
            loose = {name for name in loose if not name.startswith(FRESH)}
        self._unneeded = {name: self._unneeded.get(name, now) for name in loose}
        for name, since in list(self._unneeded.items()):
            if now - since >= GRACE:
                (self._folder / name).unlink(missing_ok=True)
                del self._unneeded[name]


def _epoch(manifest: Manifest) -> str:
    return manifest.columns.log.split("-")[0]


def first_to_merge(sizes: list[int]) -> int:
    """Where the newest segments that are to become one begin, ``len(sizes)`` for none.

    Behind it no segment is left that is smaller than ``RATIO`` times all newer ones together.
    """
    start = len(sizes)
    newer = 0
    for at in range(len(sizes) - 1, -1, -1):
        if sizes[at] < RATIO * newer:
            start = at
        newer += sizes[at]
    return start
