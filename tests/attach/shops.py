"""Three shops that already have an index: its settings and mappings by product, and documents as such a shop would write them.

Shapes follow what is publicly known of each kind of shop; words and products are our own, the same thing for the same number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "foreign"
COUNT = 50

THINGS = (
    "Kettle",
    "Rain jacket",
    "Desk lamp",
    "Garden chair",
    "Travel mug",
    "Wool scarf",
    "Trail shoe",
    "Water bottle",
    "Wall clock",
    "Backpack",
)
COLORS = ("red", "blue", "green", "black", "white")
MAKERS = ("Norda", "Halm & Co", "Tidewater", "Öresund")
PATHS = (("Home", "Kitchen"), ("Clothing", "Jackets"), ("Home", "Lighting"), ("Garden",))


@dataclass(frozen=True)
class Thing:
    """What a shop knows of product ``number``, in no shop's dialect."""

    number: int

    @property
    def title(self) -> str:
        return f"{THINGS[self.number % len(THINGS)]} {self.color} {self.number}"

    @property
    def text(self) -> str:
        return f"A {self.color} {THINGS[self.number % len(THINGS)].lower()} for every day, model {self.number}."

    @property
    def color(self) -> str:
        return COLORS[self.number % len(COLORS)]

    @property
    def maker(self) -> str:
        return MAKERS[self.number % len(MAKERS)]

    @property
    def path(self) -> tuple[str, ...]:
        return PATHS[self.number % len(PATHS)]

    @property
    def price(self) -> float:
        return 5 + self.number * 1.25

    @property
    def in_stock(self) -> bool:
        return self.number % 7 != 0

    @property
    def changed(self) -> str:
        return f"2026-03-{1 + self.number // 24:02d} {self.number % 24:02d}:15:00"


def magento(number: int) -> tuple[str, dict[str, Any]]:
    it = Thing(number)
    return str(1000 + number), {
        "store_id": 1,
        "sku": f"24-{number:04d}",
        "name": it.title,
        "description": f"<p>{it.text}</p>\r\n<ul><li>{it.maker}</li></ul>",
        "short_description": f"<p>{it.title}</p>",
        "status": 1,
        "status_value": "Enabled",
        "visibility": 4,
        "tax_class_id": 2,
        "manufacturer": 10 + number % len(MAKERS),
        "manufacturer_value": it.maker,
        "color": 50 + number % len(COLORS),
        "color_value": it.color,
        "climate": [201, 202],
        "climate_value": ["Mild", "Cool"],
        "category_ids": [3, 4 + number % len(PATHS)],
        f"position_category_{4 + number % len(PATHS)}": number,
        f"name_category_{4 + number % len(PATHS)}": it.path[-1],
        "url_key": it.title.lower().replace(" ", "-"),
        "image": "no_selection" if number == 3 else f"/k/e/ke{number:02d}_main.jpg",
        "is_in_stock": int(it.in_stock),
        "rating_summary": 40 + number % 60,
        "reviews_count": number,
        "price_0_1": it.price,
        "price_1_1": it.price * 0.9,
        "updated_at": it.changed,
    }


def _meta(value: Any) -> list[dict[str, Any]]:
    text = str(value)
    typed: dict[str, Any] = {"value": text, "raw": text, "boolean": bool(value) and text != "0"}
    if text.replace(".", "", 1).isdigit():
        typed |= {"long": int(float(text)), "double": float(text)}
    return [typed]


def _terms(names: tuple[str, ...], first: int) -> list[dict[str, Any]]:
    """Levels of a path as terms, in no order of depth: ElasticPress does not sort them."""
    levels = [
        {
            "term_id": first + depth,
            "term_taxonomy_id": first + depth,
            "slug": name.lower(),
            "name": name,
            "parent": first + depth - 1 if depth else 0,
            "term_order": 0,
        }
        for depth, name in enumerate(names)
    ]
    return levels[::-1]


