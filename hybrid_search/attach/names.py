"""What shops call their fields: patterns by product field, with how sure each is and whose dialect it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "word", "number", "count", "date", "image", "availability", "gtin", "language", "currency", "category", "id"]
"""What the values of a field must look like."""

COMMON, MAGENTO, ELASTICSUITE, WOO = "common", "Magento", "ElasticSuite (Magento)", "WooCommerce with ElasticPress"


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A pattern of a whole path (``full``) or of its last step, in lower case with ``_`` between words."""

    pattern: re.Pattern[str]
    sure: float
    dialect: str = COMMON
    full: bool = False


def _common(sure: float, names: str) -> NamePattern:
    return NamePattern(re.compile(names.replace(" ", "|")), sure)


def _path(sure: float, dialect: str, pattern: str) -> NamePattern:
    return NamePattern(re.compile(pattern), sure, dialect, full=True)


def _woo(sure: float, key: str, types: str = "value|raw") -> NamePattern:
    """ElasticPress keeps each piece of post meta under several types."""
    return _path(sure, WOO, rf"meta\.{key}(\.({types}))?")


def _option(*names: str) -> tuple[NamePattern, ...]:
    """An attribute as each dialect writes its label."""
    joined = "|".join(names)
    return (
        _path(0.97, ELASTICSUITE, rf"option_text_({joined})"),
        _path(0.97, MAGENTO, rf"({joined})_value"),
        _path(0.95, WOO, rf"terms\.pa_({joined})\.name"),
        _common(0.9, " ".join((*names, *(f"{name}_name" for name in names), *(f"{name}_label" for name in names)))),
    )


@dataclass(frozen=True, slots=True)
class TargetNames:
    """Names for one product field; ``several`` says how many source fields may fill it."""

    kind: Kind
    patterns: tuple[NamePattern, ...]
    several: int = 1


TARGETS: dict[str, TargetNames] = {
    "title": TargetNames(
        "text",
        (
            _common(1.0, "title name post_title product_name product_title"),
            _common(0.7, "label headline display_name item_name heading"),
            _path(0.95, COMMON, r"(title|name|product_name)\.(en|default|value|text)"),
        ),
    ),
    "description": TargetNames(
        "text",
        (
            _common(1.0, "description post_content long_description product_description"),
            _common(0.8, "body_html body content details full_description desc text"),
            _common(0.7, "short_description post_excerpt summary excerpt teaser"),
            _path(0.95, COMMON, r"(description|body|content)\.(en|default|value|text|long|html)"),
        ),
        several=2,
    ),
    "category": TargetNames(
        "category",
        (
            _path(0.98, WOO, r"terms\.product_cat\.name"),
            _path(0.96, ELASTICSUITE, r"category\.name"),
            _path(0.9, MAGENTO, r"name_category_\d+"),
            _common(0.95, "category_path category_names breadcrumb breadcrumbs category_name"),
            _path(0.95, COMMON, r"(categories|category|taxonomy|department)\.(name|title|path|label)"),
            _common(0.9, "category categories taxonomy department product_type google_product_category"),
        ),
    ),
    "brand": TargetNames(
        "word",
        (
            *_option("brand", "manufacturer"),
            _path(0.95, WOO, r"terms\.(product_brand|pwb-brand|yith_product_brand)\.name"),
            _path(0.95, COMMON, r"(brand|manufacturer|vendor|maker)\.(name|title|label)"),
            _common(0.8, "vendor maker make label_name producer"),
        ),
    ),
    "color": TargetNames("word", (*_option("color", "colour"), _common(0.7, "base_color primary_color main_color"))),
    "size": TargetNames("word", _option("size")),
    "material": TargetNames("word", (*_option("material"), _common(0.7, "fabric composition"))),
    "price": TargetNames(
        "number",
        (
            _path(0.98, ELASTICSUITE, r"price\.(final_price)"),
            _path(0.8, ELASTICSUITE, r"price\.(price)"),
            _path(0.97, MAGENTO, r"price_0_1"),
            _path(0.8, MAGENTO, r"price_0_\d+"),
            _woo(0.98, "_price", "double"),
            _woo(0.8, "_price", "value|raw|long"),
            _woo(0.7, "_regular_price", "double"),
            _common(1.0, "price current_price final_price price_amount selling_price unit_price"),
            _common(0.8, "sale_price regular_price list_price msrp amount price_value price_cents price_minor"),
            _path(0.9, COMMON, r"(price|prices|offer|offers|pricing)\.(amount|value|current|price|gross|cents|final)"),
        ),
    ),
    "currency": TargetNames("currency", (_common(0.95, "currency price_currency currency_code"),)),
    "availability": TargetNames(
        "availability",
        (
            _path(0.98, ELASTICSUITE, r"stock\.is_in_stock"),
            _woo(0.98, "_stock_status", "value|raw"),
            _common(0.95, "availability in_stock is_in_stock stock_status available is_available"),
            _path(0.8, COMMON, r"(stock|inventory|offer|offers)\.(status|available|availability|in_stock)"),
            _common(0.6, "quantity_and_stock_status stock sold_out"),
        ),
    ),
    "rating": TargetNames(
        "number",
        (
            _woo(0.98, "_wc_average_rating", "double"),
            _woo(0.8, "_wc_average_rating", "value|raw"),
            _path(0.95, COMMON, r"(ratings|rating|reviews|review)\.(average|avg|value|mean|score|summary)"),
            _common(0.95, "rating average_rating rating_average avg_rating rating_value rating_summary stars star_rating"),
            _common(0.6, "review_score score"),
        ),
    ),
    "rating_count": TargetNames(
        "count",
        (
            _woo(0.98, "_wc_review_count", "long"),
            _woo(0.8, "_wc_review_count", "value|raw"),
            _path(0.95, COMMON, r"(ratings|rating|reviews|review)\.(count|total|number)"),
            _common(0.95, "rating_count ratings_count review_count reviews_count num_reviews number_of_reviews"),
        ),
    ),
    "gtin": TargetNames("gtin", (_common(0.95, "gtin ean ean13 upc gtin13 gtin14 isbn barcode"), _woo(0.95, "_global_unique_id"))),
    "mpn": TargetNames("word", (_common(0.95, "mpn manufacturer_part_number part_number"), _common(0.6, "model_number model"))),
    "sku": TargetNames("word", (_common(1.0, "sku"), _woo(0.98, "_sku"), _common(0.8, "article_number item_number product_code"))),
    "group_id": TargetNames(
        "id",
        (
            _common(0.95, "group_id item_group_id parent_sku style_id master_id product_group_id variant_group"),
            _common(0.8, "parent_id post_parent model_id family_id"),
        ),
    ),
    "language": TargetNames("language", (_common(0.95, "language lang locale"),)),
    "created": TargetNames(
        "date",
        (
            _common(0.95, "created_at created date_created creation_date created_on post_date_gmt"),
            _common(0.8, "post_date release_date published_at"),
        ),
    ),
    "updated": TargetNames(
        "date",
        (
            _common(0.95, "updated_at updated modified_at date_modified last_modified changed_at post_modified_gmt last_updated"),
            _common(0.8, "post_modified modified timestamp indexed_at last_update"),
        ),
    ),
    "images": TargetNames(
        "image",
        (
            _path(0.97, WOO, r"thumbnail\.src"),
            _path(
                0.95, COMMON, r"(images|image|pictures|picture|media|photos|photo|gallery|thumbnail)\.(url|src|href|link|file|path|large)"
            ),
            _common(0.95, "images image image_url image_urls image_link base_image picture pictures picture_url main_image"),
            _common(0.8, "photo photos gallery media_gallery img additional_images"),
            _common(0.6, "small_image thumbnail thumbnail_url"),
        ),
        several=2,
    ),
    "popularity": TargetNames(
        "number",
        (
            _woo(0.95, "total_sales", "long"),
            _woo(0.8, "total_sales", "value|raw|double"),
            _common(0.9, "popularity total_sales sales_count sales sold units_sold ordered_qty bestseller"),
            _common(0.6, "views view_count clicks"),
        ),
    ),
}
"""Product fields that are looked for, in the order of the file that is written; ``id`` and what to follow are found otherwise."""

