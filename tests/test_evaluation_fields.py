"""Which fields reach an evaluation's index."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_search.errors import QueryError
from hybrid_search.evaluation.fields import FIELDS, fair_fields, parse_fields, reduced
from hybrid_search.evaluation.sets import EvaluationSet, Query
from hybrid_search.product import Product


def asked(*kinds: str) -> EvaluationSet:
    queries = tuple(Query(f"q{i}", "words", None, "en", kind) for i, kind in enumerate(kinds))
    return EvaluationSet(Path(), "dev", (), 0, queries, {})


def test_names_spellings_and_all() -> None:
    assert parse_fields("description, Title,images,colour") == ("title", "description", "color", "image")
    assert parse_fields("all") == FIELDS


@pytest.mark.parametrize("text", ["title,sku", "id", "", "group_id"])
def test_unknown_fields_and_identifiers_are_refused(text: str) -> None:
    with pytest.raises(QueryError, match="--index: unknown field"):
        parse_fields(text)


def test_queries_made_from_labels_take_the_labels_out() -> None:
    assert fair_fields(asked("colour", "category")) == ("title", "description", "brand", "image")
    assert fair_fields(asked("", "fine")) == FIELDS


def test_nothing_but_the_chosen_fields_is_left() -> None:
    product = Product(
        id="p1",
        title="Mug",
        description="Blue",
        category=("Kitchen",),
        sku="S-1",
        gtin="4006381333931",
        group_id="g1",
        images=("images/p1.jpg",),
    )
    assert reduced(product, ("title",)).body() == {"id": "p1", "title": "Mug"}
    assert reduced(product, FIELDS).body() == {
        "id": "p1",
        "title": "Mug",
        "description": "Blue",
        "category": ["Kitchen"],
        "images": ["images/p1.jpg"],
    }
