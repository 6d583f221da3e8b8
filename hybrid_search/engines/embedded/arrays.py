"""Named arrays in one immutable file, read as memory maps: an 8-byte header length, a JSON header, then the arrays, 64-byte aligned."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

Array = npt.NDArray[Any]
_ALIGN = 64


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> int:
    """Write the file and flush it to disk; returns its bytes. The caller names it in a manifest only afterwards."""
    places, offset = {}, 0
    for name, array in arrays.items():
        places[name] = (array.dtype.str, list(array.shape), offset)
        offset += _aligned(array.nbytes)
    header = orjson.dumps(places)
    start = _aligned(8 + len(header))
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name, array in arrays.items():
            file.seek(start + places[name][2])
            np.ascontiguousarray(array).tofile(file)
        file.truncate(start + offset)
        file.flush()
        os.fsync(file.fileno())
    return start + offset


def open_arrays(path: Path) -> dict[str, Array]:
    """Read-only memory maps of the arrays by name; they stay valid when the file is removed."""
    whole = np.memmap(path, dtype=np.uint8, mode="r")
    size = int.from_bytes(whole[:8].tobytes(), "little")
    start = _aligned(8 + size)
    found: dict[str, Array] = {}
    for name, (dtype, shape, offset) in orjson.loads(whole[8 : 8 + size].tobytes()).items():
        kind = np.dtype(dtype)
        stop = start + offset + kind.itemsize * int(np.prod(shape))
        found[name] = np.asarray(whole[start + offset : stop]).view(kind).reshape(shape)
    return found


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