ATTRIBUTES: tuple[NamePattern, ...] = (
    _path(0.9, WOO, r"terms\.pa_([a-z0-9_-]+)\.name"),
    _path(0.9, ELASTICSUITE, r"option_text_([a-z0-9_]+)"),
    _path(0.85, MAGENTO, r"([a-z0-9_]+)_value"),
    _path(0.85, COMMON, r"(?:attributes|attrs|specs|specifications|properties|features|facets)\.([a-z0-9_ -]+)"),
)
"""Further facts; the group is the attribute's name."""

NO_ATTRIBUTES = frozenset({"status", "visibility", "tax_class_id", "tax_class", "store", "website", "url_key"})
"""What is said of a listing, not of the thing."""

PAIR_NAMES = ("name", "key", "code", "attribute", "label")
PAIR_VALUES = ("value", "values", "text", "option")
"""Steps under which an array of objects tells attributes as pairs."""

SEQUENCES = re.compile(r"(.*_)?(sequence|seq|revision|change_id|version_id|event_id)")
"""Numbers that grow with every change."""

WRAPPERS = frozenset({"product", "item", "doc", "document", "data", "fields", "attributes", "source"})
"""Objects that a whole product is wrapped in."""

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def normal(path: str) -> str:
    """A path in lower case, ``camelCase`` as ``camel_case``, hyphens kept."""
    return _WORDS.sub("_", path).lower()


def match(patterns: tuple[NamePattern, ...], path: str) -> tuple[NamePattern, float] | None:
    """The surest pattern that a path fits, the first one among equals, and how sure it is there.

    A common name inside an object may belong to the object (``maker.name``), so it counts for less.
    """
    whole = normal(path)
    above, _, last = whole.rpartition(".")
    inside = 0.6 if above and above not in WRAPPERS else 1.0
    fitting = [(p, p.sure * (1.0 if p.full else inside)) for p in patterns if p.pattern.fullmatch(whole if p.full else last)]
    return max(fitting, key=lambda pair: pair[1]) if fitting else None
