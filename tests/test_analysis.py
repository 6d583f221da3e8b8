"""Index terms: expected ones are what Lucene's ``StandardTokenizer``, ``EnglishPossessiveFilter``, ``StopFilter``, ``CJKBigramFilter`` and
Snowball's English vocabulary (``voc.txt`` / ``output.txt``) give."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_search.engines.analysis import STOP_WORDS, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Red Shoes", ["red", "shoe"]),
        ("running runner runs", ["run", "runner", "run"]),
        ("consistency knightly", ["consist", "knight"]),
        ("wi-fi RS-232", ["wi", "fi", "rs", "232"]),
        ("10x15cm 3.5mm 1,000.50", ["10x15cm", "3.5mm", "1,000.50"]),
        ("U.S.A. Inc.", ["u.s.a", "inc"]),
        ("men's women\u2019s dogs'", ["men", "women", "dog"]),
        ("end.Start a,b", ["end.start", "b"]),
        ("\uff21\uff22\uff23\uff11\uff12", ["abc12"]),
        ("caf\u00e9 cafe\u0301", ["caf\u00e9", "caf\u00e9"]),
        ("foo_bar __", ["foo_bar"]),
        ("\u2603 \U0001f600 !", []),
        ("Size:Small of\u00adfice \ufeffcap \u00bd 1\ufe0f\u20e3", ["size", "small", "offic", "cap", "1", "2", "1"]),
        ("a\u2776b \u030107 men\u2018s \u0130 \u039f\u03a3", ["b", "07", "men", "i", "\u03bf\u03c3"]),
        ("added adding ads erred upped organic", ["add", "add", "ad", "err", "up", "organ"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("连衣裙", ["连", "连衣", "衣", "衣裙", "裙"]),
        ("裙", ["裙"]),
        ("红色 裙", ["红", "红色", "色", "裙"]),
        ("iPhone手机", ["iphon", "手", "手机", "机"]),
        ("5号", ["5", "号"]),
        ("ｶﾞﾗｽ", ["ガ", "ガラ", "ラ", "ラス", "ス"]),
        ("한국", ["한", "한국", "국"]),
        ("らカ漢", ["ら", "らカ", "カ", "カ漢", "漢"]),
    ],
)
def test_cjk_runs_are_characters_and_bigrams(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_stop_words_are_lucenes_33_and_a_text_of_them_has_no_terms() -> None:
    assert len(STOP_WORDS) == 33
    assert terms("To be, or NOT to be: this is it") == []


def test_a_term_is_at_most_255_characters() -> None:
    assert terms("7" * 600) == ["7" * 255, "7" * 255, "7" * 90]


@settings(deadline=None)
@given(st.text(), st.text())
def test_a_space_between_texts_joins_their_terms(first: str, second: str) -> None:
    assert terms(f"{first} {second}") == terms(first) + terms(second)


@settings(deadline=None)
@given(st.text())
def test_terms_never_hold_white_space_or_capitals(text: str) -> None:
    for term in terms(text):
        assert term
        assert term == term.lower()
        assert not any(c.isspace() for c in term)
