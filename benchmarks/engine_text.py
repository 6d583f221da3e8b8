"""BM25 over the engine's postings beside tantivy, same terms, same fields, one core: the best 100, and the whole match set.

    python benchmarks/engine_text.py --rows 100000

Totals, facets and filters need the match set as row numbers. From tantivy's Python binding it comes as one Python object per match.
Runs alternate (ABBA); CPU milliseconds of the thread, medians; ``scores`` is the largest relative difference between the two.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import tantivy

from benchmarks.engine_corpus import products
from hybrid_search.engines.analysis import terms
from hybrid_search.engines.embedded.counting import best
from hybrid_search.engines.embedded.text_index import Segment, TextFollower, TextIndex
from hybrid_search.engines.embedded.text_segment import build_segment

FIELDS = {"title": 0.5, "description": 1.0}
K = 100
FACTOR = 2.2
"""tantivy multiplies by k1 + 1, as Lucene did before version 8; no order depends on it."""
QUERIES = {
    "broad": ["word0q word5q wordaq", "word1q word3q word20q"],
    "middling": ["word20q word80q word200q", "word30q word60q word300q"],
    "narrow": ["word400q word900q", "word800q word500q word700q"],
}


def ours(texts: Sequence[dict[str, str]]) -> TextIndex:
    segment = Segment("only", 1, build_segment(list(enumerate(texts, start=1))))
    return TextFollower().advance([segment], len(texts) + 1)


def build_tantivy(folder: str, texts: Sequence[dict[str, str]]) -> tuple[Any, Any]:
    builder = tantivy.SchemaBuilder()
    for field in FIELDS:
        builder.add_text_field(field, tokenizer_name="whitespace", index_option="freq")
    builder.add_unsigned_field("slot", fast=True)
    schema = builder.build()
    index = tantivy.Index(schema, path=folder)
    writer = index.writer(200_000_000, 1)
    for slot, text in enumerate(texts, start=1):
        document = tantivy.Document()
        for field, value in text.items():
            document.add_text(field, " ".join(terms(value)))
        document.add_unsigned("slot", slot)
        writer.add_document(document)
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return schema, index.searcher()


def tantivy_query(schema: Any, words: Sequence[str]) -> Any:
    query, should = tantivy.Query, tantivy.Occur.Should

    def word(term: str) -> Any:
        parts = [(should, query.boost_query(query.term_query(schema, f, term, "freq"), weight)) for f, weight in FIELDS.items()]
        return query.boolean_query(parts)

    return query.boolean_query([(should, word(term)) for term in words], 1)


def measure(run: Callable[[], Any], rounds: int = 7) -> list[float]:
    spent = []
    for _ in range(rounds):
        begun = time.thread_time()
        run()
        spent.append((time.thread_time() - begun) * 1e3)
    return spent


def compare(index: TextIndex, schema: Any, searcher: Any, text: str) -> dict[str, float]:
    words = terms(text)
    order = np.arange(len(index.owner), dtype=np.float64)
    query = tantivy_query(schema, words)
    total = searcher.search(query, limit=1).count

    def our_set() -> Any:
        return index.match(words, FIELDS, "1")

    def our_best() -> Any:
        slots, scores = our_set()
        return best(slots, scores, K, order)

    def their_set() -> Any:
        hits = searcher.search(query, limit=total, count=False).hits
        slots = searcher.fast_field_values("slot", [address for _, address in hits])
        return np.array(slots, dtype=np.int32), np.array([score for score, _ in hits], dtype=np.float32)

    def their_best() -> Any:
        return searcher.search(query, limit=K, count=True).hits

    runs = {"set": (our_set, their_set), "best": (our_best, their_best)}
    result: dict[str, float] = {"matches": total}
    for name, (mine, theirs) in runs.items():
        a, b = measure(mine), measure(theirs)
        b, a = b + measure(theirs), a + measure(mine)
        result |= {f"ours {name} ms": statistics.median(a), f"tantivy {name} ms": statistics.median(b)}
    slots, scores = our_set()
    by_slot = dict(zip(*(array.tolist() for array in their_set()), strict=True))
    assert set(by_slot) == set(slots.tolist())
    result["scores"] = max(abs(by_slot[slot] / (FACTOR * score) - 1) for slot, score in zip(slots.tolist(), scores.tolist(), strict=True))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    arguments = parser.parse_args()
    texts = [{"title": product.title, "description": product.description} for product in products(arguments.rows)]
    index = ours(texts)
    with tempfile.TemporaryDirectory() as folder:
        schema, searcher = build_tantivy(folder, texts)
        for kind, queries in QUERIES.items():
            for text in queries:
                print(json.dumps({"query": kind, **compare(index, schema, searcher, text)}), flush=True)


if __name__ == "__main__":
    main()
