"""Finding and opening a catalogue: a file of a known format, packed or not, or a folder with one in it."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from hybrid_search.errors import CatalogError

EXTENSIONS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xml": "xml",
    ".rss": "xml",
    ".atom": "xml",
}
"""File endings and the format they stand for; each may be followed by ``.gz``."""
FORMATS = tuple(dict.fromkeys(EXTENSIONS.values()))
REVIEWS = "reviews.jsonl"
_OTHER_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """A catalogue on disk. ``folder`` is what image names are relative to; ``reviews`` is a file of reviews beside it."""

    path: Path
    format: str
    folder: Path
    in_folder: bool
    reviews: Path | None = None


def find_catalog(path: Path, format: str | None = None) -> CatalogFile:
    """The catalogue at ``path``: a file, or a folder that holds ``products.<ending>``.

    Raises:
        CatalogError: nothing is there, it cannot be read, or its format is unknown.
    """
    if path.is_dir():
        found = sorted(file for file in path.glob("products.*") if _format_of(file))
        if not found:
            raise CatalogError(
                f"The folder {str(path)!r} holds no products file.",
                field="catalog",
                value=str(path),
                remedy=f"Name it products.jsonl, or with one of the endings {', '.join(EXTENSIONS)} (.gz may follow).",
            )
        file = path / "products.jsonl" if path / "products.jsonl" in found else found[0]
        reviews = path / REVIEWS
        return CatalogFile(file, format or _format_of(file), path, True, reviews if reviews.is_file() else None)
    if not path.is_file():
        raise CatalogError(
            f"There is no catalogue at {str(path)!r}.",
            field="catalog",
            value=str(path),
            remedy="Give a file or a folder with products.jsonl.",
        )
    kind = format or _format_of(path)
    if kind not in FORMATS:
        raise CatalogError(
            f"The format of {path.name!r} is unknown." if not format else f"Unknown format {format!r}.",
            field="format",
            value=format or path.suffix,
            remedy=f"Use one of: {', '.join(FORMATS)}.",
        )
    return CatalogFile(path, kind, path.parent, False)


def _format_of(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return EXTENSIONS.get(Path(name).suffix, "")


class Stream:
    """An opened catalogue: ``content`` yields its bytes unpacked, without a byte order mark; ``fraction`` says how much of the file was read."""

    def __init__(self, raw: BinaryIO, size: int) -> None:
        self._raw = raw
        self._size = size
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        self.content: BinaryIO = cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 18)) if packed else raw

    def fraction(self) -> float:
        """Between 0 and 1."""
        return min(1.0, self._raw.tell() / self._size) if self._size else 1.0


@contextmanager
def open_catalog(file: CatalogFile) -> Iterator[Stream]:
    """Opens a catalogue for reading; gzip is known by its first bytes, not by its name.

    Raises:
        CatalogError: the file cannot be opened, is cut off or damaged (while reading), or is UTF-16.
    """
    try:
        with file.path.open("rb", buffering=1 << 18) as raw:
            stream = Stream(raw, file.path.stat().st_size)
            if file.format != "parquet":
                _skip_mark(stream, file.path)
            yield stream
    except (gzip.BadGzipFile, EOFError) as err:
        raise CatalogError(
            f"{file.path.name!r} is damaged or cut off: {err}.", field="catalog", value=str(file.path), remedy="Copy or pack it again."
        ) from err
    except OSError as err:
        raise CatalogError(f"{str(file.path)!r} cannot be read: {err.strerror or err}.", field="catalog", value=str(file.path)) from err


def _skip_mark(stream: Stream, path: Path) -> None:
    head = cast(io.BufferedReader, stream.content).peek(4)[:4]
    if head.startswith(b"\xef\xbb\xbf"):
        stream.content.read(3)
    elif (encoding := _OTHER_ENCODINGS.get(head[:2])) is not None:
        raise CatalogError(f"{path.name!r} is written in {encoding}.", field="catalog", value=str(path), remedy="Save it as UTF-8.")
