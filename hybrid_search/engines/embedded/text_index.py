"""BM25 over text segments: statistics are those of the products that are there now, whatever was replaced or deleted before.

A query reads each of its terms' postings once and adds their scores into one array over the products. That gives the whole match
set with its scores, which totals, facets and filters need anyway; ``docs/embedded-engine.md`` has the figures against tantivy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from hybrid_search.engines.embedded.arrays import Array
from hybrid_search.engines.embedded.bm25 import idf, saturation
from hybrid_search.engines.embedded.text_segment import term_key
from hybrid_search.engines.should_match import required_matches
from hybrid_search.schema import TEXT_FIELDS

Slots = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]
Posting: TypeAlias = tuple[Slots, Array, Array]


@dataclass(frozen=True, slots=True)
class Segment:
    """An open segment; ``number`` tells it from every other one of the index, ``name`` is its file."""

    name: str
    number: int
    arrays: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class TextIndex:
    """One state of the text: never changed, a newer state is another object.

    ``owner (slots,) int32`` is the number of the segment that has a product's words, 0 for none; ``whole`` the numbers of segments
    that still own all their products. ``documents`` and ``lengths`` ``(F,) int64`` count, by text field, products and terms.
    """

    segments: tuple[Segment, ...]
    owner: Slots
    whole: frozenset[int]
    documents: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    def match(self, words: Sequence[str], weights: Mapping[str, float], minimum_should_match: str) -> tuple[Slots, Scores]:
        """Slots (ascending) of products that have enough of ``words`` (index terms, repeated ones count again), with their BM25."""
        need = required_matches(len(words), minimum_should_match)
        scores = np.zeros(len(self.owner), dtype=np.float32)
        if not need or not weights:
            return np.empty(0, dtype=np.int32), scores[:0]
        hits = np.zeros(len(self.owner), dtype=np.uint16)
        counted = Counter(words)
        postings = self._postings([term_key(word, field) for word in counted for field in weights])
        for word, times in enumerate(counted.values()):
            seen = np.zeros(len(self.owner), dtype=np.bool_)
            for at, (field, weight) in enumerate(weights.items(), start=word * len(weights)):
                self._add(postings[at], TEXT_FIELDS.index(field), times * weight, scores, seen)
            hits += seen * np.uint16(times)
        slots = np.flatnonzero(hits >= need).astype(np.int32)
        return slots, scores[slots]

    def _add(self, postings: Sequence[Posting], field: int, weight: float, scores: Scores, seen: npt.NDArray[np.bool_]) -> None:
        """Add one term's scores in one field, and mark the products that have it."""
        frequency = sum(len(slots) for slots, _, _ in postings)
        if not frequency:
            return
        documents = int(self.documents[field])
        factor = np.float32(weight * idf(documents, frequency))
        added = saturation(int(self.lengths[field]) / documents)
        for slots, tfs, norms in postings:
            tf = tfs.astype(np.float32)
            scores[slots] += factor * (tf / (tf + added[norms]))
            seen[slots] = True

    def _postings(self, keys: Sequence[int]) -> list[list[Posting]]:
        """Slots, term frequencies and norm bytes per key, from each segment that has it; only of products the segment still owns."""
        found: list[list[Posting]] = [[] for _ in keys]
        wanted = np.array(keys, dtype=np.uint64)
        for segment in self.segments:
            arrays = segment.arrays
            at = np.searchsorted(arrays["keys"], wanted)
            for i in np.flatnonzero(at < len(arrays["keys"])).tolist():
                if arrays["keys"][at[i]] != wanted[i]:
                    continue
                span = slice(int(arrays["starts"][at[i]]), int(arrays["starts"][at[i] + 1]))
                posting = (arrays["slots"][span], arrays["tfs"][span], arrays["norms"][span])
                if segment.number not in self.whole:
                    kept = self.owner[posting[0]] == segment.number
                    posting = (posting[0][kept], posting[1][kept], posting[2][kept])
                found[i].append(posting)
        return found


class TextFollower:
    """Makes the next ``TextIndex`` from the list of segments of a generation, reading only segments that are new. One thread only."""

    def __init__(self) -> None:
        self._segments: tuple[Segment, ...] = ()
        self._owner: Slots = np.zeros(0, dtype=np.int32)
        self._lengths = np.zeros((0, len(TEXT_FIELDS)), dtype=np.uint32)
        self._documents = np.zeros(len(TEXT_FIELDS), dtype=np.int64)
        self._totals = np.zeros(len(TEXT_FIELDS), dtype=np.int64)

    @property
    def segments(self) -> Mapping[str, Segment]:
        """The open ones by name, to be handed back to ``advance``."""
        return {segment.name: segment for segment in self._segments}

    def advance(self, segments: Sequence[Segment], slots: int) -> TextIndex:
        """The state with these segments, oldest first, and ``slots`` rows."""
        self._grow(slots)
        same = 0
        while same < min(len(segments), len(self._segments)) and segments[same].name == self._segments[same].name:
            same += 1
        owner = self._owner.copy()
        for segment in self._segments[same:]:
            self._drop(segment, owner)
        for segment in segments[same:]:
            self._take(segment, owner)
        self._segments, self._owner = tuple(segments), owner
        return TextIndex(self._segments, owner, self._whole(), self._documents.copy(), self._totals.copy())

    def _grow(self, slots: int) -> None:
        missing = slots - len(self._owner)
        if missing > 0:
            self._owner = np.concatenate([self._owner, np.zeros(missing, dtype=np.int32)])
        if slots > len(self._lengths):
            more = np.zeros((max(slots, len(self._lengths) * 5 // 4) - len(self._lengths), len(TEXT_FIELDS)), dtype=np.uint32)
            self._lengths = np.concatenate([self._lengths, more])

    def _drop(self, segment: Segment, owner: Slots) -> None:
        """Forget its products: a merge leaves those out that have no words any more."""
        docs = segment.arrays["docs"]
        docs = docs[owner[docs] == segment.number]
        lengths = self._lengths[docs]
        self._documents -= (lengths > 0).sum(axis=0)
        self._totals -= lengths.sum(axis=0, dtype=np.int64)
        self._lengths[docs] = 0
        owner[docs] = 0

    def _take(self, segment: Segment, owner: Slots) -> None:
        docs, lengths = segment.arrays["docs"], segment.arrays["lengths"]
        before = self._lengths[docs]
        self._documents += (lengths > 0).sum(axis=0) - (before > 0).sum(axis=0)
        self._totals += lengths.sum(axis=0, dtype=np.int64) - before.sum(axis=0, dtype=np.int64)
        self._lengths[docs] = lengths
        owner[docs] = segment.number

    def _whole(self) -> frozenset[int]:
        owned = np.bincount(self._owner)
        return frozenset(s.number for s in self._segments if s.number < len(owned) and owned[s.number] == len(s.arrays["docs"]))
