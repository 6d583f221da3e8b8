"""Facets over a match set, sort orders over it, and the best k of scored rows: exact, ties as the contract has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hybrid_search.engines.embedded.columns import Columns
from hybrid_search.engines.embedded.filtering import PATH_SEPARATOR
from hybrid_search.engines.embedded.product_columns import LEVEL
from hybrid_search.engines.embedded.value_column import Dictionary
from hybrid_search.schema import CATEGORY_FIELD, require_keyword, require_numeric
from hybrid_search.types import Bucket, Facet, FacetRequest, SortKey

Rows = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]


def count_facet(columns: Columns, request: FacetRequest, rows: Rows) -> Facet:
    """Counts over ``rows``. A category counts in each prefix of its path; with edges one bucket per range, in order, those below
    the first edge and from the last one on included."""
    if request.edges:
        return _count_ranges(columns.numbers(require_numeric(request.field)), request, rows)
    field = require_keyword(request.field)
    if field == "id":
        shown = sorted(columns.ids[row] for row in rows.tolist())[: request.size]
        return Facet(field, tuple(Bucket(id_, 1) for id_ in shown), len(rows) - len(shown))
    codes = columns.codes(field)
    if codes is None:
        return Facet(field, ())
    return _count_values(field, columns.dictionary(field), np.bincount(codes[rows], minlength=1), request.size)


def _count_values(field: str, dictionary: Dictionary, by_code: Counts, size: int) -> Facet:
    """The largest counts of single values, from the counts of codes."""
    members = dictionary.members()
    by_code[0] = 0
    if members is None:
        top = _largest(by_code, dictionary.names, size)
        return Facet(field, top, int(by_code.sum()) - sum(bucket.count for bucket in top))
    known = members.codes < len(by_code)
    counts = np.bincount(members.values[known], weights=by_code[members.codes[known]]).astype(np.int64)
    top = _largest(counts, members.names, size)
    covered = np.asarray(dictionary.containing([bucket.value for bucket in top]), dtype=np.intp)
    others = int(by_code.sum() - by_code[covered[covered < len(by_code)]].sum())
    if field == CATEGORY_FIELD:
        top = tuple(Bucket(bucket.value.replace(LEVEL, PATH_SEPARATOR), bucket.count) for bucket in top)
    return Facet(field, top, others)


def _largest(counts: Counts, names: Sequence[str], size: int) -> tuple[Bucket, ...]:
    """Non-zero counts, largest first, ties by name, at most ``size``."""
    at = np.flatnonzero(counts)
    if 0 < size < len(at):
        at = at[counts[at] >= np.partition(counts[at], len(at) - size)[len(at) - size]]
    ranked = sorted((-int(counts[i]), names[i]) for i in at.tolist())
    return tuple(Bucket(name, -count) for count, name in ranked[:size])


def _count_ranges(numbers: npt.NDArray[np.float64], request: FacetRequest, rows: Rows) -> Facet:
    given = numbers[rows]
    given = given[~np.isnan(given)]
    bounds = (None, *request.edges, None)
    counts = np.bincount(np.searchsorted(request.edges, given, side="right"), minlength=len(request.edges) + 1)
    spans = zip(bounds, bounds[1:], counts.tolist(), strict=False)
    return Facet(request.field, tuple(Bucket(f"{_shown(low)}-{_shown(high)}", count, low, high) for low, high, count in spans))


def _shown(bound: float | None) -> str:
    return "*" if bound is None else f"{bound:g}"


def sort_rows(columns: Columns, keys: Sequence[SortKey], rows: Rows, limit: int) -> Rows:
    """The first ``limit`` of ``rows`` by the keys; rows without a key's field last, ties by id."""
    by = [columns.order[rows]]
    for key in reversed(keys):
        numbers = columns.numbers(require_numeric(key.field))[rows]
        by.append(-numbers if key.descending else numbers)  # NaN sorts last either way
    return rows[np.lexsort(by)[:limit]]


def best(rows: Rows, scores: npt.NDArray[np.float32], k: int, order: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Positions of the k best scores, best first; equal ones by ``order`` (ascending id), also at the last place."""
    if k <= 0:
        return np.empty(0, dtype=np.intp)
    within = np.arange(len(rows))
    if len(rows) > k:
        within = np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k])
    return within[np.lexsort((order[rows[within]], -scores[within]))][:k]
