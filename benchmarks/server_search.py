"""Latency of one search on a server: each leg alone, both in one ``_msearch``, both with facets.

    OPENSEARCH_URL=… python benchmarks/server_search.py opensearch [--products 20000] [--dim 384] [--queries 300]

Invented products, random vectors. Prints p50 and p99 in ms of the whole call, and both legs together as a multiple of the slower leg's
p50. Run it on a quiet machine: the shapes take turns, query by query, so that noise falls on all alike.
"""

from __future__ import annotations

import argparse
import os
import secrets
import time

import numpy as np

from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.engines.elasticsearch import open_elasticsearch
from hybrid_search.engines.opensearch import open_opensearch
from hybrid_search.product import Product
from hybrid_search.types import FacetRequest, KeywordLeg, SearchPlan, Space, VectorLeg, VectorWrite

WORDS = [f"word{n}" for n in range(5_000)]
FACETS = (FacetRequest("brand"), FacetRequest("category"), FacetRequest("price", edges=(10.0, 50.0)))
FIELDS = {"title": 1.0, "brand": 0.5, "all": 1.0}
WARM_UP = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("product", choices=["opensearch", "elasticsearch"])
    parser.add_argument("--products", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--queries", type=int, default=300)
    options = parser.parse_args()
    opener = {"opensearch": open_opensearch, "elasticsearch": open_elasticsearch}[options.product]
    engine = opener(os.environ[f"{options.product.upper()}_URL"], prefix=f"bench-{secrets.token_hex(4)}", knn_exact_up_to=0)
    rng = np.random.default_rng(1)
    space = Space("text", 1, options.dim, "text", "model", {"text": "model"})
    popular = 1 / np.arange(1, len(WORDS) + 1)
    popular /= popular.sum()
    try:
        engine.add_space(space)
        for start in range(0, options.products, 1_000):
            numbers = range(start, min(start + 1_000, options.products))
            rows = rng.standard_normal((len(numbers), options.dim)).astype(np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            engine.put(
                [
                    ProductWrite(
                        Product(
                            id=f"p{n}",
                            title=" ".join(rng.choice(WORDS, 8, p=popular)),
                            description=" ".join(rng.choice(WORDS, 40, p=popular)),
                            brand=f"brand {n % 50}",
                            category=("All", f"part {n % 9}"),
                            price=float(n % 100),
                        ),
                        {"text": (f"t{n}",)},
                    )
                    for n in numbers
                ]
            )
            engine.write_vectors([VectorWrite(f"p{n}", space.key, (f"t{n}",), row[None]) for n, row in zip(numbers, rows, strict=True)])
        engine.refresh(600.0)
        engine.server.transport.request(
            "POST", f"/{engine.server.indices.products}/_forcemerge", params={"max_num_segments": "1"}, timeout=600.0
        )
        took: dict[str, list[float]] = {}
        for number in range(options.queries + WARM_UP):
            query = rng.standard_normal(options.dim).astype(np.float32)
            words = KeywordLeg("bm25", " ".join(rng.choice(WORDS, 3, p=popular)), FIELDS, "2<67%", 100)
            near = VectorLeg("knn", space.key, query / np.linalg.norm(query), 100)
            shapes = {
                "words": SearchPlan((words,)),
                "neighbours": SearchPlan((near,)),
                "both": SearchPlan((words, near)),
                "both, 3 facets": SearchPlan((words, near), facets=FACETS),
            }
            for name in rng.permutation(list(shapes)):
                began = time.perf_counter()
                engine.search(shapes[name])
                if number >= WARM_UP:
                    took.setdefault(name, []).append((time.perf_counter() - began) * 1_000)
        for name, times in sorted(took.items()):
            print(f"{name:16} p50 {np.percentile(times, 50):7.2f} ms   p99 {np.percentile(times, 99):7.2f} ms")
        slower = max(np.median(took["words"]), np.median(took["neighbours"]))
        print(f"both / slower leg: {np.median(took['both']) / slower:.2f}")
    finally:
        remove_all(engine.server.transport, engine.server.indices)
        engine.close()


if __name__ == "__main__":
    main()
