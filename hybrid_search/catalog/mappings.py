"""How a catalogue's columns become product fields: a small table that a shop can write as TOML or JSON, and ready ones."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import orjson

from hybrid_search.errors import CatalogError
from hybrid_search.product import Product

ATTRIBUTE = "attributes."
Unknown: TypeAlias = Literal["attributes", "ignore", "reject"]

_FIELDS = tuple(Product.model_fields)
_TEXTS = ("unknown", "image_base", "delimiter", "encoding", "records")
_KEYS = ("base", "fields", "constants", "separators", "ignore", *_TEXTS)


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which columns fill which product field.

    ``fields`` maps a product field, or ``attributes.<name>``, to one or several columns. Several columns are joined for ``description``
    and ``attributes.*``, chained for ``images`` and ``reviews``; for every other field the first column that holds a value counts.
    A column that is no field of its own name can reach into a mapping: ``"details.colour"``.
    ``separators`` split one text into several values (``category``, ``images``, ``attributes.*``). ``constants`` fill what a row leaves empty.
    ``unknown`` says what becomes of a column that nothing names: an attribute, nothing, or a rejected row.
    ``image_base`` is an http(s) prefix, or a folder inside the catalogue's, for image names. ``records`` is where in a JSON file the list
    of products is (``"products"``; dots go deeper). ``delimiter`` is the column separator of a CSV file (found by itself if empty), ``encoding`` its
    character encoding. ``assemble`` names the way in which several rows make a product (``shop_exports.ASSEMBLERS``); only ready mappings have one.
    """

    name: str = ""
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    separators: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    unknown: Unknown = "attributes"
    image_base: str = ""
    delimiter: str = ""
    encoding: str = "utf-8"
    records: str = ""
    assemble: str = ""


