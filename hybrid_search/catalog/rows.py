"""What reading a catalogue yields: an accepted product, or a reject that says where, what and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeAlias

import orjson

from hybrid_search.errors import CatalogError
from hybrid_search.product import Product

SHOWN = 200
"""Characters of a refused value that are kept for showing."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A valid product and where it stood.

    ``line`` counts lines from 1 in JSONL, CSV and TSV (where the row begins), and products from 1 in JSON, Parquet and XML.
    ``missing_images`` are local pictures that the row names and that are not there; the product is accepted all the same.
    """

    product: Product
    line: int
    missing_images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is no product: ``field`` and ``value`` (as given, shortened to 200 characters) of the first fault, and the reason in words.

    ``field`` is empty when the row as a whole is at fault; ``file`` is set when the row stood in another file than the catalogue itself.
    """

    line: int
    field: str
    value: str
    reason: str
    id: str = ""
    file: str = ""


Row: TypeAlias = Accepted | Reject


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row, or a value in it, could not be used. What a format's reader yields in place of a record."""

    field: str
    value: object
    reason: str


def shown(value: object) -> str:
    """``value`` as text of at most ``SHOWN`` characters, in one line; bytes are read as UTF-8 with replacement characters."""
    if isinstance(value, bytes):
        value = value[: SHOWN * 4].decode("utf-8", "replace")
    text = value[: SHOWN * 2] if isinstance(value, str) else "" if value is None else repr(value)
    text = " ".join(text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd").split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


@dataclass(slots=True)
class CatalogSummary:
    """Counts of a read that is under way or over.

    ``by_field`` counts rejects by their first faulty field ("" is the row as a whole), ``with_text`` and ``with_images`` the accepted
    products that have some, ``missing_images`` the local pictures that are named and not there.
    """

    accepted: int = 0
    rejected: int = 0
    by_field: Counter[str] = field(default_factory=Counter)
    with_text: int = 0
    with_images: int = 0
    images: int = 0
    missing_images: int = 0

    def add(self, row: Row) -> None:
        """Counts one row."""
        if isinstance(row, Reject):
            self.rejected += 1
            self.by_field[row.field] += 1
            return
        product = row.product
        self.accepted += 1
        self.with_text += bool(product.title or product.description)
        self.with_images += bool(product.images)
        self.images += len(product.images)
        self.missing_images += len(row.missing_images)

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows, each counted as it passes."""
        for row in rows:
            self.add(row)
            yield row


class RejectsFile:
    """Rejects as JSON Lines with line, field, value, reason, id and file; a context manager.

    The file appears in one piece when the context ends, also after an error; without any reject there is none, and an older one goes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._part = path.with_name(f".{path.name}.part")
        self._out: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def write(self, reject: Reject) -> None:
        """Adds one reject. Raises ``CatalogError`` when the file cannot be written."""
        try:
            if self._out is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._out = self._part.open("wb")
            self._out.write(
                orjson.dumps({key: value for key, value in asdict(reject).items() if value or key not in ("id", "file")}) + b"\n"
            )
        except OSError as err:
            raise _unwritable(self.path, err) from err
        self.count += 1

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows; each reject is written as it passes."""
        for row in rows:
            if isinstance(row, Reject):
                self.write(row)
            yield row

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if self._out is None:
                self.path.unlink(missing_ok=True)
                return
            self._out.close()
            self._part.replace(self.path)
        except OSError as err:
            raise _unwritable(self.path, err) from err


def _unwritable(path: Path, error: OSError) -> CatalogError:
    return CatalogError(
        f"The rejects file {str(path)!r} cannot be written: {error.strerror or error}.",
        field="rejects",
        value=str(path),
        remedy="Name another place for it.",
    )
