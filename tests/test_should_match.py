"""``minimum_should_match``: the table of the Elasticsearch reference and Solr's ``mm`` documentation, clamped to 1 … words."""

from __future__ import annotations

import pytest

from hybrid_search.engines.should_match import required_matches
from hybrid_search.errors import QueryError


@pytest.mark.parametrize(
    ("words", "spec", "expected"),
    [
        (0, "2", 0),
        (3, "", 1),
        (3, "2", 2),
        (1, "2", 1),
        (3, "0", 1),
        (3, "-1", 2),
        (3, "-5", 1),
        (4, "75%", 3),
        (5, "75%", 3),
        (4, "-25%", 3),
        (5, "-25%", 4),
        (2, "10%", 1),
        (1, "2<67%", 1),
        (2, "2<67%", 2),
        (3, "2<67%", 2),
        (6, "2<67%", 4),
        (3, "3<90%", 3),
        (4, "3<90%", 3),
        (2, "2<-25% 9<-3", 2),
        (8, "2<-25% 9<-3", 6),
        (10, "2<-25% 9<-3", 7),
        (4, " 2 < 50% ", 2),
        (3, "100%", 3),
    ],
)
def test_lucene_syntax(words: int, spec: str, expected: int) -> None:
    assert required_matches(words, spec) == expected


@pytest.mark.parametrize("spec", ["two", "50 %", "2<", "<2", "2>1", "1.5", "2<a 3<b", "%"])
def test_what_cannot_be_read_is_named(spec: str) -> None:
    with pytest.raises(QueryError, match="minimum_should_match"):
        required_matches(3, spec)
