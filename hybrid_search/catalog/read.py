"""Reading a catalogue: every row becomes an accepted product or a reject, one after the other, in little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from hybrid_search.catalog.convert import Converter, Record, UnusableValue
from hybrid_search.catalog.faults import faults_of
from hybrid_search.catalog.feed_records import read_feed
from hybrid_search.catalog.files import REVIEWS, CatalogFile, find_catalog, open_catalog
from hybrid_search.catalog.json_records import read_json, read_jsonl
from hybrid_search.catalog.mappings import FOLDER, GOOGLE, NATIVE, ColumnMapping
from hybrid_search.catalog.pictures import PictureFolder
from hybrid_search.catalog.rows import Accepted, Fault, Reject, Row, shown
from hybrid_search.catalog.shop_exports import ASSEMBLERS, Numbered
from hybrid_search.catalog.table_records import read_csv, read_parquet
from hybrid_search.product import Product

RecordReader = Callable[[BinaryIO, ColumnMapping], Iterator[Numbered]]

READERS: dict[str, RecordReader] = {
    "jsonl": lambda content, mapping: read_jsonl(content),
    "json": lambda content, mapping: read_json(content, records=mapping.records),
    "csv": lambda content, mapping: read_csv(content, delimiter=mapping.delimiter, encoding=mapping.encoding),
    "tsv": lambda content, mapping: read_csv(content, delimiter=mapping.delimiter or "\t", encoding=mapping.encoding),
    "parquet": lambda content, mapping: read_parquet(content),
    "xml": lambda content, mapping: read_feed(content),
}
"""Format to reader."""

_PROGRESS_ROWS = 500


def read_catalog(
    path: Path,
    *,
    mapping: ColumnMapping | None = None,
    format: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Row]:
    """The rows of a catalogue in file order, each accepted or rejected; no row stops the read.

    A row whose id was already accepted is rejected. In a folder, reviews of ``reviews.jsonl`` are joined to the products
    whose id or group id they name.

    Args:
        path: a file, or a folder with ``products.<ending>`` and pictures in it or in ``images/``.
        mapping: columns to fields; by default the columns are named as the fields (``NATIVE``, for a folder ``FOLDER``).
        format: one of ``files.FORMATS``; by default from the file's ending.
        progress: called now and then with the fraction of the file that was read, at last with 1.

    Raises:
        CatalogError: the file as a whole cannot be read: missing, of unknown format, cut off, not the format it claims.
    """
    file = find_catalog(Path(path), format)
    mapping = mapping or (GOOGLE if file.format == "xml" else FOLDER if file.in_folder else NATIVE)
    reviews, rejects = _read_reviews(file)
    yield from rejects
    rows = _Rows(Converter(mapping, PictureFolder(file.folder, mapping.image_base)), reviews)
    start = partial(_records, file, mapping, progress)
    for line, record in ASSEMBLERS[mapping.assemble](start) if mapping.assemble else start():
        yield rows.row(line, record)
    if progress:
        progress(1.0)


def _records(file: CatalogFile, mapping: ColumnMapping, progress: Callable[[float], None] | None) -> Iterator[Numbered]:
    with open_catalog(file) as stream:
        for count, numbered in enumerate(READERS[file.format](stream.content, mapping)):
            if progress and count % _PROGRESS_ROWS == 0:
                progress(stream.fraction())
            yield numbered


class _Rows:
    """Turns records into rows and remembers the ids: 8 bytes of hash and the line per product, so that a million stay small."""

    def __init__(self, converter: Converter, reviews: dict[str, list[Record]]) -> None:
        self._converter = converter
        self._reviews = reviews
        self._lines: dict[int, int] = {}

    def row(self, line: int, record: Record | Fault) -> Row:
        if isinstance(record, Fault):
            return Reject(line, record.field, shown(record.value), record.reason)
        fields: Record = record
        try:
            fields, missing = self._converter.product_fields(record)
            if self._reviews:
                self._join_reviews(fields)
            product = Product.model_validate(fields)
        except UnusableValue as err:
            return _reject(line, fields, [err.fault])
        except ValidationError as err:
            return _reject(line, fields, faults_of(err))
        first = self._lines.setdefault(hash(product.id), line)
        if first != line:
            return Reject(line, "id", shown(product.id), f"was already given in line {first}", shown(product.id))
        return Accepted(product, line, missing)

    def _join_reviews(self, fields: Record) -> None:
        joined = [*self._reviews.get(_key(fields.get("id")), ()), *self._reviews.get(_key(fields.get("group_id")), ())]
        if joined:
            fields["reviews"] = [*fields.get("reviews", ()), *joined]


def _key(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _reject(line: int, fields: Record, faults: list[Fault]) -> Reject:
    first, others = faults[0], list(dict.fromkeys(fault.field for fault in faults[1:] if fault.field != faults[0].field))
    reason = first.reason + (f" (also at fault: {', '.join(others[:10])})" if others else "")
    return Reject(line, first.field, shown(first.value), reason, shown(fields.get("id")))


def _read_reviews(file: CatalogFile) -> tuple[dict[str, list[Record]], list[Reject]]:
    """Reviews by the product or group id that they name, and those that name none or are no JSON objects."""
    reviews: dict[str, list[Record]] = {}
    rejects: list[Reject] = []
    if file.reviews is None:
        return reviews, rejects
    with open_catalog(CatalogFile(file.reviews, "jsonl", file.folder, True)) as stream:
        for line, record in read_jsonl(stream.content):
            if isinstance(record, Fault):
                rejects.append(Reject(line, record.field, shown(record.value), record.reason, file=REVIEWS))
                continue
            keys = [key for name in ("product_id", "group_id") if (key := _key(record.pop(name, None)))]
            if keys:
                reviews.setdefault(keys[0], []).append(record)
            else:
                rejects.append(Reject(line, "product_id", "", "names neither a product_id nor a group_id", file=REVIEWS))
    return reviews, rejects
