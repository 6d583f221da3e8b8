"""Values inside a document that somebody else laid out: dotted paths through objects, arrays, and keys that hold dots themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

DEEPEST = 20
"""Levels of objects that are followed; Elasticsearch and OpenSearch allow 20 by default."""


def values_at(document: Mapping[str, Any], path: str) -> list[Any]:
    """Every value at ``path``, in the document's order; arrays on the way and at the end are opened, nulls left out.

    A ``*`` in a step stands for any text of one key, as in ``name_category_*``; such keys come in alphabetical order.
    """
    return list(_reach(document, tuple(path.split("."))))


def value_at(document: Mapping[str, Any], path: str) -> Any:
    """The value at ``path``: ``None`` for none, a list where there are several."""
    found = values_at(document, path)
    return None if not found else found[0] if len(found) == 1 else found


def as_text(value: Any) -> str:
    """A value as a server's facets show it: ``true`` for a boolean."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def leaves(document: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every (path, value) of a document, arrays opened."""
    if depth >= DEEPEST:
        return
    for key, value in document.items():
        path = f"{prefix}{key}"
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                yield from leaves(item, path + ".", depth + 1)
            elif item is not None and not isinstance(item, list):
                yield path, item


def _reach(value: Any, steps: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _reach(item, steps)
    elif not steps:
        if value is not None:
            yield value
    elif isinstance(value, Mapping) and "*" in steps[0]:
        for key in sorted(key for key in value if fnmatchcase(key, steps[0])):
            yield from _reach(value[key], steps[1:])
    elif isinstance(value, Mapping):
        for taken in range(len(steps), 0, -1):  # "a.b" may be one key, or b inside a
            key = ".".join(steps[:taken])
            if key in value:
                yield from _reach(value[key], steps[taken:])
                return
