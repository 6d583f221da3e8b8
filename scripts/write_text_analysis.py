"""Writes ``mappings/<product>/text-analysis.json``: the text analysis of the servers, equal to ``hybrid_search.engines.analysis``.

    python scripts/write_text_analysis.py [--check]

Servers have no NFKC filter without the ICU plugin. A ``mapping`` character filter does the same with one line per character that NFKC
changes, and one per pair of letter and mark that it joins; ``--check`` writes nothing and ends with 1 where a file differs.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hybrid_search.engines.analysis import MAX_TERM, REPLACED, STOP_WORDS, is_unseen
from hybrid_search.engines.embedded.bm25 import K1, B

MAPPINGS = Path(__file__).resolve().parents[1] / "mappings"
PRODUCTS = ("opensearch", "elasticsearch")
VERSION = 1
UNICODE = unicodedata.unidata_version
_REPLACED = {**REPLACED, ":": " "}
"""A colon joins words in Lucene's tokenizer, but not in ours."""
_HANGUL = range(0xAC00, 0xD7A4)
_SURROGATES = range(0xD800, 0xE000)


def changes() -> dict[str, str]:
    """What NFKC changes: single characters, and letters with marks that it joins. Hangul written as single jamo is left out (11,172 lines)."""
    found = {**_REPLACED}
    for code in range(0x80, sys.maxunicode + 1):
        if code in _SURROGATES or code in _HANGUL or unicodedata.category(chr(code)) == "Cn":
            continue
        char = chr(code)
        normal = unicodedata.normalize("NFKC", char)
        if is_unseen(char):
            found[char] = ""
        elif normal != char:
            found[char] = "".join(_REPLACED.get(one, one) for one in normal)
        for written in _decomposed(char):
            found.setdefault(written, normal)
    return found


def _decomposed(char: str) -> Iterator[str]:
    """Other ways to write ``char`` that NFKC joins to it: one mark apart, all marks apart; half-width kana with their sound marks."""
    parts = unicodedata.decomposition(char)
    if not parts or parts.startswith("<"):
        return
    whole = "".join(chr(int(part, 16)) for part in parts.split())
    if len(whole) < 2 or unicodedata.normalize("NFC", whole) != char:
        return
    yield whole
    apart = unicodedata.normalize("NFD", char)
    if apart != whole:
        yield apart
    if whole[1] in "\u3099\u309a":
        sound = "\uff9e" if whole[1] == "\u3099" else "\uff9f"
        yield whole[0] + sound
        for code in range(0xFF66, 0xFF9E):
            if unicodedata.normalize("NFKC", chr(code)) == whole[0]:
                yield chr(code) + sound


def _escaped(text: str) -> str:
    """As the rules of a ``mapping`` filter are written: printing characters as they are, others as UTF-16 escapes."""
    out: list[str] = []
    for char in text:
        if char in "\\=>" or not char.isprintable() or char.isspace() or unicodedata.category(char)[0] == "M":
            units = char.encode("utf-16-be")
            out.extend(f"\\u{units[at]:02X}{units[at + 1]:02X}" for at in range(0, len(units), 2))
        else:
            out.append(char)
    return "".join(out)


def text_analysis() -> dict[str, Any]:
    """The component template: settings that every index with products needs."""
    analysis = {
        "char_filter": {
            "shop_nfkc": {"type": "mapping", "mappings": [f"{_escaped(a)} => {_escaped(b)}".rstrip() for a, b in sorted(changes().items())]}
        },
        "tokenizer": {"shop_words": {"type": "standard", "max_token_length": MAX_TERM}},
        "filter": {
            "shop_possessive": {"type": "stemmer", "language": "possessive_english"},
            "shop_no_emoji": {"type": "keep_types", "types": ["<EMOJI>"], "mode": "exclude"},
            "shop_cjk": {"type": "cjk_bigram", "output_unigrams": True},
            "shop_stop": {"type": "stop", "stopwords": sorted(STOP_WORDS)},
            "shop_stem": {"type": "snowball", "language": "English"},
        },
        "analyzer": {
            "shop_text": {
                "type": "custom",
                "char_filter": ["shop_nfkc"],
                "tokenizer": "shop_words",
                "filter": ["shop_no_emoji", "lowercase", "shop_possessive", "shop_cjk", "shop_stop", "shop_stem"],
            }
        },
    }
    similarity = {"default": {"type": "BM25", "k1": K1, "b": B, "discount_overlaps": False}}
    return {
        "template": {"settings": {"index": {"similarity": similarity, "analysis": analysis}}},
        "version": VERSION,
        "_meta": {
            "description": "Words of products and queries, as hybrid_search/engines/analysis.py cuts them. Written by scripts/write_text_analysis.py.",
            "version": VERSION,
            "unicode": UNICODE,
        },
    }


def main() -> int:
    text = json.dumps(text_analysis(), ensure_ascii=False, indent=1) + "\n"
    differing = []
    for product in PRODUCTS:
        path = MAPPINGS / product / "text-analysis.json"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            differing.append(path)
            if "--check" not in sys.argv[1:]:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for path in differing:
        print(path)
    return int(bool(differing) and "--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
