"""The nouns that all rooms share: spaces, filters, legs, plans, hits. Frozen dataclasses, no behaviour beyond their own consistency.

Conventions: ranks count from 1; a higher score is better; vectors are ``float32`` and L2-normalised, matrices ``(n, dim)``;
times are seconds unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

FloatMatrix: TypeAlias = npt.NDArray[np.float32]
"""``(n, dim)`` float32; rows are L2-normalised unless a docstring says otherwise."""
FloatVector: TypeAlias = npt.NDArray[np.float32]
"""``(dim,)`` float32, L2-normalised unless a docstring says otherwise."""

Part: TypeAlias = Literal["text", "image"]
"""What of a product a space is made from; each part has its own content hash."""
Modality: TypeAlias = Literal["text", "image"]
"""What a query is made of."""


# --- embedding spaces and the ledger ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Space:
    """A versioned embedding space: who fills it and who asks it.

    ``model`` produces the document vectors from ``part``; ``query_models`` names, per query modality, the model that produces
    query vectors. Words and pictures meet where the two differ (``cross``: pictures projected into the text model's space).
    """

    name: str
    version: int
    dim: int
    part: Part
    model: str
    query_models: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Stable identity, also the suffix of the vector field: ``text_1`` → ``vec_text_1``."""
        return f"{self.name}_{self.version}"


class State(StrEnum):
    """Where one product stands in one space."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


class Priority(StrEnum):
    """Live changes are embedded before a backfill."""

    LIVE = "live"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What the index says of one product in one space.

    ``parts`` are the content hashes the vectors are (or will be) made from, one per image or one for the text.
    ``error`` is ``"<reason code>: <sentence>"`` of the last failure; a ``ready`` entry can carry one when some of several images failed.
    """

    space: str
    state: State
    model: str
    parts: tuple[str, ...]
    attempts: int = 0
    error: str | None = None
    updated: float = 0.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Products that one task embeds together. Only ``id`` and ``product_ids`` travel through the broker."""

    id: str
    product_ids: tuple[str, ...]
    priority: Priority


@dataclass(frozen=True, slots=True)
class VectorWrite:
    """The vectors of one product in one space; refused when the ledger's hashes are no longer ``parts``.

    ``vectors`` is ``(m, dim)`` with one row per embedded part (failed images leave no row); ``error`` notes images that failed.
    """

    product_id: str
    space: str
    parts: tuple[str, ...]
    vectors: FloatMatrix
    error: str | None = None


@dataclass(frozen=True, slots=True)
class FailureWrite:
    """One failed try of one product in one space; ``final`` skips the remaining attempts (a file that can never decode).

    ``postpone``: the try says nothing of the product (the worker lacked the model). It counts no attempt, and the entry stays pending
    and is left alone for this many seconds; ``final`` means nothing then.
    """

    product_id: str
    space: str
    parts: tuple[str, ...]
    error: str
    final: bool
    postpone: float | None = None


@dataclass(frozen=True, slots=True)
class Requeue:
    """What one product's ledger is to be brought to, if the product is still as it was when it was read at ``seq`` of ``numbering``
    (those of ``Document``).

    ``parts`` are the content hashes that the product has. Entries with other hashes, those of ``spaces`` (keys) and missing ones become
    pending; entries and vectors of parts that the product does not have are removed.
    """

    product_id: str
    seq: int
    parts: Mapping[Part, tuple[str, ...]]
    spaces: frozenset[str] = frozenset()
    numbering: str = ""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of one item of a bulk write: ``created``, ``updated``, ``noop``, ``deleted``, ``missing`` or ``error``."""

    id: str
    result: Literal["created", "updated", "noop", "deleted", "missing", "error"]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A stored product: its JSON body as validated, its ledger by space key, and the change sequence of its last write.

    ``numbering``: which sequence ``seq`` is of; a reindex begins another one.
    """

    id: str
    body: Mapping[str, Any]
    ledger: Mapping[str, LedgerEntry]
    seq: int
    numbering: str = field(default="", compare=False)


# --- filters, facets, sort -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Terms:
    """The field has one of ``values`` (exact, case-sensitive)."""

    field: str
    values: tuple[str, ...]
    exclude: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """The numeric field lies in the given bounds; a product without the field never matches."""

    field: str
    gte: float | None = None
    gt: float | None = None
    lte: float | None = None
    lt: float | None = None
    exclude: bool = False


@dataclass(frozen=True, slots=True)
class CategoryPrefix:
    """The category path starts with ``path``: ``("Clothing", "Jackets")`` finds ``Clothing > Jackets > Rain``."""

    path: tuple[str, ...]
    exclude: bool = False


@dataclass(frozen=True, slots=True)
class Exists:
    """The field has a value."""

    field: str
    exclude: bool = False


Filter: TypeAlias = Terms | Range | CategoryPrefix | Exists
"""Filters of a plan are joined by AND; ``exclude`` negates one."""


@dataclass(frozen=True, slots=True)
class FacetRequest:
    """Counts of a field's values over the match set, largest count first, ties by value.

    With ``edges`` (ascending) a numeric field is counted in the half-open ranges between them instead.
    """

    field: str
    size: int = 10
    edges: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Bucket:
    """One line of a facet; ``low``/``high`` only for ranges (``None`` is unbounded)."""

    value: str
    count: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Facet:
    field: str
    buckets: tuple[Bucket, ...]
    """At most ``size`` of them."""
    others: int = 0
    """Products that have the field, in buckets beyond ``size``."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """A sort by a numeric field; products without it come last, ties are broken by id ascending."""

    field: str
    descending: bool = False


# --- legs, plans, replies --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeywordLeg:
    """BM25 over weighted fields (k1 = 1.2, b = 0.75, Lucene's formula): a document's score is the weighted sum of its fields' scores.

    ``minimum_should_match`` follows Lucene's syntax and counts the query's words, each matched in any field.
    """

    name: str
    text: str
    fields: Mapping[str, float]
    minimum_should_match: str
    k: int


@dataclass(frozen=True, slots=True)
class VectorLeg:
    """Exact kNN by cosine in one space: scores in [-1, 1], a product with several vectors scores by its best one.

    Hits below ``min_score`` are dropped by the engine.
    """

    name: str
    space: str
    vector: FloatVector
    k: int
    min_score: float = -1.0


@dataclass(frozen=True, slots=True)
class AllLeg:
    """Every product that passes the filters, scored by its popularity prior: browsing without a query."""

    name: str
    k: int


Leg: TypeAlias = KeywordLeg | VectorLeg | AllLeg


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """Everything one search asks of an engine, answered from one consistent state of the index.

    The match set is the keyword matches (and all products for ``AllLeg``) joined with the hits of the vector legs, inside the filters;
    totals, facets and ``sort`` are computed on that one set. ``exclude_ids`` are in no leg, no count and no facet.
    """

    legs: tuple[Leg, ...]
    filters: tuple[Filter, ...] = ()
    facets: tuple[FacetRequest, ...] = ()
    sort: tuple[SortKey, ...] = ()
    sort_limit: int = 0
    exclude_ids: tuple[str, ...] = ()
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class LegHits:
    """A leg's candidates, best first, ties by id ascending: ``ids[i]`` scored ``scores[i]`` at rank ``i + 1``.

    ``scores`` is ``(k,)`` float32, raw as the engine gives them (BM25 unbounded, cosine in [-1, 1]).
    """

    name: str
    ids: tuple[str, ...]
    scores: FloatVector


@dataclass(frozen=True, slots=True)
class EngineReply:
    """What an engine answers to a ``SearchPlan``; ``seq`` is the change sequence that every part of it saw.

    ``failed`` names legs that could not be answered, with the reason; their hits are missing, the rest stands.
    """

    legs: Mapping[str, LegHits]
    total: int
    relation: Literal["eq", "gte"]
    facets: tuple[Facet, ...]
    sorted_ids: tuple[str, ...] | None
    seq: int
    failed: Mapping[str, str] = field(default_factory=dict)
    leg_seconds: Mapping[str, float] = field(default_factory=dict)
    """The engine's own time for each leg that it answered, where it knows it: for monitoring only."""
