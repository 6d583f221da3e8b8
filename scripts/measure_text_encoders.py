"""Measures the text encoders on evaluation sets: quality of full retrieval and passages per second, for each way of making a passage.

    python scripts/measure_text_encoders.py --data ../shared/data-unpacked --encoder offline-use --encoder offline-e5

Every folder below --data that holds queries.dev.jsonl is a set. Vectors are kept in --cache, so that a second run is quick. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_search.encoders.passage import passage
from hybrid_search.encoders.registry import text_encoder
from hybrid_search.evaluation.fields import fair_fields, reduced
from hybrid_search.evaluation.metrics import per_query
from hybrid_search.evaluation.sets import EvaluationSet, read_set
from hybrid_search.types import FloatMatrix

Recipe = Callable[[Mapping[str, Any]], str]

RECIPES: dict[str, Recipe] = {
    "title": lambda body: str(body.get("title", "")),
    "passage 150": lambda body: passage(body, 150),
    "passage 200": lambda body: passage(body, 200),
    "passage 300": lambda body: passage(body, 300),
    "passage 500": lambda body: passage(body, 500),
    "passage 1000": lambda body: passage(body, 1000),
}
CHUNK = 256


def encoded(texts: Sequence[str], encode: Callable[[Sequence[str]], FloatMatrix], path: Path) -> tuple[FloatMatrix, float]:
    """Vectors of ``texts`` and texts per second of processor time, kept at ``path``."""
    if not path.exists():
        encode(["warm"])
        started = time.process_time()
        vectors = np.concatenate([encode(texts[i : i + CHUNK]) for i in range(0, len(texts), CHUNK)])
        np.savez(path, vectors=vectors, rate=len(texts) / (time.process_time() - started))
    with np.load(path) as kept:
        return kept["vectors"], float(kept["rate"])


def measured(evaluation: EvaluationSet, name: str, recipe: str, cache: Path) -> str:
    """One row of the table."""
    encoder = text_encoder(name)
    fields = fair_fields(evaluation)
    texts = [RECIPES[recipe](reduced(product, fields).body()) for product in evaluation.products]
    queries = [query for query in evaluation.queries if query.text]
    stem = f"{evaluation.folder.name}.{name}.{recipe.replace(' ', '')}"
    documents, rate = encoded(texts, encoder.encode_documents, cache / f"{stem}.documents.npz")
    asked, _ = encoded([query.text for query in queries], encoder.encode_queries, cache / f"{evaluation.folder.name}.{name}.queries.npz")
    ids = [product.id for product in evaluation.products]
    order = np.argsort(-(asked @ documents.T), axis=1, kind="stable")[:, :100]
    values = per_query(
        {q.id: [ids[i] for i in row] for q, row in zip(queries, order, strict=True)}, evaluation.qrels, [q.id for q in queries]
    )
    return f"| {evaluation.folder.name} | {name} | {recipe} | {values['ndcg@10'].mean():.3f} | {values['recall@100'].mean():.3f} | {rate:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of unpacked evaluation sets")
    parser.add_argument("--cache", type=Path, default=Path(".cache/measure"), help="where vectors are kept")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--set", action="append", help="only this set (repeat for several)")
    parser.add_argument("--encoder", action="append", required=True, help="encoder spec (repeat for several)")
    parser.add_argument("--recipe", action="append", choices=sorted(RECIPES), help="only this recipe (repeat for several)")
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    print("| set | encoder | text | nDCG@10 | R@100 | passages/s |\n|---|---|---|---|---|---|")
    for folder in sorted(path.parent for path in given.data.glob(f"*/queries.{given.split}.jsonl")):
        if given.set and folder.name not in given.set:
            continue
        evaluation = read_set(folder, given.split)
        if not any(product.title for product in evaluation.products):
            continue
        for name in given.encoder:
            for recipe in given.recipe or RECIPES:
                print(measured(evaluation, name, recipe, given.cache), flush=True)


if __name__ == "__main__":
    main()
