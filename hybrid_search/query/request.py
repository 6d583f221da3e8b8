"""What can be asked: the model that validates a search request and documents it in the OpenAPI description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from hybrid_search.control import LEG_NAMES, Weight
from hybrid_search.errors import QueryError
from hybrid_search.schema import CATEGORY_FIELD, NUMERIC_FIELDS, require_keyword, require_numeric
from hybrid_search.types import CategoryPrefix, Exists, FacetRequest, Filter, Range, SortKey, Terms

Finite = Annotated[float, Field(allow_inf_nan=False)]
Value = Annotated[str, StringConstraints(max_length=256)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]
ProductId = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Strict(BaseModel):
    """Base of the request models: immutable, unknown members are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageInput(Strict):
    """A picture to search with: exactly one of a URL (http, https or data), base64 bytes, or a product whose pictures are meant."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=15_000_000)] | None = None
    base64: Annotated[str, StringConstraints(min_length=1, max_length=15_000_000)] | None = None
    product_id: ProductId | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> ImageInput:
        if sum(value is not None for value in (self.url, self.base64, self.product_id)) != 1:
            raise ValueError("give exactly one of url, base64, product_id")
        if self.url is not None and not self.url.lower().startswith(("http://", "https://", "data:")):
            raise ValueError("url must start with http://, https:// or data:")
        return self


class FilterInput(Strict):
    """One condition; all conditions of a request must hold. ``exclude`` turns it round."""

    field: Name = Field(description="A keyword field with `values`, a numeric one with bounds, `category` with `path`, any with `exists`.")
    values: tuple[Value, ...] | None = Field(None, min_length=1, max_length=50)
    gte: Finite | None = None
    gt: Finite | None = None
    lte: Finite | None = None
    lt: Finite | None = None
    path: tuple[Value, ...] | None = Field(None, min_length=1, max_length=12, description="A category path from the widest level down.")
    exists: Literal[True] | None = None
    exclude: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> FilterInput:
        kinds = (self.values is not None, self._bounded, self.path is not None, self.exists is not None)
        if sum(kinds) != 1:
            raise ValueError("give exactly one of values, bounds (gte, gt, lte, lt), path, exists")
        return self

    @property
    def _bounded(self) -> bool:
        return any(bound is not None for bound in (self.gte, self.gt, self.lte, self.lt))

    def to_filter(self) -> Filter:
        """The engine's form of it. Raises ``QueryError`` for a field that cannot be filtered so."""
        if self.values is not None:
            return Terms(require_keyword(self.field), self.values, self.exclude)
        if self.path is not None:
            if self.field != CATEGORY_FIELD:
                raise QueryError(
                    f"path goes with the field category, not {self.field!r}.", field="filters.path", value=self.field, remedy="Use values."
                )
            return CategoryPrefix(self.path, self.exclude)
        if self.exists:
            return Exists(self.field if self.field in NUMERIC_FIELDS else require_keyword(self.field), self.exclude)
        return Range(require_numeric(self.field), self.gte, self.gt, self.lte, self.lt, self.exclude)


class FacetInput(Strict):
    """Counts of a field's values; with ``edges`` the counts of a numeric field between them."""

    field: Name
    size: int = Field(10, ge=1, le=200)
    edges: tuple[Finite, ...] = Field((), max_length=50)

    def to_facet(self) -> FacetRequest:
        """The engine's form of it. Raises ``QueryError`` for a field that cannot be counted so."""
        if self.edges:
            if list(self.edges) != sorted(set(self.edges)):
                raise QueryError(
                    f"edges of {self.field!r} do not ascend.", field="facets.edges", value=self.edges, remedy="Sort them, each once."
                )
            return FacetRequest(require_numeric(self.field), self.size, self.edges)
        if self.field in NUMERIC_FIELDS:
            raise QueryError(
                f"A facet on the number {self.field!r} needs edges.",
                field="facets.edges",
                value=self.field,
                remedy="Give edges, as in [0, 50, 100].",
            )
        return FacetRequest(require_keyword(self.field), self.size)


class SortInput(Strict):
    """A numeric field to order by instead of relevance."""

    field: Name
    descending: bool = False

    def to_sort(self) -> SortKey:
        """The engine's form of it. Raises ``QueryError`` for a field that cannot be sorted by."""
        return SortKey(require_numeric(self.field), self.descending)


class SearchRequest(Strict):
    """A search by words, by pictures, by both, by a product (``like``), or of everything (none of them)."""

    q: str = Field("", description="What the shopper typed.")
    images: tuple[ImageInput, ...] = Field((), max_length=5, description="Pictures that the hits should look like.")
    like: ProductId | None = Field(None, description="A product id: more like this one, without it. Goes without q and images.")
    filters: tuple[FilterInput, ...] = Field((), max_length=50)
    facets: tuple[FacetInput, ...] = Field((), max_length=10)
    sort: tuple[SortInput, ...] = Field((), max_length=3, description="By relevance when empty.")
    size: int = Field(20, ge=1, le=100, description="Hits per page.")
    next: Annotated[str, StringConstraints(max_length=20_000)] | None = Field(
        None,
        description="`next` of the reply before: the following page of the same ranking. Everything but size, explain and fields is then taken from it.",
    )
    weights: dict[str, Weight] | None = Field(
        None, description="Weights of the legs for this request; a leg left out keeps its own, 0 switches it off."
    )
    fusion: Literal["min_max", "rrf"] | None = None
    explain: bool = Field(False, description="Tell each hit's scores by leg.")
    fields: tuple[Name, ...] | None = Field(None, max_length=50, description="Product fields to return; all when left out.")

    @model_validator(mode="after")
    def _like_goes_alone(self) -> SearchRequest:
        if self.like is not None and (self.q or self.images):
            raise ValueError("like goes without q and images: leave them out")
        return self

    @field_validator("weights")
    @classmethod
    def _known_legs(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        for name in value or ():
            if name not in LEG_NAMES:
                raise ValueError(f"unknown leg {name!r}: use {', '.join(LEG_NAMES)}")
        return value


M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], given: Mapping[str, Any]) -> M:
    """``given`` as a request model. Raises ``QueryError`` that names the first field at fault."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as err:
        first = err.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or model.__name__
        value = repr(first.get("input"))
        raise QueryError(
            f"{name}: {first['msg']} (given {value[:60]}).", field=name, value=value[:60], remedy="Correct it and ask again."
        ) from err
