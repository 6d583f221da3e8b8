"""Reading a query: line by line, English and Chinese."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_search.errors import QueryError
from hybrid_search.query.request import SearchRequest
from hybrid_search.query.understand import clean_text, language_of, understand


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("  red   mug ", "red mug"),
        ("ｒｅｄ　ｍｕｇ", "red mug"),
        ("½ inch", "1⁄2 inch"),
        ("red\x00\x07mug", "redmug"),
        ("red\tmug\n", "red mug"),
        ("zero\u200bwidth", "zerowidth"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("红色 杯子", "红色 杯子"),
        ("", ""),
        ("\u2028", ""),
    ],
)
def test_clean_text(typed: str, read: str) -> None:
    assert clean_text(typed) == read


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)


@pytest.mark.parametrize(("text", "language"), [("red mug", "en"), ("红色杯子", "zh"), ("nike 跑鞋", "zh"), ("café", "en"), ("", "en")])
def test_language(text: str, language: str) -> None:
    assert language_of(text) == language


def test_modalities_are_what_arrived() -> None:
    picture = {"url": "https://shop.example/a.jpg"}
    assert understand(SearchRequest(q="mug"), max_query_chars=256).modalities == ("text",)
    assert understand(SearchRequest.model_validate({"images": [picture]}), max_query_chars=256).modalities == ("image",)
    assert understand(SearchRequest.model_validate({"q": "mug", "images": [picture]}), max_query_chars=256).modalities == ("text", "image")
    assert understand(SearchRequest(q=" \u200b "), max_query_chars=256).asks_for_everything


def test_a_long_query_is_refused_with_its_length() -> None:
    with pytest.raises(QueryError, match="q has 10000 characters; 256 are allowed") as caught:
        understand(SearchRequest(q="x" * 10_000), max_query_chars=256)
    assert caught.value.field == "q" and caught.value.remedy
