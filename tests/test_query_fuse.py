"""Fusion: the formulas, and the laws that every method keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_search.errors import QueryError
from hybrid_search.query.fuse import FLAT, LOWEST, METHODS, fuse, min_max, rrf, shares
from hybrid_search.types import LegHits


def hits(name: str, **scores: float) -> LegHits:
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return LegHits(name, tuple(i for i, _ in ranked), np.array([s for _, s in ranked], dtype=np.float32))


def leg_lists() -> st.SearchStrategy[LegHits]:
    scores = st.dictionaries(st.sampled_from("abcdefghij"), st.floats(-100, 100, width=32), max_size=10)
    return scores.map(lambda found: hits("leg", **found))


def test_min_max_is_the_formula() -> None:
    assert min_max(np.array([8.0, 5.0, 2.0], dtype=np.float32), None).tolist() == [1.0, (5 - 2) / (8 - 2), 0.0]


def test_where_a_leg_has_a_lowest_score_it_is_the_lower_end() -> None:
    assert min_max(np.array([8.0, 4.0, 2.0], dtype=np.float32), 0.0).tolist() == [1.0, 0.5, 0.25]
    assert LOWEST == {"bm25": 0.0}


@pytest.mark.parametrize("scores", [[7.5], [3.0, 3.0, 3.0], [0.0, 0.0]])
def test_min_max_promotes_neither_a_lone_hit_nor_a_flat_list(scores: list[float]) -> None:
    assert min_max(np.array(scores, dtype=np.float32), None).tolist() == [FLAT] * len(scores)


def test_rrf_is_the_formula_of_the_paper_scaled_to_one() -> None:
    assert rrf(np.array([9.0, 1.0, 0.5], dtype=np.float32), None).tolist() == pytest.approx(
        [(1 / 61) * 61, (1 / 62) * 61, (1 / 63) * 61], rel=1e-6
    )


def test_the_fused_score_is_the_weighted_sum() -> None:
    legs = {"bm25": hits("bm25", a=10, b=6, c=2), "text": hits("text", b=0.9, d=0.5, a=0.7)}
    fused = fuse(legs, {"bm25": 0.25, "text": 0.75}, method="min_max")
    expected = {
        "a": 0.25 * 10 / 10 + 0.75 * (0.7 - 0.5) / (0.9 - 0.5),
        "b": 0.25 * 6 / 10 + 0.75 * 1.0,
        "c": 0.25 * 2 / 10,
        "d": 0.0,
    }
    assert dict(zip(fused.ids, fused.scores, strict=True)) == pytest.approx(expected, abs=1e-6)
    assert fused.ids == ("b", "a", "c", "d")


def test_a_leg_that_failed_costs_its_share_and_nothing_else() -> None:
    fused = fuse({"bm25": hits("bm25", a=2, b=1)}, {"bm25": 0.4, "text": 0.6}, method="min_max")
    assert fused.ids == ("a", "b")
    assert fused.scores[0] == pytest.approx(0.4)


def test_nothing_found_is_an_empty_ranking() -> None:
    assert fuse({"bm25": hits("bm25")}, {"bm25": 1.0}, method="min_max").ids == ()
    assert fuse({}, {"bm25": 1.0}, method="rrf").ids == ()


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(QueryError, match="min_max, rrf"):
        fuse({}, {"bm25": 1.0}, method="best")


def test_shares_add_up_to_one_and_drop_what_is_off() -> None:
    assert shares({"bm25": 3.0, "text": 1.0, "image": 0.0}) == {"bm25": 0.75, "text": 0.25}
    with pytest.raises(QueryError, match="weight above 0"):
        shares({"bm25": 0.0})


@pytest.mark.parametrize("method", METHODS)
class TestLaws:
    @given(first=leg_lists(), second=leg_lists(), weight=st.floats(0.01, 0.99))
    def test_inputs_are_unchanged_and_order_of_legs_does_not_matter(
        self, method: str, first: LegHits, second: LegHits, weight: float
    ) -> None:
        before = first.scores.copy(), second.scores.copy()
        weights = {"x": weight, "y": 1 - weight}
        forward = fuse({"x": first, "y": second}, weights, method=method)
        backward = fuse({"y": second, "x": first}, weights, method=method)
        assert (forward.ids, forward.scores) == (backward.ids, backward.scores)
        assert np.array_equal(first.scores, before[0]) and np.array_equal(second.scores, before[1])

    @given(first=leg_lists(), second=leg_lists())
    def test_ranking_descends_with_ties_by_id_and_holds_each_product_once(self, method: str, first: LegHits, second: LegHits) -> None:
        fused = fuse({"x": first, "y": second}, {"x": 0.5, "y": 0.5}, method=method)
        assert sorted(fused.ids) == sorted({*first.ids, *second.ids})
        keys = [(-score, product_id) for product_id, score in zip(fused.ids, fused.scores, strict=True)]
        assert keys == sorted(keys)

    @given(only=leg_lists())
    def test_one_leg_keeps_its_own_order(self, method: str, only: LegHits) -> None:
        fused = fuse({"x": only}, {"x": 1.0}, method=method)
        by_score = dict(zip(only.ids, only.scores.tolist(), strict=True))
        ranked = [by_score[product_id] for product_id in fused.ids]
        gap = (max(ranked) - min(ranked)) * 1e-4 if ranked else 0.0  # closer scores may fall together in float32
        assert all(a >= b - gap - 1e-4 for a, b in zip(ranked, ranked[1:], strict=False))

    @given(first=leg_lists(), second=leg_lists(), weight=st.floats(0.01, 0.99))
    def test_contributions_add_up_to_the_score(self, method: str, first: LegHits, second: LegHits, weight: float) -> None:
        fused = fuse({"x": first, "y": second}, {"x": weight, "y": 1 - weight}, method=method)
        parts = fused.parts()
        for product_id, score in zip(fused.ids, fused.scores, strict=True):
            assert sum(part.contribution for part in parts[product_id].values()) == pytest.approx(score, abs=1e-9)

    @given(found=leg_lists(), scale=st.floats(0.5, 8, width=32), weight=st.floats(0.1, 0.9))
    def test_scale_of_a_leg_does_not_matter(self, method: str, found: LegHits, scale: float, weight: float) -> None:
        other = hits("y", a=3.0, c=2.0, e=1.0)
        scaled = LegHits("x", found.ids, (found.scores * np.float32(scale)).astype(np.float32))
        plain = fuse({"x": found, "y": other}, {"x": weight, "y": 1 - weight}, method=method)
        grown = fuse({"x": scaled, "y": other}, {"x": weight, "y": 1 - weight}, method=method)
        if len(found.scores) and float(found.scores.max() - found.scores.min()) > 1e-2:
            assert dict(zip(plain.ids, plain.scores, strict=True)) == pytest.approx(
                dict(zip(grown.ids, grown.scores, strict=True)), abs=1e-4
            )
