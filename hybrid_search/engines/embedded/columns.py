"""Filter, facet and sort columns of one generation, and the follower that makes the next one from change records.

Columns live in memory (some 150 bytes a product), because every query touches them; a generation shares with the one before it every
array in which nothing changed. Attributes are kept sparse, 8 bytes per value, until a query uses one; then as an array like the rest.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid_search.engines.embedded.product_columns import LEVEL, SINGLE_FIELDS, ColumnRecord
from hybrid_search.engines.embedded.value_column import Codes, Dictionary
from hybrid_search.schema import ATTRIBUTE_PREFIX, CATEGORY_FIELD, NUMERIC_FIELDS

_DENSE = (*SINGLE_FIELDS, CATEGORY_FIELD)
_NAMES = "attribute names"
"""A column of its own: which attributes a product has, so that one that goes away can be cleared."""

Numbers = npt.NDArray[np.float64]


@dataclass(slots=True)
class Sparse:
    """An attribute's codes as (row, code) entries, the last of a row counts."""

    rows: Codes = field(default_factory=lambda: np.zeros(16, dtype=np.int32))
    codes: Codes = field(default_factory=lambda: np.zeros(16, dtype=np.int32))
    count: int = 0

    def extend(self, rows: Sequence[int], codes: Sequence[int]) -> None:
        end = self.count + len(rows)
        if end > len(self.rows):
            self.rows, self.codes = (np.concatenate([a[: self.count], np.zeros(end, dtype=np.int32)]) for a in (self.rows, self.codes))
        self.rows[self.count : end], self.codes[self.count : end] = rows, codes
        self.count = end

    def dense(self, size: int) -> Codes:
        made = np.zeros(size, dtype=np.int32)
        made[self.rows[: self.count]] = self.codes[: self.count]
        return made

    def compacted(self, size: int) -> Sparse:
        """Equal, with one entry per row that has a value; ``self`` when that would save less than half."""
        if self.count < 1_000:
            return self
        dense = self.dense(size)
        rows = np.flatnonzero(dense).astype(np.int32)
        return Sparse(rows, dense[rows], len(rows)) if 2 * len(rows) < self.count else self


@dataclass(frozen=True, slots=True)
class Columns:
    """One state of the columns, ``size`` rows; row 0 and deleted ones are not ``live``. ``order`` ascends with the id."""

    size: int
    ids: Sequence[str]
    live: npt.NDArray[np.bool_]
    order: Numbers
    _slots: dict[str, int]
    _codes: dict[str, Codes]
    _numbers: dict[str, Numbers]
    _sparse: dict[str, tuple[Codes, Codes]]
    _dictionaries: dict[str, Dictionary]
    _wanted: set[str]
    _lock: threading.Lock

    def slot(self, id_: str) -> int | None:
        """Row of a living product."""
        slot = self._slots.get(id_, self.size)
        return slot if slot < self.size and self.live[slot] else None

    def codes(self, name: str) -> Codes | None:
        """``(size,) int32`` of a keyword field, category or attribute; ``None`` when no product ever had it."""
        found = self._codes.get(name)
        if found is None and name in self._sparse:
            rows, codes = self._sparse[name]
            found = Sparse(rows, codes, len(rows)).dense(self.size)
            with self._lock:
                self._codes[name] = found
                self._wanted.add(name)
        return found

    def dictionary(self, name: str) -> Dictionary:
        return self._dictionaries[name]

    def numbers(self, name: str) -> Numbers:
        """``(size,) float64``, NaN where a product does not have the field."""
        return self._numbers[name]


