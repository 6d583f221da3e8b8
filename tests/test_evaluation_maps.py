"""The map from pictures to words is fair: what a product's own group says in words does not move its pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from hybrid_search.encoders.base import ModelCard
from hybrid_search.errors import EncoderError
from hybrid_search.evaluation.maps import Pairs, foreign_projection, group_of, own_projection
from hybrid_search.product import Product
from hybrid_search.types import FloatMatrix

DIM = 12


class Words:
    """A text encoder whose vectors are drawn from the text itself."""

    card = ModelCard("words", DIM, "text", "MIT", "1")

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return self.encode_documents(texts)

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        rows = np.array([np.random.default_rng(list(text.encode())).normal(size=DIM) for text in texts]).reshape(-1, DIM)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def pairs(titles: Sequence[str]) -> Pairs:
    """Two variants per title; features that say what the title is, with noise."""
    products = [Product(id=f"p{i}", title=title, group_id=f"g{i // 2}") for i, title in enumerate(t for t in titles for _ in range(2))]
    shown = Words().encode_documents([f"thing {i // 2}" for i in range(len(products))])
    features = np.hstack([shown, np.random.default_rng(1).normal(0, 0.05, shown.shape)]).astype(np.float32)
    return Pairs(products, features / np.linalg.norm(features, axis=1, keepdims=True))


TITLES = [f"thing {i}" for i in range(200)]


def test_the_words_of_a_group_never_reach_its_own_pictures() -> None:
    """With 200 groups one lie does not change the strength that cross-validation chooses: all else is fitted without the group."""
    told, lied = pairs(TITLES), pairs(["something quite different", *TITLES[1:]])
    projections = [own_projection(given, Words(), "pictures") for given in (told, lied)]
    assert projections[0] is not None
    assert projections[1] is not None
    for i in (0, 1):  # both variants of the group whose title changed
        np.testing.assert_allclose(
            projections[0](told.features[[i]], told.products[i]), projections[1](lied.features[[i]], lied.products[i]), atol=1e-6
        )
    others = [
        np.abs(projections[0](told.features[[i]], told.products[i]) - projections[1](lied.features[[i]], lied.products[i])).max()
        for i in range(2, 400)
    ]
    assert max(others) > 1e-3


def test_another_catalogue_is_projected_by_one_map() -> None:
    given = pairs(TITLES)
    project = foreign_projection(given, Words(), "pictures")
    one, two = Product(id="new", title="x"), Product(id="p0", title="y", group_id="g3")
    np.testing.assert_array_equal(project(given.features[:3], one), project(given.features[:3], two))
    assert project(given.features[:3], one).shape == (3, DIM)


def test_without_words_there_is_no_map() -> None:
    wordless = pairs([""] * 200)
    assert own_projection(wordless, Words(), "pictures") is None
    with pytest.raises(EncoderError, match="too few of them have words"):
        foreign_projection(wordless, Words(), "pictures")


def test_a_product_without_variants_is_its_own_group() -> None:
    assert group_of(Product(id="p1", title="a")) == "p1"
    assert group_of(Product(id="p1", title="a", group_id="g")) == "g"
