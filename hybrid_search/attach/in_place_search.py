"""How a foreign index is searched: words by their analysis in their text fields, filters, facets and sort by their own fields.

Values are theirs as they stand, except for availability, whose words the attach file translates, and times, which are ISO 8601. What no field of theirs can answer
is an error that says why, never an empty answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_search.attach.availability import has_bounds
from hybrid_search.attach.config import ATTRIBUTE, AttachConfig
from hybrid_search.attach.exact_values import NOTHING, can_hold, having, is_text, is_time, shown_time
from hybrid_search.attach.schema import DATE_TYPES, NUMBER_TYPES, TEXT_TYPES, SourceField
from hybrid_search.attach.source import SourceIndex
from hybrid_search.catalog.values import availability, availability_spellings
from hybrid_search.engines import analysis
from hybrid_search.engines.cluster.documents import DEFAULTS
from hybrid_search.engines.cluster.fields import EVERYTHING, Clause, Fields, escaped
from hybrid_search.engines.cluster.layout import OWN
from hybrid_search.engines.cluster.legs import MOST_CLAUSES
from hybrid_search.engines.should_match import required_matches
from hybrid_search.errors import QueryError
from hybrid_search.schema import CATEGORY_FIELD, KEYWORD_FIELDS, NUMERIC_FIELDS, TEXT_FIELDS, require_keyword, require_numeric
from hybrid_search.types import KeywordLeg

LONGEST_REGEX = 1_000
"""Characters of a regular expression that servers take where ``index.max_regex_length`` says nothing else."""
_NOWHERE = f"{OWN}.popularity"
"""A field that no document has."""


class TheirFields(Fields):
    """``Fields`` of an index that an attach file maps. Raises ``QueryError`` that names the field, why it is not possible, and the remedy."""

    def __init__(self, index: SourceIndex, config: AttachConfig) -> None:
        self._index, self._config = index, config
        self._untold = availability(
            config.constants.get("availability", DEFAULTS["availability"])
        )  # what a product is whose document does not tell

    @property
    def uncountable(self) -> frozenset[str]:
        """Fields with names of their own that cannot be filtered or counted here."""
        return frozenset(field for field in (CATEGORY_FIELD, *KEYWORD_FIELDS) if field != "id" and isinstance(self._find(field), str))

    def terms(self, field: str, values: Sequence[str]) -> Clause:
        if field == "id":
            return {"terms": {"id": list(values)}}
        told = self._keyword(field)
        return self._availability(told, values) if field == "availability" else having(told, values)

    def _availability(self, told: SourceField, values: Sequence[str]) -> Clause:
        """By the table, then by the words that make a product so (``catalog.values``); a value that is none of ours stands for itself."""
        table = self._config.availability
        given = [theirs for theirs, ours in table.items() if ours in values]
        spellings = [spelling for value in values for spelling in availability_spellings(value) if spelling not in table]
        itself = [value for value in values if not availability_spellings(value)]
        clauses = [having(told, [*given, *itself, *spellings])]
        if is_text(told) and spellings:
            written: list[Clause] = [{"regexp": {told.exact: {"value": _written(one), "case_insensitive": True}}} for one in spellings]
            clauses.append({"bool": {"should": written, "must_not": [having(told, list(table))]}})
        if self._untold in values:
            clauses.append({"bool": {"must_not": [{"exists": {"field": told.exact}}]}})
        return {"bool": {"should": clauses}}

    def below(self, path: Sequence[str]) -> Clause:
        told = self._keyword(CATEGORY_FIELD)
        separator = self._config.separators.get(CATEGORY_FIELD, "").strip()
        if not separator:  # each level is a value of its own
            return {"bool": {"filter": [having(told, [level]) for level in path]}}
        if not is_text(told):
            return having(told, path) if len(path) == 1 else NOTHING
        between = f" *{escaped(separator)} *"
        written = f" *{between.join(map(escaped, path))}( *{escaped(separator)}.*)? *"
        longest = int(self._index.settings.get("index.max_regex_length", LONGEST_REGEX))
        if len(written) > longest:
            raise QueryError(
                f"A category path of {len(written)} characters, as it is searched for, is too long for the index {self._index.name!r}.",
                field=CATEGORY_FIELD,
                value=" > ".join(path)[:80],
                remedy=f"Shorten it: {longest} are allowed.",
            )
        return {"regexp": {told.exact: {"value": written}}}

    def exists(self, field: str) -> Clause:
        if field in ("id", "availability"):  # every product is in some state
            return EVERYTHING
        return {"exists": {"field": self._number(field).exact if field in NUMERIC_FIELDS else self._keyword(field).exact}}

    def range(self, field: str, bounds: Mapping[str, float]) -> Clause:
        told = self._number(field)
        inside: dict[str, Any] = {name: self.in_units(field, bound) for name, bound in bounds.items()}
        return {"range": {told.exact: inside | ({"format": "epoch_millis"} if told.type in DATE_TYPES else {})}}

    def order(self, field: str, *, descending: bool, missing: Any = "_last") -> list[Any]:
        return [{self._number(field).exact: {"order": "desc" if descending else "asc", "missing": missing}}]

    def by_popularity(self) -> list[Any]:
        if isinstance(self._find("popularity"), SourceField):
            return super().by_popularity()
        return [{_NOWHERE: {"order": "desc", "missing": 0, "unmapped_type": "double"}}]  # all alike

    def counted(self, field: str) -> Clause:
        if field == "id":
            return {"field": "id"}
        told = self._keyword(field)
        untold = self._word_for_untold(told) if field == "availability" else None
        return {"field": told.exact} | ({} if untold is None else {"missing": untold})

    def counted_ranges(self, field: str) -> Clause:
        return {"field": self._number(field).exact}

    def in_units(self, field: str, value: float) -> float:
        if self._number(field).type in DATE_TYPES:
            return round(value * 1_000)
        return round(value / self._config.scales.get(field, 1.0), 6)  # 19.99 are 1999 cents, not 1998.9999999999998

    def shown(self, field: str, bucket: Mapping[str, Any]) -> str:
        value = str(bucket.get("key_as_string", bucket["key"]))
        if field == "availability":
            return str(self._config.availability.get(value) or availability(value))
        if field != "id" and is_time(self._keyword(field)):
            return shown_time(bucket["key"]) or value
        return value

    def has_levels(self, field: str) -> bool:
        return False

    def merges(self, field: str) -> bool:
        return field == "availability"

    def _word_for_untold(self, told: SourceField) -> str | None:
        """Their word that documents which tell nothing are counted under; ``None`` where no value of the field means that."""
        table = self._config.availability
        words = [theirs for theirs, ours in table.items() if ours == self._untold]
        words += [spelling for spelling in availability_spellings(str(self._untold)) if spelling not in table]
        return next((word for word in words if can_hold(told, word)), None)

    def _keyword(self, field: str) -> SourceField:
        return self._require(require_keyword(field))

    def _number(self, field: str) -> SourceField:
        return self._require(require_numeric(field))

    def _require(self, field: str) -> SourceField:
        found = self._find(field)
        if isinstance(found, SourceField):
            return found
        raise QueryError(
            f"{field!r} cannot be filtered, counted or sorted by in the index {self._index.name!r}: {found}.",
            field=field,
            value=field,
            remedy=f"Name one field for {field} under [fields] of the attach file that the mapping has with exact values (docs/attach.md), or use attach sync.",
        )

    def _find(self, field: str) -> SourceField | str:
        """Their field, or why there is none that answers for ``field``."""
        config = self._config
        paths = config.fields.get(field, ())
        if not paths:
            pairs = field.startswith(ATTRIBUTE) and config.attribute_pairs
            return "attributes that are told as pairs have no field of their own" if pairs else "the attach file names no field for it"
        if len(paths) > 1 or "*" in paths[0]:
            return f"it is filled from several fields ({', '.join(paths)})"
        told = self._index.fields.get(paths[0])
        if told is None:
            return f"the mapping has no field {paths[0]!r}"
        if told.nested:
            return f"{told.path!r} is inside the nested object {told.nested!r}"
        if not told.exact:
            return f"{told.path!r} is a {told.type} without a keyword below it"
        if told.exact == "id":
            return "a field of theirs that is called 'id' cannot be told from the product's"
        if field in NUMERIC_FIELDS:
            wanted = DATE_TYPES if field in ("created", "updated") else NUMBER_TYPES
            if told.type not in wanted:
                return f"{told.path!r} is a {told.type}, not a {'date' if wanted is DATE_TYPES else 'number'}"
            if config.scales.get(field, 1.0) <= 0:
                return f"scales.{field} is not above 0"
        elif field in config.separators and field != CATEGORY_FIELD:
            return f"values of {told.path!r} are cut by separators.{field}"
        elif field == "availability" and not config.availability:
            return "the table [availability] of the attach file does not tell which of their values is which"
        elif field == "availability" and has_bounds(config.availability):
            return f"the table [availability] of the attach file tells bounds of the number {told.path!r}, not values"
        return told


def _written(spelling: str) -> str:
    """A regular expression of Lucene for all that ``catalog.values.availability`` reads as ``spelling``."""
    between = "[^a-zA-Z0-9]*"
    return f"(https?://schema\\.org/)?{between}{between.join(spelling)}{between}"


def keyword_clause(leg: KeywordLeg, index: SourceIndex, config: AttachConfig) -> Clause | None:
    """Words matched by their analysis in their fields: each field's score by its weight, summed.

    ``minimum_should_match`` counts the query's words, each matched in any of the fields, as on an index of ours; words are cut as ours
    are for the count, and their analysis decides what matches one.
    """
    weights: dict[str, float] = {}
    for field, weight in leg.fields.items():
        for target in config.fields if field == "all" else (field,):
            if target in TEXT_FIELDS or target.startswith(ATTRIBUTE):
                for path in config.fields.get(target, ()):
                    told = index.fields.get(path)
                    if told is not None and not told.nested and told.type in TEXT_TYPES and weight > 0:
                        weights[path] = weights.get(path, 0.0) + weight
    words = [word for word in leg.text.split() if analysis.terms(word)][: MOST_CLAUSES // max(2 * len(weights), 1)]
    if not weights or not leg.text.strip():
        return None
    text = " ".join(words) or leg.text
    should = [{"match": {path: {"query": text, "boost": weight}}} for path, weight in sorted(weights.items())]
    need = required_matches(len(words), leg.minimum_should_match)
    if need <= 1:
        return {"bool": {"should": should}}
    any_field = [{"multi_match": {"query": word, "fields": sorted(weights), "operator": "and"}} for word in words]
    return {
        "bool": {"should": should, "filter": [{"bool": {"should": any_field, "minimum_should_match": need}}], "minimum_should_match": 1}
    }
