"""Where the fields of a product are in an index and how their values stand there: what filters, facets and sort go by. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_search.engines.cluster.layout import ATTRIBUTE_NAMES, CATEGORY_PATHS, FACT_SEPARATOR, FACTS, NUMERIC_PATHS
from hybrid_search.schema import ATTRIBUTE_PREFIX, CATEGORY_FIELD, NUMERIC_FIELDS, require_keyword, require_numeric

Clause = dict[str, Any]

PATH_SEPARATOR = " > "
"""Between the levels of a category path in the index, in facet values and in ``Terms`` on ``category``."""
EVERYTHING: Clause = {"match_all": {}}
_LUCENE_SPECIAL = re.compile(r'([.?+*|{}\[\]()"\\#@&<>~^$-])')


def escaped(text: str) -> str:
    """``text`` inside a regular expression of Lucene."""
    return _LUCENE_SPECIAL.sub(r"\\\1", text)


class Fields:
    """Our own layout (``layout.py``). Every method raises ``QueryError`` for a field that cannot be used so."""

    def terms(self, field: str, values: Sequence[str]) -> Clause:
        """Products that have one of ``values``."""
        path = _keyword_path(field)
        return {"terms": {path: [_fact(field, value) for value in values] if path == FACTS else list(values)}}

    def below(self, path: Sequence[str]) -> Clause:
        """Products in a category or below it."""
        return {"term": {CATEGORY_PATHS: PATH_SEPARATOR.join(path)}}

    def exists(self, field: str) -> Clause:
        """Products that have the field."""
        if field in NUMERIC_FIELDS:
            return {"exists": {"field": NUMERIC_PATHS[field]}}
        path = _keyword_path(field)
        if field == "id":
            return EVERYTHING
        if path == FACTS:
            return {"term": {ATTRIBUTE_NAMES: field.removeprefix(ATTRIBUTE_PREFIX)}}
        return {"exists": {"field": path}}

    def range(self, field: str, bounds: Mapping[str, float]) -> Clause:
        """Products whose number lies within ``bounds``, one of them at least (``gte``, ``gt``, ``lte``, ``lt``)."""
        return {"range": {NUMERIC_PATHS[require_numeric(field)]: dict(bounds)}}

    def order(self, field: str, *, descending: bool, missing: Any = "_last") -> list[Any]:
        """The sort by a number."""
        return [{NUMERIC_PATHS[require_numeric(field)]: {"order": "desc" if descending else "asc", "missing": missing}}]

    def by_popularity(self) -> list[Any]:
        """The order of products that nothing else tells apart."""
        return self.order("popularity", descending=True, missing=0)

    def counted(self, field: str) -> Clause:
        """What a ``terms`` aggregation counts."""
        path = _keyword_path(field)
        return {"field": path} | ({"include": escaped(_fact(field)) + ".*"} if path == FACTS else {})

    def counted_ranges(self, field: str) -> Clause:
        """What a ``range`` aggregation counts."""
        return {"field": NUMERIC_PATHS[require_numeric(field)]}

    def in_units(self, field: str, value: float) -> float:
        """A number as the index holds it."""
        return value

    def shown(self, field: str, bucket: Mapping[str, Any]) -> str:
        """The value that a bucket counts, as products have it."""
        return str(bucket["key"])[len(_fact(field)) if _keyword_path(field) == FACTS else 0 :]

    def has_levels(self, field: str) -> bool:
        """Whether a shown value implies its first level, which counts at least as many and comes first."""
        return field == CATEGORY_FIELD

    def merges(self, field: str) -> bool:
        """Whether several values of the index stand for one of ours and must be counted together."""
        return False


OWN_FIELDS = Fields()


def _keyword_path(field: str) -> str:
    """Where the exact values of a field are; those of all attributes are in one field."""
    require_keyword(field)
    if field == CATEGORY_FIELD:
        return CATEGORY_PATHS
    return FACTS if field.startswith(ATTRIBUTE_PREFIX) else field


def _fact(field: str, value: str = "") -> str:
    """How a value of ``attributes.<name>`` stands in the field of facts; without a value the beginning of all of them."""
    return field.removeprefix(ATTRIBUTE_PREFIX) + FACT_SEPARATOR + value
