"""Filters to a mask over the rows of a generation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from hybrid_search.engines.embedded.columns import Columns
from hybrid_search.engines.embedded.product_columns import LEVEL
from hybrid_search.schema import CATEGORY_FIELD, NUMERIC_FIELDS, require_keyword, require_numeric
from hybrid_search.types import CategoryPrefix, Exists, Filter, Range, Terms

Mask = npt.NDArray[np.bool_]
PATH_SEPARATOR = " > "
"""Between the levels of a category path where it is one string: in facet values and in ``Terms`` on ``category``."""


def filter_mask(columns: Columns, filters: Sequence[Filter], exclude_ids: Iterable[str]) -> Mask:
    """``(size,) bool``: living products that pass every filter. Raises ``QueryError`` for a field that cannot be filtered."""
    mask = columns.live.copy()
    for one in filters:
        passed = _passed(columns, one)
        mask &= ~passed if one.exclude else passed
    for id_ in exclude_ids:
        if (slot := columns.slot(id_)) is not None:
            mask[slot] = False
    return mask


def _passed(columns: Columns, one: Filter) -> Mask:
    if isinstance(one, Terms):
        return _terms(columns, require_keyword(one.field), one.values)
    if isinstance(one, CategoryPrefix):
        return _with_members(columns, CATEGORY_FIELD, [LEVEL.join(one.path)]) if one.path else np.ones(columns.size, dtype=np.bool_)
    if isinstance(one, Exists):
        return _exists(columns, one.field)
    return _in_range(columns.numbers(require_numeric(one.field)), one)


def _terms(columns: Columns, field: str, values: Sequence[str]) -> Mask:
    if field == "id":
        mask = np.zeros(columns.size, dtype=np.bool_)
        mask[[slot for value in values if (slot := columns.slot(value)) is not None]] = True
        return mask
    if field == CATEGORY_FIELD:
        values = [value.replace(PATH_SEPARATOR, LEVEL) for value in values]
    return _with_members(columns, field, values)


def _with_members(columns: Columns, field: str, members: Sequence[str]) -> Mask:
    codes = columns.codes(field)
    if codes is None:
        return np.zeros(columns.size, dtype=np.bool_)
    dictionary = columns.dictionary(field)
    wanted = dictionary.containing(members)
    if len(wanted) == 1:
        return np.asarray(codes == wanted[0])
    table = np.zeros(len(dictionary.names), dtype=np.bool_)
    table[wanted] = True
    return np.asarray(table[codes])


def _exists(columns: Columns, field: str) -> Mask:
    if field in NUMERIC_FIELDS:
        return ~np.isnan(columns.numbers(field))
    if require_keyword(field) == "id":
        return columns.live
    codes = columns.codes(field)
    return np.zeros(columns.size, dtype=np.bool_) if codes is None else np.asarray(codes > 0)


def _in_range(numbers: npt.NDArray[np.float64], bounds: Range) -> Mask:
    mask = ~np.isnan(numbers)
    if bounds.gte is not None:
        mask &= numbers >= bounds.gte
    if bounds.gt is not None:
        mask &= numbers > bounds.gt
    if bounds.lte is not None:
        mask &= numbers <= bounds.lte
    if bounds.lt is not None:
        mask &= numbers < bounds.lt
    return mask
