"""A text segment: postings of the words of some products in one immutable file, made from a batch or by merging neighbours.

Arrays of the file, with T terms, P postings, D products and F text fields:

- ``keys (T,) uint64`` ascending: a 64-bit hash of term and field (1 in 10⁶ that any two of 5 million terms collide);
- ``starts (T + 1,) int64``: where each term's postings begin;
- ``slots (P,) int32`` ascending within a term, ``tfs (P,) uint16``, ``norms (P,) uint8``: the product, how often, its field's length;
- ``docs (D,) int32`` ascending, ``lengths (D, F) uint32``: every product of the segment, those whose words are gone included.

A product's words are those of the newest segment that has it in ``docs``: that is how older ones are replaced and removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid_search.engines.analysis import terms
from hybrid_search.engines.embedded.arrays import Array
from hybrid_search.engines.embedded.bm25 import norm_bytes
from hybrid_search.schema import TEXT_FIELDS

_SALTS = {field: int.from_bytes(blake2b(field.encode(), digest_size=8).digest(), "little") for field in TEXT_FIELDS}
_MASK = (1 << 64) - 1


class _Hashes(dict[str, int]):
    """Hash by term, remembered."""

    def __missing__(self, term: str) -> int:
        if len(self) >= 1_000_000:
            self.clear()
        made = self[term] = int.from_bytes(blake2b(term.encode(), digest_size=8).digest(), "little")
        return made


_hashes = _Hashes()


def term_key(term: str, field: str) -> int:
    """What ``keys`` holds for a term in a field."""
    return (_hashes[term] + _SALTS[field]) & _MASK


def field_terms(values: Mapping[str, str]) -> dict[str, list[str]]:
    """Terms by text field of ``schema.text_values``; the field ``all`` is the others' terms joined, not analysed again."""
    found = {field: terms(text) for field, text in values.items() if field != "all"}
    found["all"] = [term for field in TEXT_FIELDS[:-1] for term in found.get(field, ())]
    return {field: words for field, words in found.items() if words}


def build_segment(products: Iterable[tuple[int, Mapping[str, str]]]) -> dict[str, Array]:
    """The arrays of products ``(slot, text values)`` in ascending order of slot; no values for a product that is gone."""
    slots: list[int] = []
    hashes: list[int] = []
    runs: list[tuple[int, int, int]] = []
    for slot, values in products:
        for field, words in field_terms(values).items():
            runs.append((len(slots), TEXT_FIELDS.index(field), len(words)))
            hashes.extend([_hashes[word] for word in words])
        slots.append(slot)
    docs = np.array(slots, dtype=np.int32)
    run = np.array(runs, dtype=np.int64).reshape(-1, 3)
    lengths = np.zeros((len(docs), len(TEXT_FIELDS)), dtype=np.uint32)
    lengths[run[:, 0], run[:, 1]] = run[:, 2]
    salts = np.array([_SALTS[field] for field in TEXT_FIELDS], dtype=np.uint64)
    keys = np.array(hashes, dtype=np.uint64) + np.repeat(salts[run[:, 1]], run[:, 2])
    return _postings(keys, np.repeat(run[:, 0], run[:, 2]), np.repeat(run[:, 1], run[:, 2]), docs, lengths)


def _postings(
    keys: npt.NDArray[np.uint64], doc: npt.NDArray[np.int64], field: npt.NDArray[np.int64], docs: Array, lengths: Array
) -> dict[str, Array]:
    """Postings of one (key, product, field) triple per occurrence, products ascending."""
    order = np.argsort(keys, kind="stable")
    keys, doc, field = keys[order], doc[order], field[order]
    first = np.ones(len(keys), dtype=bool)
    first[1:] = (keys[1:] != keys[:-1]) | (doc[1:] != doc[:-1])
    at = np.flatnonzero(first)
    counts = np.diff(np.append(at, len(keys)))
    unique, starts = _runs(keys[at])
    return {
        "keys": unique,
        "starts": starts,
        "slots": docs[doc[at]],
        "tfs": np.minimum(counts, 0xFFFF).astype(np.uint16),
        "norms": norm_bytes(lengths[doc[at], field[at]]),
        "docs": docs,
        "lengths": lengths,
    }


def _runs(keys: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    first = np.ones(len(keys), dtype=bool)
    first[1:] = keys[1:] != keys[:-1]
    at = np.flatnonzero(first)
    return keys[at], np.append(at, len(keys)).astype(np.int64)


def merge_segments(parts: Sequence[tuple[Mapping[str, Array], npt.NDArray[np.bool_]]], *, keep_gone: bool) -> dict[str, Array]:
    """One segment from neighbours, oldest first, each with ``(slots,) bool``: which products' words it still has.

    ``keep_gone``: products without words stay listed, because a still older segment may have them.
    """
    docs = np.concatenate([part["docs"][alive[part["docs"]]] for part, alive in parts])
    lengths = np.concatenate([part["lengths"][alive[part["docs"]]] for part, alive in parts])
    if not keep_gone:
        docs, lengths = docs[lengths.any(axis=1)], lengths[lengths.any(axis=1)]
    by_slot = np.argsort(docs, kind="stable")
    kept = [alive[part["slots"]] for part, alive in parts]
    keys = np.concatenate([np.repeat(part["keys"], np.diff(part["starts"]))[keep] for (part, _), keep in zip(parts, kept, strict=True)])
    slots = np.concatenate([part["slots"][keep] for (part, _), keep in zip(parts, kept, strict=True)])
    order = np.lexsort((slots, keys))
    unique, starts = _runs(keys[order])
    merged: dict[str, Array] = {"keys": unique, "starts": starts, "slots": slots[order]}
    for name in ("tfs", "norms"):
        merged[name] = _joined(parts, kept, name)[order]
    return merged | {"docs": docs[by_slot], "lengths": lengths[by_slot]}


def _joined(parts: Sequence[tuple[Mapping[str, Array], Any]], kept: Sequence[Array], name: str) -> Array:
    return np.concatenate([part[name][keep] for (part, _), keep in zip(parts, kept, strict=True)])
