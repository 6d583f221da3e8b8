"""The product model: what it accepts, tidies and refuses."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hybrid_search.product import Product
from hybrid_search.schema import text_values


def test_a_product_is_tidied_on_the_way_in() -> None:
    product = Product.model_validate(
        {
            "id": "p1",
            "title": "  Red\tmug\u0000 ",
            "category": "Home > Kitchen >  > Mugs",
            "attributes": {"capacity_ml": 350, "dishwasher": True, "tags": ["a", None, "b"], "empty": None},
            "images": "a.jpg",
            "brand": None,
        }
    )
    assert product.title == "Red mug"
    assert product.category == ("Home", "Kitchen", "Mugs")
    assert product.attributes == {"capacity_ml": ("350",), "dishwasher": ("true",), "tags": ("a", "b")}
    assert product.images == ("a.jpg",)
    assert product.body() == {
        "id": "p1",
        "title": "Red mug",
        "category": ["Home", "Kitchen", "Mugs"],
        "attributes": {"capacity_ml": ["350"], "dishwasher": ["true"], "tags": ["a", "b"]},
        "images": ["a.jpg"],
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", "a\nb"),
        ("price", -1),
        ("price", "1,50"),
        ("price", float("inf")),
        ("price", float("nan")),
        ("currency", "dollars"),
        ("rating", 5.1),
        ("rating_count", -1),
        ("availability", "maybe"),
        ("gtin", "123"),
        ("language", "English language"),
        ("created", "yesterday"),
        ("images", ["x"] * 51),
        ("color", "x" * 257),
        ("no_such_field", 1),
    ],
)
def test_a_bad_value_is_refused_by_its_field(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Product.model_validate({"id": "p1", field: value})
    assert caught.value.errors()[0]["loc"][0] == field


def test_words_hold_no_identifier() -> None:
    product = Product(
        id="ID-1", title="Mug", sku="SKU-1", mpn="MPN-1", gtin="12345670", group_id="G-1", brand="Acme", images=("path/p.jpg",)
    )
    values = text_values(product.body())
    assert values == {"title": "Mug", "brand": "Acme", "all": "Mug Acme"}
