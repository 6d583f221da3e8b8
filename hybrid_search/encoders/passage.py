"""What of a product its text encoder reads, most telling words first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_CHARACTERS = 300
"""Longer passages cost more and find less: a vector of many words is a vector of none (measured in docs/encoders.md)."""


def passage(body: Mapping[str, Any], max_characters: int = MAX_CHARACTERS) -> str:
    """The text of a product (``body`` as ``Product.body()`` gives it): title, brand, category, colour, description, cut at ``max_characters``.

    Empty when the product has none of them; such a product gets no text vector.
    """
    parts = (body.get("title", ""), body.get("brand", ""), *body.get("category", ()), body.get("color", ""), body.get("description", ""))
    return " ".join(part for part in parts if part)[:max_characters].strip()
