"""The vectors of one space on disk: append-only files that a manifest opens up to a number of rows.

- ``.rows`` ``(n, dim)`` float16 or float32: the vectors;
- ``.slots`` ``(n,) int32``: the product of each row;
- ``.dead`` ``(m,) int32``: rows that were replaced or removed, in the order in which that happened;
- float16 only: ``.codes`` ``(n, dim) int8``, ``.steps`` and ``.lost`` ``(n,) float32``: each vector as ``step · code``, and the Euclidean
  norm of what that leaves out, which lets a search skip most rows unread (``nearest.py``).

What lies beyond the manifest's counts was left by an indexer that died; the next one overwrites it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numkong
import numpy as np
import numpy.typing as npt

VectorDtype = Literal["float16", "float32"]


@dataclass(frozen=True, slots=True)
class SpaceFiles:
    """What a manifest says of a space: file name without suffix, and how much of each file counts."""

    name: str
    ordinal: int
    dim: int
    dtype: VectorDtype
    rows: int = 0
    dead: int = 0


SUFFIXES = {"float32": (".rows", ".slots", ".dead"), "float16": (".rows", ".slots", ".dead", ".codes", ".steps", ".lost")}


@dataclass(frozen=True, slots=True)
class Codes:
    """Rows as ``steps[i] · codes[i]``, off by vectors of Euclidean norm ``lost[i]``: ``(n, dim) int8``, ``(n,) float32`` twice."""

    codes: npt.NDArray[np.int8]
    steps: npt.NDArray[np.float32]
    lost: npt.NDArray[np.float32]


def quantise(vectors: npt.NDArray[np.float32]) -> Codes:
    """Codes of ``(n, dim)`` float32 rows, each with the step that its largest value needs."""
    steps = np.maximum(np.abs(vectors).max(axis=1, initial=0.0), 1e-30) / 127
    codes = np.rint(vectors / steps[:, None])
    lost = np.linalg.norm(vectors - codes * steps[:, None], axis=1)
    return Codes(codes.astype(np.int8), steps.astype(np.float32), lost.astype(np.float32))


class VectorAppender:
    """Writes rows of one space behind those that count; ``flush`` puts them on disk, after which a manifest may name them."""

    def __init__(self, folder: Path, files: SpaceFiles) -> None:
        self._files = files
        self._rows = files.rows
        self._dead = files.dead
        self._open = {suffix: _open_at(folder / (files.name + suffix), _offset(files, suffix)) for suffix in SUFFIXES[files.dtype]}

    def add(self, slots: npt.NDArray[np.int32], vectors: npt.NDArray[np.float32]) -> range:
        """Append ``(n, dim)`` float32 vectors of these products; returns their row numbers."""
        stored = np.ascontiguousarray(vectors, dtype=np.float32) if self._files.dtype == "float32" else vectors.astype(np.float16)
        self._open[".rows"].write(stored.tobytes())
        self._open[".slots"].write(slots.astype(np.int32).tobytes())
        if ".codes" in self._open:
            made = quantise(as_float32(stored))
            self._open[".codes"].write(made.codes.tobytes())
            self._open[".steps"].write(made.steps.tobytes())
            self._open[".lost"].write(made.lost.tobytes())
        first, self._rows = self._rows, self._rows + len(slots)
        return range(first, self._rows)

    def kill(self, rows: npt.NDArray[np.int32]) -> None:
        """Rows that no longer count."""
        self._open[".dead"].write(rows.astype(np.int32).tobytes())
        self._dead += len(rows)

    def flush(self) -> SpaceFiles:
        """Put everything on disk; returns the new counts."""
        written = {".dead": self._dead > self._files.dead}
        for suffix, file in self._open.items():
            if written.get(suffix, self._rows > self._files.rows):
                file.flush()
                os.fsync(file.fileno())
        return SpaceFiles(self._files.name, self._files.ordinal, self._files.dim, self._files.dtype, self._rows, self._dead)

    def close(self) -> None:
        for file in self._open.values():
            file.close()


def _offset(files: SpaceFiles, suffix: str) -> int:
    item = np.dtype(files.dtype).itemsize
    per = {".rows": files.dim * item, ".slots": 4, ".codes": files.dim, ".steps": 4, ".lost": 4}
    return files.dead * 4 if suffix == ".dead" else files.rows * per[suffix]


def _open_at(path: Path, offset: int) -> BinaryIO:
    file = path.open("r+b" if path.exists() else "w+b")
    file.truncate(offset)
    file.seek(offset)
    return file


@dataclass(frozen=True, slots=True)
class Rows:
    """Open rows of a space, up to the manifest's count; mapped, not read. ``coded`` is there for float16 only."""

    vectors: npt.NDArray[np.float16] | npt.NDArray[np.float32]
    slots: npt.NDArray[np.int32]
    coded: Codes | None


def open_rows(folder: Path, files: SpaceFiles) -> Rows:
    """Memory maps of the first ``files.rows`` rows."""

    def mapped(suffix: str, dtype: str, *shape: int) -> npt.NDArray[Any]:
        if 0 in shape:
            return np.empty(shape, dtype=dtype)
        return np.asarray(np.memmap(folder / (files.name + suffix), dtype=dtype, mode="r", shape=shape))

    n, dim = files.rows, files.dim
    coded = None
    if files.dtype == "float16":
        coded = Codes(mapped(".codes", "int8", n, dim), mapped(".steps", "float32", n), mapped(".lost", "float32", n))
    return Rows(mapped(".rows", files.dtype, n, dim), mapped(".slots", "int32", n), coded)


def read_dead(folder: Path, files: SpaceFiles, after: int = 0) -> npt.NDArray[np.int32]:
    """Dead rows from the ``after``-th on."""
    path = folder / f"{files.name}.dead"
    return np.fromfile(path, dtype=np.int32, count=files.dead - after, offset=after * 4) if files.dead > after else np.empty(0, np.int32)


def as_float32(vectors: npt.NDArray[np.float16] | npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A float32 copy; ten times faster for float16 than numpy's."""
    if vectors.dtype == np.float32:
        return np.ascontiguousarray(vectors, dtype=np.float32)
    return np.asarray(numkong.astype(np.ascontiguousarray(vectors), "float32")) if len(vectors) else vectors.astype(np.float32)
