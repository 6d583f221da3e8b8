"""Evaluation sets: a catalogue, queries and judgements in one folder.

``products.jsonl`` and ``images/`` as any catalogue folder; ``queries.NAME.jsonl`` with ``query_id``, ``text`` and/or ``image`` (a path in
the folder), ``lang``, ``kind``; ``qrels.NAME.tsv`` with query id, product id and grade between tabs. NAME is the split. Lines end at ``\\n`` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from hybrid_search.catalog.read import read_catalog
from hybrid_search.catalog.rows import Accepted
from hybrid_search.errors import CatalogError
from hybrid_search.product import Product

Qrels = dict[str, dict[str, int]]
"""Grade by product id, by query id. What is not in it was not judged."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query: words, a picture, or both. ``language`` and ``kind`` are as the file says, empty where it does not."""

    id: str
    text: str
    image: Path | None
    language: str
    kind: str

    @property
    def modality(self) -> str:
        """``text``, ``image`` or ``text+image``."""
        return "+".join(name for name, given in (("text", self.text), ("image", self.image)) if given)


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """What a folder holds for one split. ``rejected`` counts rows of the catalogue that are no products."""

    folder: Path
    split: str
    products: tuple[Product, ...]
    rejected: int
    queries: tuple[Query, ...]
    qrels: Qrels


def read_set(folder: Path, split: str, *, progress: Callable[[float], None] | None = None) -> EvaluationSet:
    """Read a folder.

    Args:
        folder: the set's folder.
        split: NAME of the query and judgement files.
        progress: called with the fraction of the catalogue that was read.

    Raises:
        CatalogError: a file is missing or malformed; the message names the file, the line and the remedy.
    """
    products, rejected = read_products(folder, progress=progress)
    queries, qrels = read_judged(folder, split)
    return EvaluationSet(folder, split, products, rejected, queries, qrels)


def read_judged(folder: Path, split: str) -> tuple[tuple[Query, ...], Qrels]:
    """The queries of a split and their judgements; needs no catalogue. Raises ``CatalogError`` as ``read_set`` does."""
    queries = tuple(_queries(folder, split))
    if not queries:
        raise CatalogError(
            f"{_file(folder, f'queries.{split}.jsonl')} holds no query.", field="split", value=split, remedy="Choose another split."
        )
    qrels = _qrels(folder, split)
    if not any(query.id in qrels for query in queries):
        raise CatalogError(
            f"No query of queries.{split}.jsonl is judged in qrels.{split}.tsv.",
            field="split",
            value=split,
            remedy="Check that both files belong together.",
        )
    return queries, qrels


def read_products(folder: Path, *, progress: Callable[[float], None] | None = None) -> tuple[tuple[Product, ...], int]:
    """The products of a catalogue folder, and how many rows were refused. Raises ``CatalogError``."""
    if not folder.is_dir():
        raise CatalogError(f"{folder} is not a folder.", field="data", value=str(folder), remedy="Name an unpacked evaluation set.")
    rows = list(read_catalog(folder, progress=progress))
    products = tuple(row.product for row in rows if isinstance(row, Accepted))
    if not products:
        raise CatalogError(
            f"{folder} holds no valid product.", field="data", value=str(folder), remedy="See `hybrid-search catalog check`."
        )
    return products, len(rows) - len(products)


def _file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        stem, ending = name.split(".")[0], name.split(".")[-1]
        splits = sorted(p.name.split(".")[1] for p in folder.glob(f"{stem}.*.{ending}"))
        known = f"Splits there: {', '.join(splits)}." if splits else f"Name a folder with {stem}.NAME.{ending}."
        raise CatalogError(f"{path} is missing.", field="split", value=name.split(".")[1], remedy=known)
    return path


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line number from 1 and line, empty ones left out. Titles may hold characters that ``splitlines`` takes for line ends."""
    try:
        content = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise CatalogError(f"{path} cannot be read: {err}.", field="data", value=str(path), remedy="The file must be UTF-8 text.") from err
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def _queries(folder: Path, split: str) -> Iterator[Query]:
    path = _file(folder, f"queries.{split}.jsonl")
    seen: set[str] = set()
    for number, line in _lines(path):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as err:
            raise _malformed(path, number, f"not a JSON object ({err})", line) from err
        if not isinstance(record, dict) or not record.get("query_id"):
            raise _malformed(path, number, "no query_id", line)
        query = _query(folder, path, number, record)
        if query.id in seen:
            raise _malformed(path, number, f"query_id {query.id!r} was already given", line)
        seen.add(query.id)
        yield query


def _query(folder: Path, path: Path, number: int, record: dict[str, Any]) -> Query:
    image = folder / str(record["image"]) if record.get("image") else None
    if image is not None and not image.is_file():
        raise _malformed(path, number, f"its picture {image} is missing", str(record["image"]))
    text = str(record.get("text") or "").strip()
    if not text and image is None:
        raise _malformed(path, number, "neither text nor image", str(record["query_id"]))
    return Query(str(record["query_id"]), text, image, str(record.get("lang") or ""), str(record.get("kind") or ""))


def _qrels(folder: Path, split: str) -> Qrels:
    path = _file(folder, f"qrels.{split}.tsv")
    qrels: Qrels = {}
    for number, line in _lines(path):
        cells = line.split("\t")
        if number == 1 and cells[-1].strip() == "grade":
            continue
        try:
            query_id, product_id, grade = cells
            qrels.setdefault(query_id, {})[product_id] = int(grade)
        except ValueError as err:
            raise _malformed(path, number, "not query id, product id and whole grade between tabs", line) from err
    return qrels


def _malformed(path: Path, number: int, what: str, value: str) -> CatalogError:
    return CatalogError(f"{path}, line {number}: {what}.", field="data", value=value[:200], remedy="Correct the line.")
