"""Records from JSON Lines and from a JSON array."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO, cast

import ijson
import orjson

from hybrid_search.catalog.convert import Record
from hybrid_search.catalog.rows import Fault
from hybrid_search.errors import CatalogError

MAX_ROW_BYTES = 64 * 1024 * 1024
"""A row above this is refused: it would otherwise have to be held in memory as a whole."""


def read_jsonl(stream: BinaryIO) -> Iterator[tuple[int, Record | Fault]]:
    """One record per line. Lines end at ``\\n`` only: a title may hold U+2028, U+0085 or a form feed. Blank lines are skipped."""
    number = 0
    while line := stream.readline(MAX_ROW_BYTES):
        number += 1
        if len(line) == MAX_ROW_BYTES and not line.endswith(b"\n"):
            while (rest := stream.readline(MAX_ROW_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield number, Fault("", line[:1000], f"is longer than {MAX_ROW_BYTES} bytes")
        elif line := line.strip(b" \t\r\n"):
            yield number, _parse(line)


def _parse(line: bytes) -> Record | Fault:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as err:
        return Fault("", line, _why(line, err))
    return record if isinstance(record, dict) else Fault("", line, "must be a JSON object of field names and values")


def _why(line: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        line.decode()
    except UnicodeDecodeError as err:
        return f"is not UTF-8 (byte {err.start + 1} of the line is 0x{line[err.start]:02x}): write the file as UTF-8"
    return f"is not valid JSON: {error}"


def read_json(stream: BinaryIO, *, records: str = "") -> Iterator[tuple[int, Record | Fault]]:
    """One record per element of a JSON array, parsed as it is read; numbered from 1.

    The array is the whole file, or the one that ``records`` names (by default ``products``) in the object that is the file.
    A file with one object per line is read as JSON Lines, whatever its name.

    Raises:
        CatalogError: broken JSON (what follows cannot be told apart), or no such array.
    """
    head = cast(io.BufferedReader, stream).peek(1 << 16)
    if _is_jsonl(head):
        yield from read_jsonl(stream)
        return
    where = "item" if head.lstrip()[:1] == b"[" else f"{records or 'products'}.item"
    number = 0
    try:
        for value in ijson.items(stream, where, use_float=True):
            number += 1
            yield number, value if isinstance(value, dict) else Fault("", value, "must be a JSON object of field names and values")
    except (ijson.JSONError, UnicodeDecodeError) as err:
        reason = " ".join(str(err).split()) or type(err).__name__
        raise CatalogError(
            f"The file is not valid JSON after {number} products: {reason}.", field="catalog", remedy="Write it again, or as JSON Lines."
        ) from err
    if not number and where != "item":
        raise CatalogError(
            f"The file holds no list at {where.removesuffix('.item')!r}.",
            field="records",
            remedy="Say where it is with records in the mapping.",
        )


def _is_jsonl(head: bytes) -> bool:
    """Whether the first line is a whole JSON object that another one follows."""
    line, end, rest = head.lstrip().partition(b"\n")
    if not (end and line.startswith(b"{") and rest.lstrip().startswith(b"{")):
        return False
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False
