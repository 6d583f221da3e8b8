"""What a card of the page shows of one hit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hybrid_search.api.references import own_address
from hybrid_search.api.wording import Wording
from hybrid_search.query.reply import Hit
from hybrid_search.types import State

FIELDS = ("title", "brand", "price", "currency", "availability", "rating", "rating_count", "images", "language")
"""Product fields that a card needs."""

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "CNY": "¥", "JPY": "¥"}


@dataclass(frozen=True, slots=True)
class LegBar:
    """One leg's line of "why this rank": ``share`` of the hit's score, in percent."""

    name: str
    label: str
    share: float
    detail: str


@dataclass(frozen=True, slots=True)
class Badge:
    """Where embedding stands, in a few words; ``tip`` says more."""

    kind: str
    text: str
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One hit, ready to be shown."""

    id: str
    key: str
    """Unique on the page and valid in an ``id`` attribute."""
    rank: int
    title: str
    language: str
    brand: str
    image: str
    image_large: str
    price: str
    rating: float | None
    rating_count: int
    availability: str
    badges: tuple[Badge, ...]
    score: float | None
    bars: tuple[LegBar, ...]


def make_card(hit: Hit, t: Wording) -> Card:
    """The card of ``hit`` in the language of ``t``."""
    product = hit.product
    return Card(
        id=hit.id,
        key=f"hit-{hit.rank}",
        rank=hit.rank,
        title=str(product.get("title") or ""),
        language=str(product.get("language") or ""),
        brand=str(product.get("brand") or ""),
        image=image_address(hit.id, product, 400),
        image_large=image_address(hit.id, product, 800),
        price=price_text(product.get("price"), str(product.get("currency") or "")),
        rating=product.get("rating"),
        rating_count=int(product.get("rating_count") or 0),
        availability=t.known(f"availability.{product.get('availability', 'in_stock')}", ""),
        badges=_badges(hit, t),
        score=hit.score,
        bars=_bars(hit, t),
    )


def image_address(product_id: str, product: Mapping[str, Any], side: int, number: int = 0) -> str:
    """Where a product's picture is shown from: the shop's own http(s) address, else a thumbnail of ours; empty when it has none."""
    references = product.get("images") or ()
    if number >= len(references):
        return ""
    reference = str(references[number])
    if reference.lower().startswith(("http://", "https://")):
        return reference
    return f"{own_address(product_id, number)}?side={side}"


def price_text(price: float | None, currency: str) -> str:
    """``$1,299.00``, ``12.50 CHF``, ``12.50``; empty without a price."""
    if price is None:
        return ""
    symbol = _SYMBOLS.get(currency)
    amount = f"{price:,.0f}" if currency == "JPY" else f"{price:,.2f}"
    return f"{symbol}{amount}" if symbol else f"{amount} {currency}".strip()


def _badges(hit: Hit, t: Wording) -> tuple[Badge, ...]:
    badges: list[Badge] = []
    if hit.image_error:
        reason, _, sentence = hit.image_error.partition(": ")
        badges.append(Badge("failed", t("state.image_failed", reason=reason.replace("_", " ")), sentence))
    if hit.states.get("text") is State.FAILED:
        badges.append(Badge("failed", t("state.failed")))
    if State.PENDING in hit.states.values():
        badges.append(Badge("pending", t("state.pending"), t("state.pending.tip")))
    return tuple(badges)


def _bars(hit: Hit, t: Wording) -> tuple[LegBar, ...]:
    if hit.explain is None:
        return ()
    whole = sum(leg.contribution for leg in hit.explain.legs.values()) or 1.0
    bars = [
        LegBar(
            name=name,
            label=t.known(f"leg.{name}", name),
            share=round(100 * leg.contribution / whole, 1),
            detail=t("why.detail", rank=leg.rank, raw=f"{leg.raw:.2f}", weight=f"{leg.weight:.2f}"),
        )
        for name, leg in hit.explain.legs.items()
    ]
    return tuple(sorted(bars, key=lambda bar: -bar.share))