class ColumnFollower:
    """Applies change records and gives out states. One thread only; the states it gave out may be read by others meanwhile."""

    def __init__(self) -> None:
        self._size = 1
        self._ids: list[str] = [""]
        self._slots: dict[str, int] = {}
        self._sorted: list[str] = []
        self._unordered = False
        self._live = np.zeros(1, dtype=np.bool_)
        self._order = np.zeros(1, dtype=np.float64)
        self._codes = {name: np.zeros(1, dtype=np.int32) for name in (*_DENSE, _NAMES)}
        self._numbers = {name: np.full(1, np.nan) for name in NUMERIC_FIELDS}
        self._sparse: dict[str, Sparse] = {}
        self._dense: dict[str, Codes] = {}
        self._dictionaries = {name: Dictionary(paths=name == CATEGORY_FIELD) for name in (*_DENSE, _NAMES)}
        self._wanted: set[str] = set()
        self._lock = threading.Lock()

    def apply(self, records: Iterable[ColumnRecord]) -> None:
        """Take over these products; of two records of one row the later counts."""
        latest = list({record.slot: record for record in records}.values())
        if not latest:
            return
        rows = np.array([record.slot for record in latest], dtype=np.int64)
        self._grow(int(rows.max()) + 1)
        self._name(latest)
        self._live = _patched(self._live, rows, [record.live for record in latest])
        for name in _DENSE:
            encode = self._dictionaries[name].encode
            self._codes[name] = _patched(self._codes[name], rows, [encode(record.keywords.get(name, "")) for record in latest])
        for name in NUMERIC_FIELDS:
            self._numbers[name] = _patched(self._numbers[name], rows, [record.numbers.get(name, np.nan) for record in latest])
        self._apply_attributes(latest, rows)

    def columns(self) -> Columns:
        """The state after all records applied so far."""
        if self._unordered:
            self._renumber()
        with self._lock:
            wanted = [name for name in self._wanted if name not in self._dense]
        for name in wanted:
            self._dense[name] = self._sparse[name].dense(self._size)
        dense = {name: _sized(codes, self._size) for name, codes in self._dense.items()}
        codes = {name: self._codes[name] for name in _DENSE} | dense
        sparse = {name: (s.rows[: s.count], s.codes[: s.count]) for name, s in self._sparse.items()}
        return Columns(
            self._size, self._ids, self._live, self._order, self._slots, codes, dict(self._numbers), sparse, self._dictionaries,
            self._wanted, self._lock,
        )  # fmt: skip

    def _grow(self, size: int) -> None:
        if size <= self._size:
            return
        self._ids.extend([""] * (size - self._size))
        self._live = _sized(self._live, size)
        self._order = _sized(self._order, size)
        self._codes = {name: _sized(codes, size) for name, codes in self._codes.items()}
        self._numbers = {name: _sized(numbers, size, np.nan) for name, numbers in self._numbers.items()}
        self._size = size

    def _name(self, records: Sequence[ColumnRecord]) -> None:
        """Ids of new rows, and numbers that ascend with them: a single id goes between its neighbours, many renumber all (later, once)."""
        new = [record for record in records if record.id not in self._slots]
        for record in new:
            self._ids[record.slot] = record.id
            self._slots[record.id] = record.slot
        if not new or self._unordered:
            return
        self._order = self._order.copy()
        self._unordered = len(new) > 16 or not all(self._squeeze_in(record) for record in new)

    def _renumber(self) -> None:
        self._sorted = sorted(self._slots)
        self._order = np.zeros(self._size, dtype=np.float64)
        self._order[[self._slots[id_] for id_ in self._sorted]] = np.arange(1, len(self._sorted) + 1)
        self._unordered = False

    def _squeeze_in(self, record: ColumnRecord) -> bool:
        """False when floats have no number left between the neighbours."""
        at = bisect_left(self._sorted, record.id)
        below = self._order[self._slots[self._sorted[at - 1]]] if at else 0.0
        above = self._order[self._slots[self._sorted[at]]] if at < len(self._sorted) else below + 2.0
        middle = (below + above) / 2
        self._sorted.insert(at, record.id)
        self._order[record.slot] = middle
        return bool(below < middle < above)

    def _apply_attributes(self, records: Sequence[ColumnRecord], rows: npt.NDArray[np.int64]) -> None:
        changes: dict[str, tuple[list[int], list[int]]] = {}
        names = self._dictionaries[_NAMES]
        now: list[int] = []
        for record, before in zip(records, self._codes[_NAMES][rows].tolist(), strict=True):
            mine = [name for name in record.keywords if name.startswith(ATTRIBUTE_PREFIX)]
            now.append(names.encode(LEVEL.join(mine)))
            for name in {*mine, *(names.names[before].split(LEVEL) if before else ())}:
                dictionary = self._dictionaries.setdefault(name, Dictionary(paths=False))
                slots, codes = changes.setdefault(name, ([], []))
                slots.append(record.slot)
                codes.append(dictionary.encode(record.keywords.get(name, "")))
        self._codes[_NAMES] = _patched(self._codes[_NAMES], rows, now)
        for name, (slots, codes) in changes.items():
            sparse = self._sparse.setdefault(name, Sparse())
            sparse.extend(slots, codes)
            self._sparse[name] = sparse.compacted(self._size)
            if name in self._dense:
                self._dense[name] = _patched(_sized(self._dense[name], self._size), np.array(slots, dtype=np.int64), codes)


def _patched(array: npt.NDArray[Any], rows: npt.NDArray[np.int64], values: Sequence[object]) -> npt.NDArray[Any]:
    """A copy with new values, or the array itself where nothing differs."""
    new = np.asarray(values, dtype=array.dtype)
    if np.array_equal(array[rows], new, equal_nan=array.dtype.kind == "f"):
        return array
    made = array.copy()
    made[rows] = new
    return made


def _sized(array: npt.NDArray[Any], size: int, fill: float = 0) -> npt.NDArray[Any]:
    if len(array) >= size:
        return array
    return np.concatenate([array, np.full(size - len(array), fill, dtype=array.dtype)])
