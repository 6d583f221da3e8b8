"""Comparing ledger and index, product by product in bounded memory, through the engine's protocol only; and mending what differs.

Nothing is decided twice: whatever is wrong becomes pending again, and a worker brings it in order, from kept tower outputs where it can.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from hybrid_search.engines.base import Engine
from hybrid_search.indexing.parts import ImageHashes, part_hashes
from hybrid_search.product import Product
from hybrid_search.types import Document, FloatMatrix, Part, Requeue, Space, State

Parts: TypeAlias = dict[Part, tuple[str, ...]]

PAGE = 256
"""Products held at once, with their vectors of one space."""
EXAMPLES = 5
"""Products named for each kind of finding."""


class Finding(StrEnum):
    """What can be wrong with one product in one space."""

    OTHER_CONTENT = "other_content"
    """The entry is about other words or pictures than the product has."""
    FAILED_WITH_OTHER_CONTENT = "failed_with_other_content"
    """The same, and it failed: the failure says nothing of what the product has now."""
    OTHER_MODEL = "other_model"
    """The entry names another model than the space."""
    NO_ENTRY = "no_entry"
    """The product has the part and no entry: nobody would embed it."""
    NO_VECTORS = "ready_without_vectors"
    WRONG_SHAPE = "wrong_shape"
    """Vectors of another dimension than the space's, more of them than parts, or numbers that are not finite."""
    NO_PART = "entry_without_part"
    """An entry for a part that the product does not have."""
    ORPHANS = "vectors_without_entry"


@dataclass(slots=True)
class Reconciled:
    """``counts`` and ``examples`` (product ids) by finding and space key; ``mended`` products, ``skipped`` ones that were written meanwhile.

    ``unreadable`` products have pictures that this machine cannot read: what the ledger says of their pictures is believed.
    """

    products: int = 0
    unreadable: int = 0
    counts: Counter[tuple[Finding, str]] = field(default_factory=Counter)
    examples: dict[tuple[Finding, str], list[str]] = field(default_factory=dict)
    mended: int = 0
    skipped: int = 0

    @property
    def found(self) -> int:
        return sum(self.counts.values())


def reconcile(
    engine: Engine,
    intake: ImageHashes,
    *,
    readable: Callable[[str], bool],
    mend: bool,
    on_progress: Callable[[int], None] = lambda products: None,
) -> Reconciled:
    """Look at every product; with ``mend`` make pending what is wrong.

    A product that is written while it is looked at may be counted, and is left alone. ``readable`` tells whether this machine can read an
    image reference, so that a folder that is not mounted here costs no embedding. ``on_progress`` gets the number of products done.
    """
    report = Reconciled()
    after = ""
    while page := engine.scan(after=after, limit=PAGE):
        after = page[-1].id
        spaces = engine.spaces()
        parts_of = [_parts(document, spaces, intake, readable, report) for document in page]
        requests = _requests(engine, page, parts_of, spaces, report)
        if mend and requests:
            mended = engine.requeue(requests)
            report.mended += mended
            report.skipped += len(requests) - mended
        report.products += len(page)
        on_progress(report.products)
    return report


def _parts(document: Document, spaces: Sequence[Space], intake: ImageHashes, readable: Callable[[str], bool], report: Reconciled) -> Parts:
    """The content hashes that the product has now."""
    product = Product.model_validate(document.body)
    if all(readable(reference) for reference in product.images):
        return part_hashes(product, intake)
    report.unreadable += 1
    parts = part_hashes(product.model_copy(update={"images": ()}), intake)
    told = next((document.ledger[s.key].parts for s in spaces if s.part == "image" and s.key in document.ledger), ())
    return {**parts, "image": told} if told else parts


def _requests(
    engine: Engine, page: Sequence[Document], parts_of: Sequence[Parts], spaces: Sequence[Space], report: Reconciled
) -> list[Requeue]:
    wrong: dict[str, set[str]] = {}
    for space in spaces:
        vectors = engine.read_vectors(space.key, [document.id for document in page])
        for document, parts, rows in zip(page, parts_of, vectors, strict=True):
            for finding in _findings(document, parts.get(space.part), space, rows):
                _count(report, finding, space.key, document.id)
                wrong.setdefault(document.id, set()).add(space.key)
    return [
        Requeue(document.id, document.seq, parts, frozenset(wrong[document.id]), document.numbering)
        for document, parts in zip(page, parts_of, strict=True)
        if document.id in wrong
    ]


def _findings(document: Document, parts: tuple[str, ...] | None, space: Space, rows: FloatMatrix | None) -> list[Finding]:
    entry = document.ledger.get(space.key)
    held = rows is not None and len(rows) > 0
    if entry is None:
        if parts:
            return [Finding.NO_ENTRY]
        return [Finding.ORPHANS] if held else []
    if not parts:
        return [Finding.NO_PART]
    found: list[Finding] = []
    if entry.parts != parts:
        found.append(Finding.FAILED_WITH_OTHER_CONTENT if entry.state is State.FAILED else Finding.OTHER_CONTENT)
    if entry.model != space.model:
        found.append(Finding.OTHER_MODEL)
    if entry.state is State.READY:  # what a pending entry still has of its old content is written over anyway
        if rows is None or not len(rows):
            found.append(Finding.NO_VECTORS)
        elif rows.shape[1:] != (space.dim,) or len(rows) > len(entry.parts) or not np.isfinite(rows).all():
            found.append(Finding.WRONG_SHAPE)
    return found


def _count(report: Reconciled, finding: Finding, space: str, product_id: str) -> None:
    report.counts[finding, space] += 1
    examples = report.examples.setdefault((finding, space), [])
    if len(examples) < EXAMPLES:
        examples.append(product_id)
