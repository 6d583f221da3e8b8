"""Hybrid queries over one catalogue on one core: the embedded engine beside LanceDB and Qdrant's local mode.

    python benchmarks/engine_hybrid.py --rows 100000 --queries 40 --json hybrid.json

A query is BM25 over one text field (any word matches) and exact kNN over 512-d vectors, 100 candidates each, both inside one filter
(``price <= 60``, about 60 % of the catalogue). Every system gets the same texts and vectors and gives its candidates' ids; fusing is
left out. Ours also counts all matches, and once more counts three facets. LanceDB scans its vectors (no approximate index) and has a
full-text and a scalar index; Qdrant's local mode gets the texts as sparse vectors with its IDF modifier, term weights as in BM25.

Every round runs the systems forwards, then backwards (ABBA); ours runs under two names (A/A). The process is bound to one core. CPU is
the process's own time, all threads. Recall is that of the vector candidates against float64. Qdrant gets ``--qdrant-queries`` rounds only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import lancedb
import numpy as np
import pyarrow as pa
from qdrant_client import QdrantClient, models

from benchmarks.engine_corpus import SPACES, products, vector_writes, vectors, words, writes
from hybrid_search.engines.analysis import terms
from hybrid_search.engines.embedded.engine import EmbeddedEngine
from hybrid_search.product import Product
from hybrid_search.types import FacetRequest, FloatMatrix, FloatVector, KeywordLeg, Range, SearchPlan, VectorLeg

K = 100
PRICE = 60.0
FACETS = (FacetRequest("brand"), FacetRequest("category"), FacetRequest("attributes.fit"))
Query = tuple[str, FloatVector]
System = Callable[[Query], Sequence[int]]
"""Answers both legs; returns the row numbers of the vector leg."""


def text_of(product: Product) -> str:
    return f"{product.title} {product.description}"


def rss() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmRSS")


def ours(folder: Path, catalogue: Sequence[Product], matrix: FloatMatrix) -> tuple[System, System]:
    space = SPACES[0]
    writer = EmbeddedEngine(folder)
    writer.add_space(space)
    for start in range(0, len(catalogue), 1_000):
        batch = [product.model_copy(update={"title": text_of(product), "description": ""}) for product in catalogue[start : start + 1_000]]
        writer.put(writes(batch))
        writer.write_vectors(vector_writes(batch, space, matrix[start : start + 1_000]))
    writer.refresh(timeout=3_600)
    time.sleep(5)  # merges that are due
    writer.close()
    engine = EmbeddedEngine(folder, index=False)
    engine.refresh()

    def system(facets: tuple[FacetRequest, ...]) -> System:
        def search(query: Query) -> Sequence[int]:
            legs = (KeywordLeg("words", query[0], {"title": 1.0}, "1", K), VectorLeg("near", space.key, query[1], K))
            reply = engine.search(SearchPlan(legs, (Range("price", lte=PRICE),), facets))
            return [int(id_[1:]) for id_ in reply.legs["near"].ids]

        return search

    return system(()), system(FACETS)


def lance(folder: Path, catalogue: Sequence[Product], matrix: FloatMatrix) -> System:
    table = lancedb.connect(folder).create_table(
        "products",
        pa.table(
            {
                "row": pa.array(range(len(catalogue)), pa.int64()),
                "text": [text_of(product) for product in catalogue],
                "price": pa.array([product.price for product in catalogue], pa.float64()),
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel(), pa.float32()), matrix.shape[1]),
            }
        ),
    )
    table.create_fts_index("text", with_position=False)
    table.create_scalar_index("price")
    inside = f"price <= {PRICE}"

    def search(query: Query) -> Sequence[int]:
        table.search(query[0], query_type="fts").where(inside, prefilter=True).select(["row", "_score"]).limit(K).to_arrow()
        nearest: Any = table.search(query[1])  # a vector makes one with distances
        near = nearest.distance_type("dot").where(inside, prefilter=True).select(["row", "_distance"]).limit(K).to_arrow()
        return list(near["row"].to_pylist())

    return search


def qdrant(catalogue: Sequence[Product], matrix: FloatMatrix) -> System:
    client = QdrantClient(":memory:")
    numbers: dict[str, int] = {}
    client.create_collection(
        "products",
        vectors_config={"dense": models.VectorParams(size=matrix.shape[1], distance=models.Distance.DOT)},
        sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    texts = [Counter(terms(text_of(product))) for product in catalogue]
    average = sum(text.total() for text in texts) / len(texts)

    def sparse(text: Counter[str]) -> models.SparseVector:
        norm = 1.2 * (0.25 + 0.75 * text.total() / average)
        indices = [numbers.setdefault(term, len(numbers)) for term in text]
        return models.SparseVector(indices=indices, values=[tf / (tf + norm) for tf in text.values()])

    for start in range(0, len(catalogue), 1_000):
        rows = range(start, min(start + 1_000, len(catalogue)))
        client.upsert(
            "products",
            [
                models.PointStruct(
                    id=row, vector={"dense": matrix[row].tolist(), "words": sparse(texts[row])}, payload={"price": catalogue[row].price}
                )
                for row in rows
            ],
        )
    inside = models.Filter(must=[models.FieldCondition(key="price", range=models.Range(lte=PRICE))])

    def search(query: Query) -> Sequence[int]:
        asked = sorted({numbers[term] for term in terms(query[0]) if term in numbers})
        by_words = models.SparseVector(indices=asked, values=[1.0] * len(asked))
        client.query_points("products", query=by_words, using="words", query_filter=inside, limit=K, with_payload=False)
        near = client.query_points("products", query=query[1].tolist(), using="dense", query_filter=inside, limit=K, with_payload=False)
        return [int(point.id) for point in near.points]

    return search


def measure(known: dict[str, System], queries: Sequence[Query], exact: Sequence[set[int]]) -> dict[str, dict[str, float]]:
    walls: dict[str, list[float]] = {name: [] for name in known}
    cpus: dict[str, list[float]] = {name: [] for name in known}
    recall: dict[str, list[float]] = {name: [] for name in known}
    for name in known:
        known[name](queries[0])
    for query, right in zip(queries, exact, strict=True):
        spent = {name: np.zeros(2) for name in known}
        for name in (*known, *reversed(known)):
            begun = np.array([time.perf_counter(), time.process_time()])
            found = known[name](query)
            spent[name] += (np.array([time.perf_counter(), time.process_time()]) - begun) / 2
            recall[name].append(len(right & set(found)) / len(right))
        for name, (wall, cpu) in spent.items():
            walls[name].append(float(wall))
            cpus[name].append(float(cpu))
    return {
        name: {
            "p50_ms": statistics.median(walls[name]) * 1e3,
            "cpu_ms": statistics.median(cpus[name]) * 1e3,
            "recall": statistics.mean(recall[name]),
            "cpu / ours": statistics.median(a / b for a, b in zip(cpus[name], cpus["ours"], strict=True)),
            "wall / ours": statistics.median(a / b for a, b in zip(walls[name], walls["ours"], strict=True)),
        }
        for name in known
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--qdrant-queries", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1]})
    warnings.simplefilter("ignore")
    catalogue = list(islice(products(arguments.rows), arguments.rows))
    matrix = vectors(arguments.rows, SPACES[0].dim, 1)
    rng = np.random.default_rng(4)
    queries = list(
        zip([" ".join(words(rng, 3)) for _ in range(arguments.queries)], vectors(arguments.queries, SPACES[0].dim, 2), strict=True)
    )
    allowed = np.array([product.price is not None and product.price <= PRICE for product in catalogue])
    wide = matrix.astype(np.float64)
    exact = [set(np.argsort(np.where(allowed, -(wide @ query.astype(np.float64)), 9))[:K].tolist()) for _, query in queries]
    del wide
    with tempfile.TemporaryDirectory() as folder:
        memory, built = {}, {}

        def timed(name: str, build: Callable[[], Any]) -> Any:
            before, begun = rss(), time.perf_counter()
            made = build()
            memory[name], built[name] = (rss() - before) / arguments.rows, time.perf_counter() - begun
            return made

        plain, faceted = timed("ours", lambda: ours(Path(folder) / "ours", catalogue, matrix))
        known: dict[str, System] = {"ours": plain, "ours (again)": plain, "ours with 3 facets": faceted}
        known["lancedb"] = timed("lancedb", lambda: lance(Path(folder) / "lance", catalogue, matrix))
        result: dict[str, Any] = {"rows": arguments.rows, "queries": arguments.queries, "systems": measure(known, queries, exact)}
        if arguments.qdrant_queries:
            few = arguments.qdrant_queries
            local = {"ours": plain, "qdrant local": timed("qdrant local", lambda: qdrant(catalogue, matrix))}
            result["systems"]["qdrant local"] = measure(local, queries[:few], exact[:few])["qdrant local"]
        result |= {"bytes_per_product_rss": memory, "build_s": built}
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
