"""Records from tables: CSV, TSV and Parquet."""

from __future__ import annotations

import csv
import io
import tempfile
from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO, TextIO

from hybrid_search.catalog.convert import Record
from hybrid_search.catalog.rows import Fault
from hybrid_search.errors import CatalogError

MAX_CELL = 16 * 1024 * 1024
"""Characters of the largest cell; a quote that is never closed is noticed here at the latest."""
_DELIMITERS = (",", ";", "\t", "|")
_BATCH_ROWS = 512


def read_csv(stream: BinaryIO, *, delimiter: str = "", encoding: str = "utf-8") -> Iterator[tuple[int, Record | Fault]]:
    """One record per row under a header row; empty cells are left out. Lines are numbered as they stand in the file.

    A row with too few or too many cells, with bytes that are not in the encoding, or with a broken quote is a fault; the read goes on with
    the line after it, also when an unclosed quote would have swallowed the rest of the file.

    Args:
        delimiter: between cells; found in the header row if empty.

    Raises:
        CatalogError: no header row, a column named twice, or an unknown encoding.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))
    try:
        text = io.TextIOWrapper(stream, encoding=encoding, errors="surrogateescape", newline="")
    except LookupError as err:
        raise CatalogError(
            f"Unknown encoding {encoding!r} in the mapping.", field="encoding", value=encoding, remedy="Use utf-8, latin-1, gb18030 …"
        ) from err
    lines = _Lines(text)
    header = _header(lines, delimiter)
    names, delimiter = header
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        start = lines.number + 1
        lines.taken.clear()
        try:
            cells = next(rows)
        except StopIteration:
            text.detach()
            return
        except csv.Error as err:
            yield start, Fault("", lines.put_back_all_but_first(), f"is not a row of a CSV file: {err}")
            continue
        if lines.overlong:
            lines.overlong = False
            yield start, Fault("", cells[0] if cells else "", f"is longer than {MAX_CELL} characters")
        elif cells:
            record = _record(names, cells)
            if isinstance(record, Fault) and len(lines.taken) > 1 and not record.field:
                lines.put_back_all_but_first()
            yield start, record


class _Lines(Iterator[str]):
    """Lines of a text with their number, some of which can be put back. ``taken`` are those of the row being read."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._waiting: deque[str] = deque()
        self.number = 0
        self.taken: list[str] = []
        self.overlong = False

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else self._text.readline(MAX_CELL)
        if not line:
            raise StopIteration
        if len(line) >= MAX_CELL:
            self.overlong = True
            while (rest := self._text.readline(MAX_CELL)) and not rest.endswith(("\n", "\r")):
                pass
            line = line[:200].replace('"', "") + "\n"
        self.number += 1
        self.taken.append(line)
        return line

    def put_back_all_but_first(self) -> str:
        """The lines of the row being read are read again, except for its first, which is returned."""
        first, *others = self.taken or [""]
        self._waiting.extendleft(reversed(others))
        self.number -= len(others)
        return first


def _header(lines: _Lines, delimiter: str) -> tuple[list[str], str]:
    first = next((line for line in lines if line.strip()), "")
    delimiter = delimiter or max(_DELIMITERS, key=first.count)
    try:
        names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    except (csv.Error, TypeError) as err:
        raise CatalogError(
            f"The header row cannot be read: {err}.", field="catalog", remedy="Give the column separator as delimiter in the mapping."
        ) from err
    named = [name for name in names if name]
    if not named:
        raise CatalogError("The file has no header row.", field="catalog", remedy="Name the columns in the first line.")
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise CatalogError(f"The column {twice!r} is there twice.", field=twice, remedy="Name each column once.")
    return names, delimiter


def _record(names: list[str], cells: list[str]) -> Record | Fault:
    if len(cells) != len(names) and (len(cells) < len(names) or any(cells[len(names) :])):
        return Fault("", ",".join(cells), f"has {len(cells)} cells, the header has {len(names)}")
    for name, cell in zip(names, cells, strict=False):
        if not cell.isascii() and any("\udc80" <= c <= "\udcff" for c in cell):
            return Fault(
                name, cell.encode("utf-8", "surrogateescape"), "is not UTF-8: save the file as UTF-8, or name its encoding in the mapping"
            )
    return {name: cell for name, cell in zip(names, cells, strict=False) if cell and name}


def read_parquet(stream: BinaryIO) -> Iterator[tuple[int, Record | Fault]]:
    """One record per row, read in small batches. Raises ``CatalogError`` when it is no Parquet file or pyarrow is not installed."""
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError as err:
        raise CatalogError("Parquet needs the package pyarrow.", field="format", remedy="Install hybrid-search[parquet].") from err
    with tempfile.TemporaryFile() as unpacked:
        try:
            source = parquet.ParquetFile(_seekable(stream, unpacked))
            number = 0
            for batch in source.iter_batches(batch_size=_BATCH_ROWS):
                for record in _microseconds(batch, arrow).to_pylist(maps_as_pydicts="lossy"):
                    number += 1
                    yield number, record
        except (arrow.ArrowException, OSError) as err:
            raise CatalogError(f"The file is not a readable Parquet file: {err}.", field="catalog", remedy="Write it again.") from err


def _seekable(stream: BinaryIO, unpacked: Any) -> Any:
    """Parquet is read from its end, so a packed file is unpacked to disk first."""
    if isinstance(stream, io.BufferedReader) and isinstance(stream.raw, io.FileIO):
        return stream
    while chunk := stream.read(1 << 20):
        unpacked.write(chunk)
    unpacked.seek(0)
    return unpacked


def _microseconds(batch: Any, arrow: Any) -> Any:
    """Times in nanoseconds, which Python has no type for, cut to microseconds."""
    for place, column in enumerate(batch.schema):
        if arrow.types.is_timestamp(column.type) and column.type.unit == "ns":
            times = batch.column(place).cast(arrow.timestamp("us", tz=column.type.tz), safe=False)
            batch = batch.set_column(place, column.name, times)
    return batch
