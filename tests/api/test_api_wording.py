"""The page's words in its languages."""

from __future__ import annotations

import string

import pytest

from hybrid_search.api.wording import LANGUAGES, wording


def gaps(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_every_sentence_is_there_with_the_same_gaps(language: str) -> None:
    english, other = wording("en").words, wording(language).words
    needed = {key for key in english if not key.endswith(".one")}
    assert needed - set(other) == set()
    assert {key for key in other if key not in english and not key.startswith("value.")} == set()
    for key in needed:
        assert gaps(english[key]) == gaps(other[key]), key


def test_one_is_told_from_many() -> None:
    assert wording("en")("results.count", count=1) == "1 product"
    assert wording("en")("results.count", count=2) == "2 products"
    assert wording("zh")("results.count", count=1) == "1 件商品"
