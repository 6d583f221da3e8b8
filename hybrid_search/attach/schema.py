"""The fields of a foreign index as its mapping tells them, flat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VECTOR_TYPES = frozenset({"knn_vector", "dense_vector", "sparse_vector", "rank_features"})
EXACT_TYPES = frozenset({"keyword", "constant_keyword", "wildcard", "boolean", "ip"})
NUMBER_TYPES = frozenset({"long", "integer", "short", "byte", "double", "float", "half_float", "scaled_float", "unsigned_long"})
DATE_TYPES = frozenset({"date", "date_nanos"})
TEXT_TYPES = frozenset({"text", "match_only_text", "search_as_you_type"})
SORTED_TYPES = EXACT_TYPES | NUMBER_TYPES | DATE_TYPES


@dataclass(frozen=True, slots=True)
class SourceField:
    """One field of the mapping.

    ``exact`` is the path by which it can be filtered and sorted (itself or a keyword below it), empty when there is none;
    ``nested`` is the path of the nested object it is in, empty when it is in none.
    """

    path: str
    type: str
    exact: str = ""
    nested: str = ""


def fields_of(mapping: Mapping[str, Any]) -> dict[str, SourceField]:
    """All leaf fields of a mapping (``{"properties": …}``) by path, in path order; multi-fields are told by ``exact`` only."""
    found: dict[str, SourceField] = {}
    _walk(mapping.get("properties", {}), "", "", found)
    return dict(sorted(found.items()))


def foreign_below(mapping: Mapping[str, Any], name: str) -> bool:
    """Whether the mapping has something called ``name`` that is no object with dynamic mapping off, as ours is."""
    told = mapping.get("properties", {}).get(name)
    return told is not None and ("properties" not in told or str(told.get("dynamic")).lower() != "false")


def _walk(properties: Mapping[str, Any], prefix: str, nested: str, found: dict[str, SourceField]) -> None:
    for name, told in properties.items():
        path = prefix + name
        if "properties" in told:
            _walk(told["properties"], path + ".", path if told.get("type") == "nested" else nested, found)
            continue
        kind = told.get("type", "object")
        found[path] = SourceField(path, kind, _exact(path, kind, told), nested)


def _exact(path: str, kind: str, told: Mapping[str, Any]) -> str:
    if kind in SORTED_TYPES and told.get("doc_values", True):
        return path
    below = sorted(name for name, sub in told.get("fields", {}).items() if sub.get("type") == "keyword" and "normalizer" not in sub)
    return f"{path}.{below[0]}" if below else ""
