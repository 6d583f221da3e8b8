"""Measures, against their formulas."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from hybrid_search.evaluation.metrics import MEASURES, per_query

QRELS = {"q": {"a": 3, "b": 2, "c": 1, "d": 0}}


def measured(ranking: list[str], measure: str, qrels: dict[str, dict[str, int]] | None = None) -> float:
    return float(per_query({"q": ranking}, qrels or QRELS, ["q"])[measure][0])


def test_ndcg_gains_are_grades() -> None:
    ideal = 3 + 2 / log2(3) + 1 / log2(4)
    assert measured(["b", "x", "a"], "ndcg@10") == pytest.approx((2 + 3 / log2(4)) / ideal)


def test_ndcg_ends_at_ten() -> None:
    assert measured([*"123456789", "A", "a"], "ndcg@10") == 0.0
    assert measured([*"123456789", "a"], "ndcg@10") == pytest.approx((3 / log2(11)) / (3 + 2 / log2(3) + 1 / log2(4)))


def test_recall_counts_grades_of_two_and_more_among_a_hundred() -> None:
    assert measured(["c", "a"], "recall@100") == 1 / 2
    assert measured([*map(str, range(99)), "a", "b"], "recall@100") == 1 / 2


def test_mrr_is_the_first_of_any_grade() -> None:
    assert measured(["x", "d", "c", "a"], "mrr") == pytest.approx(1 / 3)


def test_judged_counts_grade_zero_too() -> None:
    assert measured(["d", "x", "a", "y"], "judged@10") == pytest.approx(2 / 4)


def test_the_given_order_counts_whatever_the_ids_are() -> None:
    """trec_eval breaks ties by id: a ranking without scores must not be handed to it as ties."""
    assert measured(["a", "z"], "mrr") == measured(["a", "0"], "mrr") == 1.0
    assert measured(["z", "a"], "mrr") == measured(["0", "a"], "mrr") == 1 / 2


def test_no_hits_nothing_relevant_and_no_judgement_score_zero_and_stay() -> None:
    qrels = {"hit": {"a": 2}, "irrelevant": {"a": 0}, "empty": {"a": 2}}
    found = per_query(
        {"hit": ["a"], "irrelevant": ["a"], "empty": [], "unjudged": ["a"]}, qrels, ["unjudged", "hit", "empty", "irrelevant", "unasked"]
    )
    assert found["ndcg@10"].tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]
    assert found["recall@100"].tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]
    assert set(found) == set(MEASURES)
    assert all(values.dtype == np.float64 for values in found.values())
