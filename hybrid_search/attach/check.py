"""Whether an attach file fits the index it names: a sample converted and validated, rejects told per field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from hybrid_search.attach.config import DOCUMENT_ID, AttachConfig, FollowTable
from hybrid_search.attach.paths import values_at
from hybrid_search.attach.reading import ProductReader
from hybrid_search.attach.schema import DATE_TYPES, NUMBER_TYPES
from hybrid_search.attach.source import Source, SourceDocument, SourceIndex
from hybrid_search.catalog.rows import Accepted, CatalogSummary, Reject
from hybrid_search.engines.cluster.layout import OWN
from hybrid_search.product import Product

SAMPLE = 200
_SHOWN = 10


@dataclass(slots=True)
class AttachCheck:
    """What a sample came to. ``filled`` counts accepted products by the fields they have; ``problems`` are what makes the file unusable."""

    documents: int
    summary: CatalogSummary = field(default_factory=CatalogSummary)
    filled: Counter[str] = field(default_factory=Counter)
    rejects: list[Reject] = field(default_factory=list)
    first: Product | None = None
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    in_place: str = ""

    @property
    def ok(self) -> bool:
        return not self.problems and not self.summary.rejected


def check_attach(source: Source, config: AttachConfig, *, size: int = SAMPLE) -> AttachCheck:
    """Convert a sample of the index by the file. Raises as ``Source`` does."""
    told = AttachCheck(source.count(), in_place=in_place(source.index))
    sample = source.sample(size)
    _check_paths(source.index, config, sample, told)
    convert(sample, ProductReader(config), told)
    if not told.documents:
        told.problems.append("No document passes source.filter." if config.source.filter else "The index is empty.")
    return told


def convert(sample: Sequence[SourceDocument], reader: ProductReader, told: AttachCheck) -> None:
    """Counts what becomes of ``sample``."""
    ids: Counter[str] = Counter()
    for number, document in enumerate(sample, 1):
        row = reader.read(document, number)
        told.summary.add(row)
        if isinstance(row, Accepted):
            told.first = told.first or row.product
            told.filled.update(row.product.body().keys())
            ids[row.product.id] += 1
        elif len(told.rejects) < _SHOWN:
            told.rejects.append(row)
    if doubled := [id_ for id_, count in ids.items() if count > 1]:
        told.problems.append(f"{len(doubled)} ids stand for several documents each, as {doubled[0]!r}: choose another path for id.")


def _check_paths(index: SourceIndex, config: AttachConfig, sample: Sequence[SourceDocument], told: AttachCheck) -> None:
    known = index.fields
    objects = {path.rpartition(".")[0] for path in known}
    open_objects = [path for path, field in known.items() if field.type in ("object", "flattened", "flat_object")]
    for key, path in _named_paths(config):
        dynamic = any(path == above or path.startswith(above + ".") for above in open_objects)
        if path in known or path in objects or path == DOCUMENT_ID or "*" in path or dynamic:
            continue
        if any(values_at(document.source, path) for document in sample):
            told.warnings.append(
                f"{key}: the mapping has no field {path!r}; it is only stored, and nothing can be searched by it in place."
            )
            continue
        near = ", ".join(map(repr, get_close_matches(path, known, 3)))
        told.problems.append(f"{key}: neither the mapping nor a sampled document has {path!r}{f'; near to it are {near}' if near else ''}.")
    if fault := follow_fault(index, config):
        told.problems.append(fault)


def _named_paths(config: AttachConfig) -> Iterator[tuple[str, str]]:
    """Key of the attach file and a path that it names."""
    yield from ((f"fields.{target}", path) for target, paths in config.fields.items() for path in paths)
    if tree := config.category_tree:
        yield from (("category_tree.id", tree.id), ("category_tree.parent", tree.parent))
    for pair in config.attribute_pairs:
        yield from (("attribute_pairs.name", pair.name), ("attribute_pairs.value", pair.value))


def follow_fault(index: SourceIndex, config: AttachConfig) -> str:
    """Why ``follow.field`` cannot be followed, empty when it can."""
    follow = config.follow
    told = index.fields.get(follow.field)
    wanted = DATE_TYPES if follow.kind == "date" else NUMBER_TYPES
    if not follow.field or (told is not None and told.exact == told.path and told.type in wanted and not told.nested):
        return ""
    state = "is not in the mapping" if told is None else f"is a {told.type}{' inside a nested object' if told.nested else ''}"
    return f"follow.field: {follow.field!r} {state}, not a {follow.kind} that the index can sort by."


def dated_ahead(source: Source, follow: FollowTable) -> list[str]:
    """A warning where documents are dated in the future: they are read at each look, and the followed field does not tell when they change."""
    if not follow.field or follow.kind != "date":
        return []
    count, example = source.ahead(follow.field, slack=follow.overlap)
    if not count:
        return []
    return [
        f"{count} documents have a {follow.field!r} in the future, as {example!r}: they are read at each look. "
        "Correct it in the shop (a local time without its zone is one cause)."
    ]


def in_place(index: SourceIndex) -> str:
    """Empty when vectors can be added to the index itself, else why not and what to do instead."""
    if index.taken:
        return f"it has a field of its own that is called {OWN!r}, where ours would stand: use a side index (attach sync)."
    if index.routed:
        return "its documents are only found by their routing value, which products do not have: use a side index (attach sync)."
    if index.product == "opensearch" and not index.knn:
        return (
            "index.knn is not true, and cannot be switched on for an index that exists: use a side index (attach sync), "
            "or copy it into a new index with index.knn (attach reindex)."
        )
    return ""
