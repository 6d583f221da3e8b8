"""BM25 as Lucene computes it: k1 = 1.2, b = 0.75, document lengths rounded down to one byte.

``score = idf · tf / (tf + k1 · (1 − b + b · length / average length))`` with
``idf = ln(1 + (documents − df + 0.5) / (df + 0.5))``; ``documents`` counts those that have the field, and the average length is over
these. Source: ``BM25Similarity`` and ``SmallFloat.intToByte4`` of Lucene 9 (since version 8 without the factor ``k1 + 1``).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

K1 = 1.2
B = 0.75


def _decoded(code: int) -> int:
    """Length of a norm byte: exact up to 39, then 3 bits behind the leading one."""
    if code < 24:
        return code
    rest = code - 24
    bits, shift = rest & 7, (rest >> 3) - 1
    return 24 + (bits if shift == -1 else (bits | 8) << shift)


LENGTHS: npt.NDArray[np.int64] = np.array([_decoded(code) for code in range(256)], dtype=np.int64)
"""``(256,)``: the document length that each norm byte stands for, ascending."""


def norm_bytes(lengths: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Lengths in terms, any shape, to norm bytes: the largest whose length is not greater."""
    return (np.searchsorted(LENGTHS, lengths, side="right") - 1).astype(np.uint8)


def idf(documents: int, document_frequency: int) -> float:
    return math.log(1 + (documents - document_frequency + 0.5) / (document_frequency + 0.5))


def saturation(average_length: float) -> npt.NDArray[np.float32]:
    """``(256,)`` float32: what is added to ``tf`` in the denominator, by norm byte."""
    return (K1 * (1 - B + B * LENGTHS / average_length)).astype(np.float32)
