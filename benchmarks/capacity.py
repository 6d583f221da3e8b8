"""Constants of `hybrid-search plan`, measured on a real OpenSearch, and a prediction from small sizes checked against a larger one.

    python benchmarks/capacity.py [--sizes 1000 4000] [--check 16000] [--out capacity.json]

Products are made up: 120 words drawn from a Zipf vocabulary, ten attribute values, one picture; vectors are random unit vectors. Loading
goes the product's own way (put, then vectors). CPU is that of the server's process, from /proc; searches are BM25 and three kNN legs
by the graph (never exact), two facets and a total. The model is fitted to the small sizes and has to tell the large one.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.engines.opensearch import open_opensearch
from hybrid_search.evaluation.settling import settle
from hybrid_search.planning.constants import Constants
from hybrid_search.planning.model import Shop, product_bytes, search_cpu_ms
from hybrid_search.product import Product
from hybrid_search.search_server import SearchServer, start_node
from hybrid_search.types import FacetRequest, FloatMatrix, KeywordLeg, SearchPlan, Space, VectorLeg, VectorWrite

TEXT, IMAGE, CROSS = 384, 512, 384
SPACES = (
    Space("text", 1, TEXT, "text", "words", {"text": "words"}),
    Space("image", 1, IMAGE, "image", "pictures", {"image": "pictures"}),
    Space("cross", 1, CROSS, "image", "map", {"text": "words"}),
)
BATCH = 250
SEARCHES = 150
VOCABULARY = 20_000


@dataclass(frozen=True)
class Measured:
    products: int
    plain_bytes: int
    bytes: int
    load_cpu_seconds: float
    search_cpu_ms: float
    search_ms: float


def units(rng: np.random.Generator, count: int, dim: int) -> FloatMatrix:
    made = rng.standard_normal((count, dim)).astype(np.float32)
    unit: FloatMatrix = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit


def words(rng: np.random.Generator, count: int) -> str:
    return " ".join(f"w{n}" for n in np.minimum(rng.zipf(1.3, count), VOCABULARY))


def product(rng: np.random.Generator, number: int) -> Product:
    return Product(
        id=f"p{number:07}",
        title=words(rng, 8),
        description=words(rng, 112),
        brand=f"brand{rng.integers(200)}",
        category=("Shop", f"c{rng.integers(20)}", f"d{rng.integers(200)}"),
        attributes={f"a{n}": (f"v{rng.integers(30)}",) for n in range(5)},
        price=float(rng.integers(1, 500)),
        rating=float(rng.integers(1, 6)),
    )


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def store_bytes(engine: ClusterEngine) -> int:
    """Bytes of one segment of living products."""
    settle(engine)
    server, name = engine.server.transport, engine.server.indices.products
    server.request("POST", f"/{name}/_flush", params={"force": "true"}, timeout=900)
    return int(server.request("GET", f"/{name}/_stats/store").body["_all"]["primaries"]["store"]["size_in_bytes"])


def measure(node: SearchServer, count: int) -> Measured:
    rng = np.random.default_rng(count)
    engine = open_opensearch(node.url, prefix=f"capacity-{uuid.uuid4().hex[:8]}", knn_exact_up_to=0, timeout=900.0)
    try:
        begun = cpu_seconds(node.pid)
        for start in range(0, count, BATCH):
            numbers = range(start, min(start + BATCH, count))
            engine.put([ProductWrite(product(rng, n), {"text": (f"t{n}",), "image": (f"i{n}",)}) for n in numbers])
        put_cpu = cpu_seconds(node.pid) - begun
        plain = store_bytes(engine)
        for space in SPACES:
            engine.add_space(space)
        begun = cpu_seconds(node.pid)
        for start in range(0, count, BATCH):
            numbers = range(start, min(start + BATCH, count))
            for space in SPACES:
                rows = units(rng, len(numbers), space.dim)
                part = "t" if space.part == "text" else "i"
                engine.write_vectors(
                    [VectorWrite(f"p{n:07}", space.key, (f"{part}{n}",), row[None]) for n, row in zip(numbers, rows, strict=True)]
                )
        load_cpu = put_cpu + cpu_seconds(node.pid) - begun
        full = store_bytes(engine)
        engine.refresh()
        spent, elapsed = search_cost(node, engine, rng)
        return Measured(count, plain, full, load_cpu, spent * 1_000, elapsed * 1_000)
    finally:
        remove_all(engine.server.transport, engine.server.indices)
        engine.close()


def search_cost(node: SearchServer, engine: ClusterEngine, rng: np.random.Generator) -> tuple[float, float]:
    """CPU seconds of the server and wall seconds of a search, after a warm-up of as many."""
    spent = elapsed = 0.0
    for turn in range(2):
        before, begun = cpu_seconds(node.pid), time.perf_counter()
        for _ in range(SEARCHES):
            legs = tuple(VectorLeg(space.name, space.key, units(rng, 1, space.dim)[0], 200) for space in SPACES)
            bm25 = KeywordLeg("bm25", words(rng, 3), {"title": 0.25, "brand": 0.75, "category": 0.25, "all": 1.0}, "1", 200)
            reply = engine.search(SearchPlan((bm25, *legs), facets=(FacetRequest("brand"), FacetRequest("category"))))
            assert not reply.failed, reply.failed
        if turn:
            spent, elapsed = (cpu_seconds(node.pid) - before) / SEARCHES, (time.perf_counter() - begun) / SEARCHES
    return spent, elapsed


def fitted(found: list[Measured]) -> Constants:
    """The model's constants from the small sizes: means for bytes, a line for searches."""
    shipped = Constants()
    dims, vectors = TEXT + IMAGE + CROSS, 3
    document = float(np.mean([m.plain_bytes / m.products for m in found]))
    vector = float(np.mean([(m.bytes - m.plain_bytes) / m.products for m in found])) - vectors * shipped.graph_bytes
    slope, base = np.polyfit([m.products / 1e6 for m in found], [m.search_cpu_ms for m in found], 1)
    return shipped.replaced(
        {
            "document_bytes": round(document),
            "vector_bytes_per_dim": round(vector / dims, 2),
            "search_base_ms": round(max(float(base), 0.1), 2),
            "search_ms_per_million": round(max(float(slope), 1.0), 1),
            "index_per_core_second": round(float(np.mean([m.products / m.load_cpu_seconds for m in found])), 1),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 4_000])
    parser.add_argument("--check", type=int, default=16_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with start_node("opensearch", heap="2g", fast_start=False) as node:
        measure(node, 500)  # warms the JVM
        found = [measure(node, size) for size in options.sizes]
        for one in found:
            print(one)
        constants = fitted(found)
        shop = Shop(options.check, 1, images=1, text_dim=TEXT, image_dim=IMAGE, cross_dim=CROSS)
        predicted = {
            "index bytes": options.check * product_bytes(shop, constants),
            "search CPU ms": search_cpu_ms(options.check, 1, constants),
            "load CPU s": options.check / constants.index_per_core_second,
        }
        large = measure(node, options.check)
        print(large)
        actual = {"index bytes": large.bytes, "search CPU ms": large.search_cpu_ms, "load CPU s": large.load_cpu_seconds}
    for name, value in predicted.items():
        print(f"{name:>14}: predicted {value:,.1f}, measured {actual[name]:,.1f}: {value / actual[name] - 1:+.1%}")
    measured = {name: getattr(constants, name) for name in Constants.__dataclass_fields__}
    print(json.dumps(measured, indent=2))
    if options.out:
        options.out.write_text(json.dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    main()
