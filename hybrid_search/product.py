"""The product: what a shop may say of one thing it sells. Validated here once, for files, the API and tests alike."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator

CATEGORY_SEPARATOR = ">"
"""Between the levels of a category path written as one string, as in Google's product taxonomy: ``Clothing > Jackets``."""

Availability = Literal["in_stock", "out_of_stock", "preorder", "backorder"]


_LINE_ENDS = re.compile("[\t\n\v\f\r\x85\u2028\u2029]")
_UNPRINTED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _clean(text: str) -> str:
    """Lone surrogates and control characters out (tabs and line ends become spaces), ends trimmed."""
    if not text.isprintable():
        text = _UNPRINTED.sub("", _LINE_ENDS.sub(" ", text))
    return text.strip()


def _path(value: object) -> object:
    """A category path from a list of levels, or from one string with ``>`` between the levels."""
    if value is None:
        return ()
    if isinstance(value, str):
        value = value.split(CATEGORY_SEPARATOR)
    if isinstance(value, (list, tuple)):
        return tuple([cleaned for level in value if (cleaned := _clean(str(level)))])
    return value


def _attributes(value: object) -> object:
    """Attribute values as tuples of strings: a shop may give one value or several, text, numbers or booleans."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        return value
    out: dict[str, tuple[str, ...]] = {}
    for name, given in value.items():
        texts = _texts(given)
        if texts and (key := _clean(str(name))):
            out[key] = texts
    return out


def _texts(given: object) -> tuple[str, ...]:
    if isinstance(given, str):
        return (text,) if (text := _clean(given)) else ()
    values = given if isinstance(given, (list, tuple)) else (given,)
    return tuple([text for v in values if v is not None and (text := _clean(str(v).lower() if isinstance(v, bool) else str(v)))])


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


def _none_as_empty(value: object) -> object:
    return "" if value is None else value


def _text(value: object) -> object:
    """Both steps in one call, because it runs a dozen times per product."""
    return _clean(value) if isinstance(value, str) else _none_as_empty(value)


Text = Annotated[str, BeforeValidator(_text)]
Keyword = Annotated[str, BeforeValidator(_text), StringConstraints(max_length=256)]
Number = Annotated[float, AfterValidator(_finite)]


class Review(BaseModel):
    """One shopper's words on a product."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rating: Annotated[Number, Field(ge=0, le=5)] | None = None
    title: Annotated[Text, Field(max_length=1_000)] = ""
    text: Annotated[Text, Field(max_length=20_000)] = ""
    author: Keyword = ""
    created: datetime | None = None


class Product(BaseModel):
    """One product, immutable. Unknown fields are refused; further facts belong in ``attributes``.

    Units: ``price`` in ``currency`` (ISO 4217), ``rating`` 0 to 5, ``popularity`` any non-negative prior (larger is more popular).
    ``images`` are paths, http(s) URLs or data URLs, the main picture first; products that share ``group_id`` are variants of one thing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    id: Annotated[str, StringConstraints(min_length=1, max_length=256)] = Field(description="The shop's own key, unique in the index.")
    title: Annotated[Text, Field(max_length=2_000)] = Field("", description="What the thing is called.")
    description: Annotated[Text, Field(max_length=50_000)] = Field("", description="Free text, no markup.")
    category: Annotated[tuple[Keyword, ...], BeforeValidator(_path)] = Field(
        (), max_length=12, description="Path from the widest level down."
    )
    brand: Keyword = ""
    color: Keyword = ""
    size: Keyword = ""
    material: Keyword = ""
    attributes: Annotated[dict[str, tuple[str, ...]], BeforeValidator(_attributes)] = Field(
        default_factory=dict, max_length=200, description="Further facts: name to one or several values."
    )
    price: Annotated[Number, Field(ge=0)] | None = None
    currency: Annotated[str, BeforeValidator(_none_as_empty), StringConstraints(pattern=r"^([A-Z]{3})?$")] = Field(
        "", description="ISO 4217 code, as in USD."
    )
    availability: Availability = "in_stock"
    rating: Annotated[Number, Field(ge=0, le=5)] | None = None
    rating_count: Annotated[int, Field(ge=0)] = 0
    reviews: tuple[Review, ...] = Field((), max_length=10_000)
    gtin: Annotated[str, BeforeValidator(_none_as_empty), StringConstraints(pattern=r"^(\d{8}|\d{12,14})?$")] = Field(
        "", description="8, 12, 13 or 14 digits."
    )
    mpn: Keyword = ""
    sku: Keyword = ""
    group_id: Keyword = Field("", description="Products with the same group id are variants of one thing.")
    language: Annotated[str, BeforeValidator(_none_as_empty), StringConstraints(pattern=r"^([a-z]{2,3}(-[A-Za-z0-9]{2,8})*)?$")] = Field(
        "", description="BCP 47 tag of the text, as in en or zh-Hans."
    )
    created: datetime | None = None
    updated: datetime | None = None
    images: tuple[Annotated[str, StringConstraints(min_length=1, max_length=15_000_000)], ...] = Field((), max_length=50)
    popularity: Annotated[Number, Field(ge=0)] = 0.0

    @field_validator("id")
    @classmethod
    def _id_is_printable(cls, value: str) -> str:
        if _clean(value) != value:
            raise ValueError("must not hold control characters")
        return value

    @field_validator("images", mode="before")
    @classmethod
    def _one_image_is_a_list(cls, value: object) -> object:
        if value is None:
            return ()
        return (value,) if isinstance(value, str) else value

    def body(self) -> dict[str, Any]:
        """The product as a JSON-ready mapping, fields at their default left out."""
        return self.model_dump(mode="json", exclude_defaults=True) | {"id": self.id}