def elasticpress(number: int) -> tuple[str, dict[str, Any]]:
    it = Thing(number)
    document: dict[str, Any] = {
        "ID": 500 + number,
        "post_id": 500 + number,
        "post_author": {"raw": "keeper", "login": "keeper", "display_name": "Keeper", "id": 1},
        "post_date": it.changed,
        "post_date_gmt": it.changed,
        "post_title": it.title,
        "post_excerpt": f"{it.title}, by {it.maker}",
        "post_content": f"<p>{it.text}</p>",
        "post_status": "publish",
        "post_name": it.title.lower().replace(" ", "-"),
        "post_modified": it.changed,
        "post_modified_gmt": it.changed,
        "post_parent": 0,
        "post_type": "product",
        "permalink": f"https://shop.example/product/{number}/",
        "guid": f"https://shop.example/?post_type=product&p={500 + number}",
        "thumbnail": {
            "ID": 900 + number,
            "src": f"https://shop.example/wp-content/uploads/{number}.jpg",
            "width": 600,
            "height": 600,
            "alt": "",
        },
        "terms": {
            "product_cat": _terms(it.path, 20 + 10 * (number % len(PATHS))),
            "product_type": [{"term_id": 2, "slug": "simple", "name": "simple", "parent": 0}],
            "pa_color": [{"term_id": 70 + number % len(COLORS), "slug": it.color, "name": it.color, "parent": 0}],
            "product_brand": [{"term_id": 80 + number % len(MAKERS), "slug": it.maker.lower(), "name": it.maker, "parent": 0}],
        },
        "meta": {
            "_sku": _meta(f"WC-{number:03d}"),
            "_price": _meta(it.price),
            "_regular_price": _meta(it.price + 1),
            "_stock_status": _meta("instock" if it.in_stock else "outofstock"),
            "_wc_average_rating": _meta(f"{3 + number % 3 * 0.5:.2f}"),
            "_wc_review_count": _meta(number),
            "total_sales": _meta(number * 3),
        },
        "menu_order": 0,
        "comment_count": number,
    }
    if number == COUNT - 1:  # a page of the same site, in the same index
        document |= {"post_type": "page", "post_title": "About us", "meta": {}, "terms": {}}
    return str(500 + number), document


def nested(number: int) -> tuple[str, dict[str, Any]]:
    it = Thing(number)
    return f"Qz{number:018x}", {
        "productId": f"N-{number:03d}",
        "title": {"en": it.title, "de": f"Ding {number}"},
        "body": {"html": f"<b>{it.title}</b> {it.text}"},
        "maker": {"name": it.maker, "country": "SE"},
        "taxonomy": {"path": " / ".join(it.path)},
        "offers": [
            {"amount": it.price, "currency": "EUR", "status": "in stock" if it.in_stock else "sold out"},
            {"amount": it.price + 2, "currency": "EUR", "status": "in stock"},
        ],
        "attributes": [{"name": "Colour", "value": it.color}, {"name": "Season", "value": ["spring", "autumn"]}],
        "media": [{"url": f"https://pictures.example/{number}-{n}.webp", "alt": f"view {n}"} for n in range(2)],
        "feedback": {"stars": 4.5, "reviewCount": number},
        "itemGroupId": f"G-{number // 2}",
        "ean": f"{4006381333000 + number}",
        "revision": 7_000 + number,
        "extra": {"warehouse": "B"},
        "theirs": [1.0, 0.0, float(number % 3), 0.5],
    }


@dataclass(frozen=True)
class Shop:
    name: str
    document: Callable[[int], tuple[str, dict[str, Any]]]

    def index(self, product: str) -> dict[str, Any]:
        """Body that creates the index on ``opensearch`` or ``elasticsearch``."""
        told = json.loads((FOLDER / f"{self.name}.json").read_text())
        return _merged(told["common"], told[product])

    def documents(self, count: int = COUNT) -> list[tuple[str, dict[str, Any]]]:
        return [self.document(number) for number in range(count)]


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    together = dict(one)
    for key, value in other.items():
        together[key] = _merged(together[key], value) if isinstance(value, Mapping) and isinstance(together.get(key), Mapping) else value
    return together


SHOPS = {shop.name: shop for shop in (Shop("magento", magento), Shop("elasticpress", elasticpress), Shop("nested", nested))}
