"""Reply and query models of the resources that have none elsewhere."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hybrid_search.types import State


class Query(BaseModel):
    """Base of query parameter models: unknown parameters are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WriteQuery(Query):
    refresh: Literal["none", "wait"] = Field("none", description="`wait` answers only when the write is searchable by words.")


class BulkQuery(WriteQuery):
    priority: Literal["live", "backfill"] = Field("live", description="Live changes are embedded before a backfill.")


class SimilarQuery(Query):
    size: int = Field(20, ge=1, le=100, description="Hits per page.")
    next: str | None = Field(None, max_length=20_000, description="`next` of the reply before.")
    explain: bool = Field(False, description="Tell each hit's scores by leg.")


class SimpleSearchQuery(Query):
    q: str = Field("", description="What the shopper typed.")
    like: str | None = Field(None, description="A product id: more like this one.")
    category: str | None = Field(None, description="A category path, as in `Clothing > Jackets`.")
    brand: str | None = None
    color: str | None = None
    price_min: float | None = Field(None, ge=0)
    price_max: float | None = Field(None, ge=0)
    sort: str | None = Field(None, description="A numeric field to order by; `-` in front for descending, as in `-price`.")
    size: int = Field(20, ge=1, le=100)
    next: str | None = Field(None, max_length=20_000)
    explain: bool = False


class ImageQuery(Query):
    side: int = Field(400, ge=16, le=2_000, description="Longest side in pixels; rounded up to one of a few sizes.")


class FailuresQuery(Query):
    limit: int = Field(100, ge=1, le=1_000)
    after: str = Field("", description="`next` of the reply before.")


class EmbeddingReply(BaseModel):
    """Where a product stands in one embedding space."""

    state: State
    model: str
    attempts: int
    error: str | None
    updated: float = Field(description="Seconds since 1970-01-01 UTC.")


class ProductReply(BaseModel):
    id: str
    product: dict[str, Any]
    embedding: dict[str, EmbeddingReply] = Field(description="By space key.")
    seq: int = Field(description="Change sequence of the last write.")


class WriteReply(BaseModel):
    id: str
    result: Literal["created", "updated", "noop", "deleted"]


class BulkItem(BaseModel):
    """What became of one line."""

    line: int = Field(description="Line of the body, from 1.")
    status: int
    id: str | None = None
    result: Literal["created", "updated", "noop"] | None = None
    detail: str | None = None
    field: str | None = None
    value: str | None = None
    remedy: str | None = None


class BulkReply(BaseModel):
    items: list[BulkItem]
    written: int = Field(description="Lines that were created, updated or equal to what was there.")
    failed: int
    took_ms: float


class QueueReply(BaseModel):
    queued: int
    running: int
    oldest_queued: float = Field(description="Seconds.")
    stalest_running: float = Field(description="Seconds since the last sign of life.")


class StatusReply(BaseModel):
    engine: str
    products: int
    states: dict[str, dict[State, int]] = Field(description="Products by embedding state, by space key.")
    queue: QueueReply
    seq: int = Field(description="Last acknowledged change.")
    indexed_seq: int = Field(description="Last searchable change.")
    control_version: int
    control_error: str | None = Field(description="Why the control document could not be read last time.")
    spaces_error: str | None = Field(description="Why the list of spaces could not be read last time; searches go by the last known one.")
    details: dict[str, Any]


class FailureReply(BaseModel):
    product_id: str
    space: str
    attempts: int
    error: str | None
    model: str
    updated: float


class FailuresReply(BaseModel):
    failures: list[FailureReply]
    next: str | None


class RetryRequest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: list[str] | None = Field(None, max_length=10_000, description="Product ids; all failures when left out.")


class RetryReply(BaseModel):
    retried: int


class HealthReply(BaseModel):
    status: Literal["ok", "unavailable"]
    checks: dict[str, str] = Field(default_factory=dict)


class ControlReply(BaseModel):
    version: int
    control: dict[str, Any]
