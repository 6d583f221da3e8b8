"""The cursor: what it carries, and what it refuses."""

from __future__ import annotations

import itertools
import time
from unittest import mock

import pytest

from hybrid_search.errors import QueryError
from hybrid_search.query import page
from hybrid_search.query.page import MAX_AGE, MAX_CURSOR, Ranked, Ranking, pack, unpack
from hybrid_search.query.reply import Explain, Interpreted, LegExplain

SECRET = b"0123456789abcdef0123456789abcdef"


def ranking(count: int, *, id_length: int = 10, explained: bool = False) -> Ranking:
    why = Explain(fusion="rrf", legs={"bm25": LegExplain(raw=3.5, rank=1, normalised=1.0, weight=0.5, contribution=0.5)})
    places = tuple(Ranked(id=f"{at:0{id_length}x}", score=1 / (at + 1), explain=why if explained else None) for at in range(count))
    interpreted = Interpreted(text="mug", language="en", modalities=("text",), fusion="rrf", weights={"bm25": 1.0})
    return Ranking(query_id="q1", shown=0, places=places, total=1234, relation="eq", interpreted=interpreted, degraded=("text: down",))


@pytest.mark.parametrize("size", [1, 7, 20, 100])
@pytest.mark.parametrize("explained", [False, True])
def test_pages_are_the_ranking_cut_without_gap_or_repeat(size: int, explained: bool) -> None:
    whole = ranking(95, explained=explained)
    seen: list[Ranked] = []
    left = whole
    for number in itertools.count():
        shown, rest = left.split(size)
        assert left.shown == number * size
        seen.extend(shown)
        cursor = pack(rest, SECRET)
        if cursor is None:
            break
        left = unpack(cursor, SECRET)
        assert (left.total, left.query_id, left.interpreted, left.degraded) == (
            whole.total,
            whole.query_id,
            whole.interpreted,
            whole.degraded,
        )
    assert tuple(seen) == whole.places


def test_a_long_ranking_is_cut_to_the_cursor_s_size() -> None:
    cursor = pack(ranking(1_000, id_length=64), SECRET)
    assert cursor is not None and len(cursor) <= MAX_CURSOR
    assert 0 < len(unpack(cursor, SECRET).places) < 1_000


def test_the_end_has_no_cursor() -> None:
    _, rest = ranking(5).split(5)
    assert pack(rest, SECRET) is None


@pytest.mark.parametrize("damage", ["", "x", "a.b.c", "\ud800", "é" * 20])
def test_what_is_no_cursor_is_refused(damage: str) -> None:
    with pytest.raises(QueryError, match="not a cursor"):
        unpack(damage, SECRET)


def test_a_forged_cursor_is_refused() -> None:
    cursor = pack(ranking(5), SECRET)
    assert cursor is not None
    with pytest.raises(QueryError, match="not a cursor"):
        unpack(cursor, b"another secret, of the same len..")
    with pytest.raises(QueryError, match="not a cursor"):
        unpack(("A" if cursor[5] != "A" else "B").join([cursor[:5], cursor[6:]]), SECRET)


def test_an_old_cursor_is_refused() -> None:
    cursor = pack(ranking(5), SECRET)
    assert cursor is not None
    with (
        mock.patch("itsdangerous.timed.time.time", return_value=time.time() + MAX_AGE + 2),
        pytest.raises(QueryError, match="expired"),
    ):
        page.unpack(cursor, SECRET)