def _columns(**renamed: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Every product field from the column of its own name, except for those given."""
    return {name: (name,) for name in _FIELDS} | {name.replace("__", "."): tuple(columns) for name, columns in renamed.items()}


NATIVE = ColumnMapping(name="native", fields=_columns(images=("images", "image", "image_url"), language=("language", "lang")))
"""Columns named as the product's fields; ``image``, ``image_url`` and ``lang`` are understood too."""

FOLDER = ColumnMapping(
    name="folder",
    fields=_columns(
        images=("images", "image"),
        language=("language", "lang"),
        description=("description", "bullet_points"),
        gtin=("gtin", "ean"),
        created=("created", "date_released"),
    ),
    ignore=("image_url", "is_book"),
)
"""A folder with ``products.jsonl`` and ``images/``. ``image_url`` is left out: such a set is complete on disk."""

GOOGLE = ColumnMapping(
    name="google",
    fields=_columns(
        category=("product_type", "product type", "google_product_category", "google product category"),
        images=("image_link", "image link", "additional_image_link", "additional image link"),
        group_id=("item_group_id", "item group id"),
        attributes__pattern=("pattern",),
        attributes__gender=("gender",),
        attributes__age_group=("age_group", "age group"),
        attributes__condition=("condition",),
        attributes__highlights=("product_highlight", "product highlight"),
        attributes__size_system=("size_system", "size system"),
    ),
    separators={"images": ","},
    unknown="ignore",
)
"""Google Merchant feeds, XML or text: columns of Google's product data specification; shipping, tax and advertising columns are left out."""

SHOPIFY = ColumnMapping(name="shopify", fields=_columns(), unknown="ignore", assemble="shopify")
"""Shopify's product export (CSV). Its prices carry no currency: name it under ``constants``."""

MAGENTO = ColumnMapping(
    name="magento",
    fields=_columns(
        id=("sku",),
        title=("name",),
        description=("description", "short_description"),
        brand=("brand", "manufacturer"),
        availability=("is_in_stock",),
        images=("base_image", "additional_images"),
    ),
    separators={"images": ","},
    unknown="ignore",
    image_base=".",
    assemble="magento",
)
"""Magento 2's (Adobe Commerce's) product export (CSV). Its pictures lie under ``pub/media/catalog/product``: set ``image_base`` to that folder or its URL."""

READY: dict[str, ColumnMapping] = {mapping.name: mapping for mapping in (NATIVE, FOLDER, GOOGLE, SHOPIFY, MAGENTO)}
"""Mappings that can be named instead of a file."""


def load_mapping(source: str | Path) -> ColumnMapping:
    """The ready mapping of that name, or the one in a ``.toml`` or ``.json`` file.

    A file may start from a ready one: ``base = "shopify"``; its entries then add to or replace those of the base.

    Raises:
        CatalogError: the file is missing, not TOML or JSON, or has an unknown key or product field.
    """
    if (ready := READY.get(str(source))) is not None:
        return ready
    path = Path(source)
    try:
        content = path.read_bytes()
    except OSError as err:
        raise CatalogError(
            f"The mapping {str(source)!r} cannot be read: {err.strerror or err}.",
            field="mapping",
            value=str(source),
            remedy=f"Give a .toml or .json file, or one of: {', '.join(READY)}.",
        ) from err
    try:
        given = orjson.loads(content) if path.suffix.lower() == ".json" else tomllib.loads(content.decode())
    except ValueError as err:
        raise CatalogError(
            f"The mapping file {str(source)!r} is not valid {path.suffix.lstrip('.').upper() or 'TOML'}: {err}.", field="mapping"
        ) from err
    return parse_mapping(given, name=path.stem)


def parse_mapping(given: object, *, name: str = "") -> ColumnMapping:
    """A mapping from what a TOML or JSON file says; see ``ColumnMapping`` for the keys. Raises ``CatalogError`` that names the wrong key."""
    if not isinstance(given, dict):
        raise CatalogError("A mapping must be a table of keys.", field="mapping", value=given)
    for key in given:
        if key not in _KEYS:
            raise CatalogError(f"Unknown key {key!r} in the mapping.", field=key, remedy=f"Use: {', '.join(_KEYS)}.")
    base = READY.get(given.get("base", "native"))
    if base is None:
        raise CatalogError(
            f"Unknown base {given['base']!r} in the mapping.", field="base", value=given["base"], remedy=f"Use one of: {', '.join(READY)}."
        )
    tables = {key: _table(given, key) for key in ("fields", "constants", "separators")}
    for key in _TEXTS:
        if not isinstance(given.get(key, ""), str):
            raise CatalogError(f"{key!r} in the mapping must be a text.", field=key, value=given[key])
    if (unknown := given.get("unknown", base.unknown)) not in ("attributes", "ignore", "reject"):
        raise CatalogError(
            f"'unknown' is {unknown!r} in the mapping.", field="unknown", value=unknown, remedy="Use attributes, ignore or reject."
        )
    return replace(
        base,
        name=name,
        fields={**base.fields, **{target: _names(target, columns) for target, columns in tables["fields"].items()}},
        constants={**base.constants, **tables["constants"]},
        separators={**base.separators, **tables["separators"]},
        ignore=(*base.ignore, *_names("ignore", given.get("ignore", []))),
        unknown=unknown,
        **{key: given[key] for key in _TEXTS if key in given and key != "unknown"},
    )


def _table(given: dict[str, Any], key: str) -> dict[str, Any]:
    table = given.get(key, {})
    if not isinstance(table, dict):
        raise CatalogError(f"{key!r} in the mapping must be a table.", field=key, value=table)
    for target in table:
        if target not in _FIELDS and not (target.startswith(ATTRIBUTE) and len(target) > len(ATTRIBUTE)):
            raise CatalogError(
                f"The mapping's {key!r} names {target!r}, which is no product field.",
                field=target,
                remedy=f"Use one of: {', '.join(_FIELDS)}, attributes.<name>.",
            )
    return table


def _names(target: str, columns: object) -> tuple[str, ...]:
    if isinstance(columns, str):
        return (columns,)
    if isinstance(columns, list) and all(isinstance(column, str) for column in columns):
        return tuple(columns)
    raise CatalogError(f"The mapping must give {target!r} a column name or a list of them.", field=target, value=columns)
