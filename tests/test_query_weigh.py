"""The weights of one query."""

from __future__ import annotations

import pytest

from hybrid_search.control import Control
from hybrid_search.query.request import SearchRequest
from hybrid_search.query.understand import understand
from hybrid_search.query.weigh import weigh

CONTROL = Control(weights={"bm25": 0.5, "text": 0.4, "cross": 0.3}, text_factor_by_words=(0.1, 0.2, 0.5))


@pytest.mark.parametrize(
    ("typed", "factor"),
    [
        ("mug", 0.1),
        ("red mug", 0.2),
        ("red coffee mug", 0.5),
        ("red coffee mug with a lid", 0.5),
        ("  red \t mug ", 0.2),
        ("红色咖啡杯", 0.5),
        ("nike 跑鞋", 0.5),
        ("", 1.0),
    ],
)
def test_the_text_leg_counts_by_the_number_of_words(typed: str, factor: float) -> None:
    weights = weigh(understand(SearchRequest(q=typed), max_query_chars=256), CONTROL, None)
    assert weights == pytest.approx({"bm25": 0.5, "text": 0.4 * factor, "cross": 0.3})


def test_what_a_request_sets_is_left_alone() -> None:
    understood = understand(SearchRequest(q="mug"), max_query_chars=256)
    assert weigh(understood, CONTROL, {"text": 0.7, "image": 0.0}) == {"bm25": 0.5, "text": 0.7, "cross": 0.3, "image": 0.0}


def test_without_factors_nothing_is_scaled() -> None:
    understood = understand(SearchRequest(q="mug"), max_query_chars=256)
    assert weigh(understood, CONTROL.model_copy(update={"text_factor_by_words": ()}), None)["text"] == 0.4
