"""One bulk item as bytes, written straight from numpy rows: no Python list of floats in between, float32 in its shortest exact digits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

import numpy as np
import orjson

Op = Literal["create", "index", "update", "delete"]
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


@dataclass(frozen=True, slots=True)
class Action:
    """One write. ``body`` is the document, for ``update`` its ``{"doc": …}`` or ``{"script": …}``, for ``delete`` nothing.

    ``if_seq_no`` and ``if_primary_term`` make it conditional on what was read. ``require_alias`` has the server refuse an index that
    is named directly, so that a lost alias never becomes an index with guessed mappings; a delete makes none and never asks for it.
    """

    op: Op
    index: str
    id: str
    body: Mapping[str, Any] | None = None
    if_seq_no: int | None = None
    if_primary_term: int | None = None
    require_alias: bool = True


class UnwritableBody(ValueError):
    """A body that JSON cannot carry; the message names id and field."""


def encode(action: Action) -> bytes:
    """The item's lines, each ended by a newline.

    Raises ``UnwritableBody`` for what is not JSON and for NaN and infinities, in vectors and elsewhere: the encoder writes them as null.
    """
    head: dict[str, Any] = {"_index": action.index, "_id": action.id}
    if action.if_seq_no is not None:
        head["if_seq_no"] = action.if_seq_no
        head["if_primary_term"] = action.if_primary_term
    if action.require_alias and action.op != "delete":
        head["require_alias"] = True
    try:
        first = orjson.dumps({action.op: head}, option=orjson.OPT_APPEND_NEWLINE)
        if action.body is None:
            return first
        body = orjson.dumps(action.body, default=_plain_array, option=_OPTIONS | orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError as error:
        raise UnwritableBody(f"Item {action.id!r} cannot be written as JSON: {error.__cause__ or error}.") from None
    if b"null" in body:  # an honest None, the word, or a number that JSON has not
        for path in _not_finite(action.body, ""):
            raise UnwritableBody(f"Item {action.id!r} has NaN or an infinity in {path}; nothing was written of it.")
    return first + body


def _plain_array(value: object) -> object:
    """Arrays that the encoder does not read directly: strided ones, and those of no dimension."""
    if isinstance(value, np.ndarray):
        if value.ndim == 0:
            return value.item()
        if not value.flags.c_contiguous:
            return np.ascontiguousarray(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _not_finite(value: object, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _not_finite(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from _not_finite(inner, f"{path}[{number}]")
    elif isinstance(value, (np.ndarray, np.floating)):
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            yield path
    elif isinstance(value, float) and not isfinite(value):
        yield path
