"""Exports in which one product takes several rows: Shopify's and Magento's. Their rows are put together before columns become fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import groupby
from typing import TypeAlias

from hybrid_search.catalog.convert import Record
from hybrid_search.catalog.rows import Fault

Numbered: TypeAlias = tuple[int, Record | Fault]
Assembler: TypeAlias = Callable[[Callable[[], Iterator[Numbered]]], Iterator[Numbered]]
"""Given a function that starts the read (it may be called twice), the records of single products."""

_OPTIONS = {
    "color": "color",
    "colour": "color",
    "farbe": "color",
    "size": "size",
    "größe": "size",
    "shoe size": "size",
    "material": "material",
    "fabric": "material",
}
_NO_OPTION = "Default Title"


def shopify(start: Callable[[], Iterator[Numbered]]) -> Iterator[Numbered]:
    """One record per variant of a Shopify product export: neighbouring rows of one ``Handle`` are one product.

    ``id`` is the handle, with the variant's option values when there are several; ``group_id`` the handle. Each record holds the columns of the
    product's first row and of the variant's own row, and the product fields made from them. Drafts, archived and unpublished products are faults.
    """

    def handle(numbered: Numbered) -> str:
        return "" if isinstance(numbered[1], Fault) else str(numbered[1].get("Handle", ""))

    for key, group in groupby(start(), key=handle):
        if not key:
            yield from ((line, row if isinstance(row, Fault) else Fault("Handle", None, "is missing")) for line, row in group)
            continue
        rows = [(line, row) for line, row in group if not isinstance(row, Fault)]
        yield from _shopify_product(key, rows)


def _shopify_product(handle: str, rows: list[tuple[int, Record]]) -> Iterator[Numbered]:
    line, first = rows[0]
    status = str(first.get("Status", "active")).lower()
    if status != "active" or str(first.get("Published", "true")).lower() == "false":
        yield line, Fault("Status", first.get("Status"), "is not for sale: the product is a draft, archived or not published")
        return
    if not first.get("Title"):
        yield line, Fault("Title", None, "is missing in the first row of the product")
        return
    images = [row["Image Src"] for _, row in sorted(rows, key=lambda numbered: _place(numbered[1])) if row.get("Image Src")]
    variants = [(number, row) for number, row in rows if row.get("Variant Price")] or rows[:1]
    names = [str(first.get(f"Option{i} Name", "")) for i in (1, 2, 3)]
    for number, row in variants:
        values = [str(row.get(f"Option{i} Value", "")) for i in (1, 2, 3)]
        options = {name: value for name, value in zip(names, values, strict=True) if name and value and value != _NO_OPTION}
        yield (
            number,
            {
                **first,
                **row,
                "id": f"{handle}:{'/'.join(options.values())}" if options and len(variants) > 1 else handle,
                "group_id": handle if len(variants) > 1 else "",
                "title": first["Title"],
                "description": first.get("Body (HTML)"),
                "brand": first.get("Vendor"),
                "category": first.get("Product Category") or first.get("Type"),
                "images": [image for image in dict.fromkeys((row.get("Variant Image"), *images)) if image],
                "price": row.get("Variant Price"),
                "sku": str(row.get("Variant SKU", "")).lstrip("'"),
                "gtin": str(row.get("Variant Barcode", "")).lstrip("'"),
                "availability": _shopify_availability(row),
                **_options(options),
                "attributes": _shopify_attributes(first, options),
            },
        )


def _place(row: Record) -> int:
    place = str(row.get("Image Position", ""))
    return int(place) if place.isdigit() else 1_000_000


def _options(options: dict[str, str]) -> dict[str, str]:
    return {_OPTIONS[name.lower()]: value for name, value in options.items() if name.lower() in _OPTIONS}


def _shopify_attributes(first: Record, options: dict[str, str]) -> dict[str, object]:
    attributes: dict[str, object] = {name: value for name, value in options.items() if name.lower() not in _OPTIONS}
    tags = [tag.strip() for tag in str(first.get("Tags", "")).split(",") if tag.strip()]
    return attributes | ({"tags": tags} if tags else {})


def _shopify_availability(row: Record) -> str:
    """Out of stock only where the stock is tracked, used up, and the shop does not sell on."""
    if not row.get("Variant Inventory Tracker") or str(row.get("Variant Inventory Policy", "")).lower() == "continue":
        return "in_stock"
    quantity = str(row.get("Variant Inventory Qty", ""))
    return "out_of_stock" if re.fullmatch(r"0|-\d+", quantity) else "in_stock"


_INHERITED = ("description", "short_description", "categories", "base_image", "additional_images", "brand", "manufacturer", "material")
_MAGENTO_TIME = "%m/%d/%y, %I:%M %p"
_NEXT_ATTRIBUTE = re.compile(r",(?=[A-Za-z_][A-Za-z0-9_]*=)")


def magento(start: Callable[[], Iterator[Numbered]]) -> Iterator[Numbered]:
    """One record per sellable row of a Magento 2 product export; the file is read twice, because a configurable product follows its variants.

    A variant gets its parent's ``sku`` as ``group_id`` and what it lacks of the parent's texts, categories and pictures; a parent whose
    variants are there is no product of its own, and rows of a store view repeat one in another language: both are left out.
    ``additional_attributes`` become columns. Disabled products, and invisible ones without a parent, are faults.
    """
    parents: dict[str, Record] = {}
    parent_of: dict[str, str] = {}
    simple: set[str] = set()
    for _, row in start():
        if isinstance(row, Fault) or row.get("store_view_code"):
            continue
        if row.get("product_type") == "configurable":
            parent = str(row.get("sku", ""))
            columns = _magento_columns(row)
            parents[parent] = {name: columns[name] for name in _INHERITED if columns.get(name)}
            parent_of.update(dict.fromkeys(_children(row), parent))
        else:
            simple.add(row.get("sku", ""))
    with_children = {parent for child, parent in parent_of.items() if child in simple}
    del simple
    for line, row in start():
        if isinstance(row, Fault):
            yield line, row
        elif not row.get("store_view_code") and row.get("sku") not in with_children:
            yield line, _magento_product(row, parents, parent_of)


def _magento_product(row: Record, parents: dict[str, Record], parent_of: dict[str, str]) -> Record | Fault:
    if str(row.get("product_online", "1")) == "2":
        return Fault("product_online", row.get("product_online"), "is disabled in the shop")
    parent = parent_of.get(row.get("sku", ""), "")
    if not parent and row.get("visibility") == "Not Visible Individually":
        return Fault("visibility", row.get("visibility"), "is not visible by itself and is no variant of a product in the file")
    product = {**parents.get(parent, {}), **_magento_columns(row)}
    product["group_id"] = parent
    product["category"] = _deepest(str(product.get("categories", "")))
    for column, field in (("created_at", "created"), ("updated_at", "updated")):
        if (when := _magento_time(str(row.get(column, "")))) is not None:
            product[field] = when
    return product


def _magento_columns(row: Record) -> Record:
    """The row with ``additional_attributes`` (``name=value,name=one|two``) as columns of their own, and as ``attributes``."""
    attributes: dict[str, object] = {}
    for pair in _NEXT_ATTRIBUTE.split(str(row.get("additional_attributes", ""))):
        name, _, value = pair.partition("=")
        if value.strip():
            values = [piece.strip() for piece in value.split("|") if piece.strip()]
            attributes[name.strip()] = values[0] if len(values) == 1 else values
    return {
        **attributes,
        **row,
        "attributes": {
            name: value for name, value in attributes.items() if name not in ("color", "size", "material", "brand", "manufacturer")
        },
    }


def _children(row: Record) -> list[str]:
    return [match[1] for match in re.finditer(r"(?:^|\|)sku=([^,|]+)", str(row.get("configurable_variations", "")))]


def _deepest(paths: str) -> list[str]:
    """The longest of several category paths without its root, which every Magento shop has: ``Default Category/Men/Tops``."""
    levels = [path.strip().split("/") for path in paths.split(",") if path.strip()]
    return max(levels, key=len)[1:] if levels else []


def _magento_time(text: str) -> str | None:
    try:
        return datetime.strptime(text, _MAGENTO_TIME).isoformat() + "Z"
    except ValueError:
        return text.replace(" ", "T") + "Z" if re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text) else None


ASSEMBLERS: dict[str, Assembler] = {"shopify": shopify, "magento": magento}
"""By the name that a mapping gives as ``assemble``."""
