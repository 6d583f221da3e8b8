"""Larger files from smaller ones, without what was replaced: text segments, the columns' log, matrices.

Each function writes new files from what a manifest names and changes nothing else, so that it can run beside the indexer; what came
in meanwhile is carried over when the result takes its place (``carry_…``).
"""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from hybrid_search.engines.embedded.arrays import open_arrays, save_arrays
from hybrid_search.engines.embedded.snapshot import ColumnFiles, SegmentFile
from hybrid_search.engines.embedded.text_segment import merge_segments
from hybrid_search.engines.embedded.vector_files import SpaceFiles, VectorAppender, as_float32, open_rows, read_dead

ROWS = 4_096
"""Matrix rows copied at once."""


def merge_text(folder: Path, segments: tuple[SegmentFile, ...], name: str, *, keep_gone: bool) -> SegmentFile:
    """One segment (number 0, to be given later) from neighbours, oldest first."""
    opened = [open_arrays(folder / f"{segment.name}.text") for segment in segments]
    size = max((int(arrays["docs"].max(initial=0)) for arrays in opened), default=0) + 1
    owner = np.full(size, -1, dtype=np.int32)
    for number, arrays in enumerate(opened):
        owner[arrays["docs"]] = number
    alive: list[npt.NDArray[np.bool_]] = [owner == number for number in range(len(opened))]
    merged = merge_segments(list(zip(opened, alive, strict=True)), keep_gone=keep_gone)
    save_arrays(folder / f"{name}.text", merged)
    return SegmentFile(name, 0, len(merged["docs"]), len(merged["slots"]))


def compact_columns(folder: Path, files: ColumnFiles, name: str) -> ColumnFiles:
    """The last line of each product as a new base ``name``, and an empty log ``<name>l``."""

    def lines(base: BinaryIO, log: BinaryIO) -> chain[bytes]:
        return chain(base, _first_bytes(log, files.size))

    last: dict[int, int] = {}
    with (folder / f"{files.base}.lines").open("rb") as base, (folder / f"{files.log}.lines").open("rb") as log:
        for number, line in enumerate(lines(base, log)):
            last[_slot(line)] = number
        base.seek(0)
        log.seek(0)
        with (folder / f"{name}.lines").open("wb") as out:
            out.writelines(line for number, line in enumerate(lines(base, log)) if last[_slot(line)] == number)
            _to_disk(out)
    return ColumnFiles(name, len(last), f"{name}l", 0, 0, files.log, files.size)


def carry_columns(folder: Path, before: ColumnFiles, now: ColumnFiles, compacted: ColumnFiles) -> ColumnFiles:
    """Copy what the log got between ``before`` and ``now`` into the new log."""
    size = now.size - before.size
    with (folder / f"{now.log}.lines").open("rb") as old, (folder / f"{compacted.log}.lines").open("wb") as new:
        old.seek(before.size)
        new.write(old.read(size))
        _to_disk(new)
    return replace(compacted, size=size, lines=now.lines - before.lines)


def compact_vectors(folder: Path, files: SpaceFiles, name: str) -> tuple[SpaceFiles, npt.NDArray[np.int32]]:
    """The living rows as new files, and the new number of each old row (−1 for a dead one)."""
    alive = np.ones(files.rows, dtype=np.bool_)
    alive[read_dead(folder, files)] = False
    moved = np.where(alive, np.cumsum(alive) - 1, -1).astype(np.int32)
    made = replace(files, name=name, rows=0, dead=0)
    return _append_rows(folder, files, made, np.flatnonzero(alive), np.empty(0, dtype=np.int32)), moved


def carry_vectors(folder: Path, before: SpaceFiles, now: SpaceFiles, made: SpaceFiles, moved: npt.NDArray[np.int32]) -> SpaceFiles:
    """Copy rows and deaths that came between ``before`` and ``now``."""
    dead = read_dead(folder, now, before.dead)
    moved = np.concatenate([moved, made.rows + np.arange(now.rows - before.rows, dtype=np.int32)])
    return _append_rows(folder, now, made, np.arange(before.rows, now.rows), moved[dead])


def _append_rows(
    folder: Path, source: SpaceFiles, target: SpaceFiles, rows: npt.NDArray[np.intp], dead: npt.NDArray[np.int32]
) -> SpaceFiles:
    opened = open_rows(folder, source)
    with closing(VectorAppender(folder, target)) as appender:
        for start in range(0, len(rows), ROWS):
            part = rows[start : start + ROWS]
            appender.add(opened.slots[part], as_float32(opened.vectors[part]))
        appender.kill(dead)
        return appender.flush()


def move_vectors(folder: Path, files: SpaceFiles, name: str) -> SpaceFiles:
    """Give the files another name."""
    for path in folder.glob(f"{files.name}.*"):
        shutil.move(path, folder / (name + path.suffix))
    return replace(files, name=name)


def _slot(line: bytes) -> int:
    return int(line[1 : line.index(b",")])


def _first_bytes(file: BinaryIO, size: int) -> list[bytes]:
    return file.read(size).splitlines(keepends=True)


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
