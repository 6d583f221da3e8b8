"""The many ways in which shops write one value, brought to the one that a product validates."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import orjson

from hybrid_search.catalog.markup import plain_text

_PRICE = re.compile(r"(?:([A-Z]{3})\s*)?(\d+(?:\.\d*)?|\.\d+)(?:\s*([A-Z]{3}))?")
_GTIN_LENGTHS = (8, 12, 13, 14)
_AVAILABILITY = {
    "in_stock": ("instock", "available", "true", "1", "yes", "limitedavailability", "onlineonly", "instoreonly"),
    "out_of_stock": ("outofstock", "unavailable", "notavailable", "false", "0", "no", "soldout", "discontinued"),
    "preorder": ("preorder", "presale"),
    "backorder": ("backorder", "onbackorder", "availablefororder", "madetoorder"),
}
_SPELLINGS = {spelling: value for value, spellings in _AVAILABILITY.items() for spelling in spellings}
_NOT_A_LETTER = re.compile(r"[^a-z0-9]")


def is_absent(value: object) -> bool:
    """Whether a cell holds nothing: null, an empty or blank text, an empty list or mapping, or a float NaN (a missing number in Parquet)."""
    if isinstance(value, str):
        return not value or value.isspace()
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    return isinstance(value, (list, tuple, dict)) and not value


def availability(value: object) -> object:
    """``in stock``, ``InStock``, ``https://schema.org/InStock``, ``true`` … as the product's own word; anything unknown is left as it is."""
    text = str(value).lower().removeprefix("https://schema.org/").removeprefix("http://schema.org/")
    return _SPELLINGS.get(_NOT_A_LETTER.sub("", text), value)


def availability_spellings(value: str) -> tuple[str, ...]:
    """What ``availability`` reads as ``value``: letters and digits, whatever their case and what stands between them."""
    return _AVAILABILITY.get(value, ())


def price(value: object) -> tuple[object, str]:
    """The number and the currency code in ``19.99``, ``19.99 USD`` or ``USD 19.99`` (no code: ""); anything else is left as it is."""
    if isinstance(value, str) and (match := _PRICE.fullmatch(value.strip())):
        return match[2], match[1] or match[3] or ""
    return value, ""


def gtin(value: object) -> object:
    """Digits without spaces and hyphens; of a list the first that has the length of a GTIN. Anything else is left as it is."""
    if isinstance(value, (list, tuple)):
        texts = [gtin(item) for item in value]
        return next((text for text in texts if isinstance(text, str) and text.isdigit() and len(text) in _GTIN_LENGTHS), "")
    return re.sub(r"[\s-]", "", word(value)) if isinstance(value, (str, int)) else value


def word(value: Any) -> Any:
    """A text from a text, a number or a list of them (joined by a comma); numbers without a fraction lose their ``.0``."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, int, float)) for item in value):
        return ", ".join(word(item) for item in value)
    return value


def identifier(value: Any) -> Any:
    """An id as text; whole numbers are taken as their digits."""
    return word(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def split(value: object, separator: str) -> list[Any]:
    """A list as it is, a text cut at ``separator`` (not cut if that is empty); blank pieces are left out."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, str) and separator:
        return [piece for part in value.split(separator) if (piece := part.strip())]
    return [value]


def split_images(value: object, separator: str) -> list[Any]:
    """Like ``split``; between URLs only a separator that another URL follows counts, because a URL may hold commas itself."""
    if isinstance(value, str) and separator and value[:8].lower().startswith(("http://", "https://", "data:")):
        return [
            piece.strip()
            for piece in re.split(re.escape(separator) + r"\s*(?=https?://|data:image/)", value, flags=re.IGNORECASE)
            if piece.strip()
        ]
    return split(value, separator)


def from_json(value: object) -> object:
    """A text that holds a JSON list or mapping as that; anything else is left as it is. Tables have no other way to nest."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def attribute(value: Any) -> Any:
    """One attribute's value or values as texts without markup; what is neither text nor number is left for validation to refuse."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, (list, tuple)):
        return [word(item) for item in value]
    return word(value)


CONVERT: dict[str, Callable[[Any], Any]] = {
    "id": identifier,
    "title": word,
    "brand": word,
    "color": word,
    "size": word,
    "material": word,
    "availability": availability,
    "gtin": gtin,
    "mpn": word,
    "sku": word,
    "group_id": identifier,
}
"""What is done to a column's value before it is validated as that field; fields that are not here are validated as they are."""
