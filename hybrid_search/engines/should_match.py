"""``minimum_should_match`` in Lucene's syntax: how many of a query's words a match must have. Pure."""

from __future__ import annotations

import re

from hybrid_search.errors import QueryError

_COUNT = re.compile(r"(-?\d+)(%?)")
_CONDITION = re.compile(r"(\d+)<(-?\d+%?)")


def required_matches(words: int, spec: str) -> int:
    """Words out of ``words`` that must match, between 1 and ``words`` (0 for no words).

    ``"2"``, ``"-1"`` (all but one), ``"75%"`` (rounded down), ``"-25%"`` (all but a rounded-down quarter), and conditions:
    ``"3<90% 5<-2"`` asks for all up to 3 words, 90 % for 4 and 5, all but 2 beyond. An empty ``spec`` asks for one.
    Raises ``QueryError`` for anything else. Source: ``Queries.calculateMinShouldMatch`` of Elasticsearch and OpenSearch.
    """
    if words <= 0:
        return 0
    text = re.sub(r"\s*<\s*", "<", spec.strip())
    needed = _conditional(words, text, spec) if "<" in text else _simple(words, text, spec) if text else 1
    return min(max(needed, 1), words)


def _conditional(words: int, text: str, spec: str) -> int:
    needed = words
    for part in text.split():
        condition = _CONDITION.fullmatch(part)
        if condition is None:
            raise _wrong(spec)
        if words <= int(condition[1]):
            return needed
        needed = _simple(words, condition[2], spec)
    return needed


def _simple(words: int, text: str, spec: str) -> int:
    count = _COUNT.fullmatch(text)
    if count is None:
        raise _wrong(spec)
    number = int(count[1])
    if count[2]:
        share = abs(number) * words // 100
        number = share if number >= 0 else -share
    return words + number if count[1].startswith("-") else number


def _wrong(spec: str) -> QueryError:
    return QueryError(
        f"minimum_should_match = {spec!r} cannot be read.",
        field="minimum_should_match",
        value=spec,
        remedy='Use a count ("2", "-1"), a share ("75%") or conditions ("2<67%", "3<90% 5<-2").',
    )
