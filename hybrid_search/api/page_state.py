"""What the search page is showing, as its address says it: the one place that reads and writes the page's query parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict

from hybrid_search.product import CATEGORY_SEPARATOR

CHOICES = ("brand", "color", "size", "material")
"""Keyword fields with a list of check boxes."""
SORTS = ("relevance", "price", "-price", "-rating", "-created")
RATINGS = (4.0, 3.0, 2.0)
MAX_VALUES = 50


@dataclass(frozen=True, slots=True)
class PageState:
    """Everything that is asked; the defaults show all products. Words that make no sense (a price of ``abc``) are dropped, as shops do."""

    q: str = ""
    picture: str = ""
    like: str = ""
    category: str = ""
    brand: tuple[str, ...] = ()
    color: tuple[str, ...] = ()
    size: tuple[str, ...] = ()
    material: tuple[str, ...] = ()
    price_min: float | None = None
    price_max: float | None = None
    rating: float | None = None
    available: bool = False
    sort: str = "relevance"

    @property
    def asks(self) -> bool:
        """Whether there are words, a picture or a product to look for."""
        return bool(self.q or self.picture or self.like)

    def without_filters(self) -> PageState:
        """The same question with nothing filtered."""
        return PageState(q=self.q, picture=self.picture, like=self.like, sort=self.sort)

    def without(self, name: str, value: str = "") -> PageState:
        """One filter less."""
        current = getattr(self, name)
        fewer: Any = tuple(v for v in current if v != value) if isinstance(current, tuple) else getattr(PageState(), name)
        return replace(self, **{name: fewer})

    def address(self, path: str = "/") -> str:
        """The address that shows this again; defaults are left out."""
        pairs: list[tuple[str, str]] = []
        for item in fields(self):
            value = getattr(self, item.name)
            if value == item.default:
                continue
            values = value if isinstance(value, tuple) else (value,)
            pairs += [(item.name, _text(v)) for v in values]
        return f"{path}?{urlencode(pairs)}" if pairs else path

    def filters(self, *, leaving_out: str = "") -> list[dict[str, Any]]:
        """The filters of a search request; without those of the field ``leaving_out``, whose other values are to be counted."""
        made: list[dict[str, Any]] = []
        if self.category and leaving_out != "category":
            made.append({"field": "category", "path": category_path(self.category)})
        for name in CHOICES:
            if (values := getattr(self, name)) and name != leaving_out:
                made.append({"field": name, "values": list(values)})
        bounds = {"gte": self.price_min, "lte": self.price_max}
        if any(bound is not None for bound in bounds.values()):
            made.append({"field": "price", **bounds})
        if self.rating is not None:
            made.append({"field": "rating", "gte": self.rating})
        if self.available:
            made.append({"field": "availability", "values": ["in_stock"]})
        return made


def read_state(arguments: MultiDict[str, str], *, max_query_chars: int) -> PageState:
    """The state of an address; unknown parameters are passed over, since links get decorated on their way."""
    sort = arguments.get("sort", "")
    low, high = _price(arguments.get("price_min", "")), _price(arguments.get("price_max", ""))
    if low is not None and high is not None and low > high:
        low, high = high, low
    rating = _price(arguments.get("rating", ""))
    return PageState(
        q=" ".join(arguments.get("q", "").split())[:max_query_chars],
        picture=arguments.get("picture", "")[:32],
        like=arguments.get("like", "")[:256],
        category=arguments.get("category", "")[:1_000],
        brand=_values(arguments.getlist("brand")),
        color=_values(arguments.getlist("color")),
        size=_values(arguments.getlist("size")),
        material=_values(arguments.getlist("material")),
        price_min=low,
        price_max=high,
        rating=rating if rating in RATINGS else None,
        available=arguments.get("available", "") in ("1", "True"),
        sort=sort if sort in SORTS else "relevance",
    )


def category_path(text: str) -> list[str]:
    """The levels of a category as the page writes it."""
    return [level for part in text.split(CATEGORY_SEPARATOR) if (level := part.strip())][:12]


def _values(given: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value[:256] for value in given if value))[:MAX_VALUES]


def _price(text: str) -> float | None:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "1"
    return f"{value:g}" if isinstance(value, float) else str(value)
