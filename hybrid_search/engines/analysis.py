"""Text to index terms: the same pure function for products and queries.

The chain is Lucene's for English with Chinese, Japanese and Korean bigrams, so that a server engine can be configured to the same
terms: NFKC (full-width forms), words after UAX #29 as ``StandardTokenizer`` cuts them, CJK runs as characters and
overlapping bigrams (bigrams alone lose two thirds of the short Chinese keywords, see docs/evaluation.md), English possessive ``'s``
dropped, lower case, Lucene's 33 English stop words dropped, Snowball English stems.

Beyond Lucene, characters that nobody sees are dropped and ``:`` parts words (UAX #29 joins ``Size:Small``); on servers a character
filter does both. Stems are those of Snowball 2, as in Lucene.

Consequences: ``wi-fi`` and ``rs-232`` are two terms each, ``10x15cm`` and ``3.5mm`` one; a text of stop words alone has no terms and
therefore matches nothing by keyword, as on a server. Symbols and emoji are no terms.
"""

from __future__ import annotations

import re
import sys
import threading
import unicodedata
from functools import lru_cache

import Stemmer

STOP_WORDS = frozenset(
    (
        "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not",
        "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was",
        "will", "with",
    )
)  # fmt: skip
"""``EnglishAnalyzer.ENGLISH_STOP_WORDS_SET`` of Lucene."""

REPLACED = {"\u2018": "'", "\u2019": "'", "\u2044": " ", "\u0130": "i", "\u03a3": "\u03c3"}
"""After NFKC: typographic apostrophes; the stroke that NFKC puts into ``½``; capitals whose lower case differs between languages."""

MAX_TERM = 255
"""Longer terms are cut into pieces of this many characters, as ``StandardTokenizer`` does."""

_CJK = (
    "\u3007\u3021-\u3029\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3131-\u318e\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Han, Hiragana, Katakana and Hangul, as the inside of a regular expression's class."""
_KEPT = 400_000
"""Words whose term is remembered; a catalogue of 250,000 products has fewer."""

_stemmers = threading.local()


def terms(text: str) -> list[str]:
    """Index terms of ``text`` in order, repeated words repeated; empty for an empty text."""
    if not text.isascii():
        text = _replaced(unicodedata.normalize("NFKC", text))
    words = (_ASCII_WORDS if text.isascii() else _words()).findall(text.lower())
    return [term for word in words for term in _terms[word]]


class _Terms(dict[str, tuple[str, ...]]):
    """Terms by word as it stands in a text, remembered."""

    def __missing__(self, word: str) -> tuple[str, ...]:
        if len(self) >= _KEPT:
            self.clear()
        made = self[word] = tuple(term for run in _runs().findall(word) for term in (_bigrams(run) if _is_cjk(run) else _english(run)))
        return made


_terms = _Terms()


def _bigrams(run: str) -> list[str]:
    """Each character and each pair of neighbours, in the order of ``CJKBigramFilter`` with ``outputUnigrams``."""
    return [run[i : i + size] for i in range(len(run)) for size in (1, 2) if i + size <= len(run)]


def _english(word: str) -> list[str]:
    word = word.removesuffix("'s")
    if word in STOP_WORDS or not any(c.isalnum() for c in word):
        return []
    return [_stem(word[start : start + MAX_TERM]) for start in range(0, len(word), MAX_TERM)]


def _stem(word: str) -> str:
    if (short := _ADD.fullmatch(word)) is not None:
        return short[1]
    stemmer = getattr(_stemmers, "english", None)
    if stemmer is None:  # one per thread: a stemmer keeps state while it works
        stemmer = _stemmers.english = Stemmer.Stemmer("english")
    return str(stemmer.stemWord(word))


_ADD = re.compile(r"([aeo](bb|dd|ff|gg|mm|nn|pp|rr|tt))(?:ed|ing)(?:ly|s)?")
"""Lucene's Snowball leaves ``add`` of ``adding``; release 2.2 on its own makes it ``ad``."""

# Words are letters, digits and marks, joined by ' . · between letters and by ' . , ; between digits.
_ASCII_WORDS = re.compile(r"[a-z0-9_]+(?:(?:(?<=[a-z_])['.](?=[a-z_])|(?<=[0-9])['.,;](?=[0-9]))[a-z0-9_]+)*")


def _replaced(text: str) -> str:
    for char, other in REPLACED.items():
        text = text.replace(char, other)
    unseen = _unseen()
    return text if unseen.isdisjoint(text) else "".join([char for char in text if char not in unseen])


def is_unseen(char: str) -> bool:
    """Whether ``char`` is no part of a word: a format character (soft hyphen, byte order mark, joiner), one that picks a variant of the
    one before, or the keycap around it."""
    selector = "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef" or char == "\u20e3"
    return selector or (char != "\u200b" and unicodedata.category(char) == "Cf")


@lru_cache(maxsize=1)
def _unseen() -> frozenset[str]:
    return frozenset(char for char in map(chr, range(0x80, sys.maxunicode + 1)) if is_unseen(char))


@lru_cache(maxsize=1)
def _words() -> re.Pattern[str]:
    """The same for any text; a word may still hold CJK runs."""
    letter = rf"[^\W\d{_CJK}]"
    inner = rf"(?:(?<={letter})['.\u00b7](?={letter})|(?<=\d)['.,;](?=\d))"
    signs = rf"[^\W{_ranges('No')}]+"
    kept = rf"{signs}(?:[{_ranges('M')}]+(?:{signs})?)*"
    return re.compile(rf"{kept}(?:{inner}{kept})*")


@lru_cache(maxsize=1)
def _runs() -> re.Pattern[str]:
    """CJK runs and what is between them."""
    return re.compile(rf"[{_CJK}]+|[^{_CJK}]+")


@lru_cache(maxsize=1)
def _cjk() -> re.Pattern[str]:
    return re.compile(f"[{_CJK}]")


def _is_cjk(run: str) -> bool:
    return run[0] >= "\u3007" and _cjk().match(run) is not None


def _ranges(category: str) -> str:
    """The characters of a Unicode general category (``M`` or ``No``) as the inside of a regular expression's class."""
    spans: list[tuple[int, int]] = []
    for code in range(0xA0, 0x1F100):
        if unicodedata.category(chr(code)).startswith(category):
            if spans and spans[-1][1] == code - 1:
                spans[-1] = (spans[-1][0], code)
            else:
                spans.append((code, code))
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in spans)
