"""What is answered: the model of a search reply, the same in Python, in JSON and in the OpenAPI description."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hybrid_search.types import State


class Reply(BaseModel):
    """Base of the reply models: immutable."""

    model_config = ConfigDict(frozen=True)


class LegExplain(Reply):
    """One leg's part in one hit. ``contribution = weight × normalised``; the contributions add up to the hit's score."""

    raw: float = Field(description="As the engine scored it: BM25, or a cosine in [-1, 1].")
    rank: int = Field(description="Rank in this leg, from 1.")
    normalised: float
    weight: float = Field(description="The leg's share of all weights asked.")
    contribution: float


class Explain(Reply):
    """Why a hit is where it is. A leg that did not find it is left out."""

    fusion: str
    legs: dict[str, LegExplain]


class Hit(Reply):
    """One product of the page."""

    id: str
    rank: int = Field(description="From 1, over all pages.")
    score: float | None = Field(description="The fused score; null on a page sorted by a field.")
    product: dict[str, Any]
    states: dict[str, State] = Field(description="Embedding state by space name; a space the product has nothing for is left out.")
    image_error: str | None = Field(description="Why its picture could not be embedded: `reason: sentence`.")
    explain: Explain | None = None


class BucketReply(Reply):
    value: str
    count: int
    low: float | None = None
    high: float | None = None


class FacetReply(Reply):
    field: str
    buckets: tuple[BucketReply, ...]
    others: int = Field(description="Products in buckets that are not listed.")


class Interpreted(Reply):
    """How the request was understood."""

    text: str
    language: str
    modalities: tuple[str, ...]
    fusion: str
    weights: dict[str, float] = Field(description="Share of each leg that was asked; they add up to 1.")


class SearchReply(Reply):
    """A page of hits and what is known of the whole match set."""

    query_id: str
    total: int = Field(description="Products that match: keyword matches together with the candidates of the vector legs.")
    relation: Literal["eq", "gte"]
    hits: tuple[Hit, ...]
    facets: tuple[FacetReply, ...] = Field(description="Empty on later pages: they do not change.")
    next: str | None = Field(description="Opaque; ask again with it for the following page. Null on the last one.")
    degraded: tuple[str, ...] = Field(description="What was left out because a part was down: `leg: reason`.")
    interpreted: Interpreted
    took_ms: float
