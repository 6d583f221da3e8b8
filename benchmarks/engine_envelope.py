"""Memory of the embedded engine's serving and indexing processes together, time to build and to rebuild, lag of a write.

    python benchmarks/engine_envelope.py 100000 250000 --json envelope.json

Each catalogue has one picture a product: 512-d text vectors, 1280-d picture vectors and 512-d picture vectors in the text space,
float16. Memory is the proportional set size (PSS): private pages and a share of the pages that both processes map. It is read while
the serving process answers hybrid queries over all spaces, that is with all vectors in memory.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.engine_corpus import SPACES, products, vector_writes, vectors, words, writes
from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.embedded.engine import EmbeddedEngine
from hybrid_search.product import Product
from hybrid_search.types import AllLeg, FacetRequest, KeywordLeg, Range, SearchPlan, VectorLeg

BATCH = 1_000
QUERIES = 60
FIELDS = {"title": 0.5, "brand": 1.0, "category": 0.25, "all": 1.0}


def pss(pid: int) -> int:
    """Proportional set size of a process in bytes (Linux)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no Pss of process {pid}")


def child(role: str, home: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, __file__, "--role", role, "--home", str(home)], stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def ask(process: subprocess.Popen[str], line: str) -> dict[str, Any]:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return dict(json.loads(process.stdout.readline()))


def serve(role: str, home: Path) -> None:
    """A child: opens the engine, then answers each line of its input with one line of JSON."""
    engine = EmbeddedEngine(home, index=role == "indexer")
    print("up", flush=True)
    for line in sys.stdin:
        if line.strip() == "query":
            print(json.dumps(query(engine)), flush=True)
        elif line.strip() == "stop":
            engine.close()
            return


def query(engine: EmbeddedEngine) -> dict[str, Any]:
    """p50 and p95 in milliseconds of hybrid queries with a filter and three facets, one after the other."""
    rng = np.random.default_rng(1)
    facets = (FacetRequest("brand"), FacetRequest("category"), FacetRequest("attributes.fit"))
    times = []
    for _ in range(QUERIES):
        legs = [VectorLeg(space.name, space.key, vectors(1, space.dim, int(rng.integers(1 << 30)))[0], 200) for space in SPACES]
        plan = SearchPlan((KeywordLeg("bm25", " ".join(words(rng, 3)), FIELDS, "2<67%", 200), *legs), (Range("price", lte=60),), facets)
        begun = time.perf_counter()
        engine.search(plan)
        times.append((time.perf_counter() - begun) * 1e3)
    return {"p50_ms": statistics.median(times), "p95_ms": sorted(times)[int(len(times) * 0.95)]}


def fill(engine: EmbeddedEngine, count: int) -> float:
    """Write the catalogue; returns seconds."""
    begun = time.perf_counter()
    stream = products(count)
    for number in range(0, count, BATCH):
        batch = list(islice(stream, BATCH))
        engine.put(writes(batch))
        for space in SPACES:
            engine.write_vectors(vector_writes(batch, space, vectors(len(batch), space.dim, number)))
    return time.perf_counter() - begun


def lags(engine: EmbeddedEngine, count: int) -> list[float]:
    """Seconds from an acknowledged write of one product until this process finds it."""
    found = []
    for number in range(20):
        product = Product(id=f"p{number * 97 % count:07}", title=f"fresh{number} thing", price=1.0)
        engine.put([ProductWrite(product, {})])
        begun = time.perf_counter()
        engine.refresh()
        found.append(time.perf_counter() - begun)
    return found


def measure(count: int) -> dict[str, Any]:
    home = Path(tempfile.mkdtemp(prefix="envelope-"))
    writer = EmbeddedEngine(home, index=False)
    try:
        for space in SPACES:
            writer.add_space(space)
        indexer = child("indexer", home)
        written = fill(writer, count)
        begun = time.perf_counter()
        writer.refresh(timeout=3_600)
        rest = time.perf_counter() - begun
        api = child("api", home)
        speed = ask(api, "query")
        result: dict[str, Any] = {
            "products": count,
            "write_s": written,
            "index_rest_s": rest,
            "hybrid": speed,
            "pss_api_mb": pss(api.pid) / 1e6,
            "pss_indexer_mb": pss(indexer.pid) / 1e6,
            "store_mb": sum(f.stat().st_size for f in home.glob("store.sqlite*")) / 1e6,
            "derived_mb": sum(f.stat().st_size for f in (home / "derived").iterdir()) / 1e6,
        }
        result["bytes_per_product"] = (result["pss_api_mb"] + result["pss_indexer_mb"]) * 1e6 / count
        late = sorted(lags(writer, count))
        result |= {"lag_p50_s": statistics.median(late), "lag_max_s": late[-1]}
        for process in (api, indexer):
            process.kill()
            process.wait()
        shutil.rmtree(home / "derived")
        begun = time.perf_counter()
        indexer = child("indexer", home)
        fresh = EmbeddedEngine(home, index=False)
        fresh.refresh(timeout=3_600)
        result["rebuild_s"] = time.perf_counter() - begun
        assert fresh.search(SearchPlan((AllLeg("all", 1),))).total == count
        result["pss_indexer_after_rebuild_mb"] = pss(indexer.pid) / 1e6
        peak = Path(f"/proc/{indexer.pid}/status").read_text().split("VmHWM:")[1].split()[0]
        result["rss_peak_indexer_mb"] = int(peak) * 1024 / 1e6
        indexer.kill()
        indexer.wait()
        fresh.close()
        return result
    finally:
        writer.close()
        shutil.rmtree(home)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", type=int, nargs="*", default=[100_000, 250_000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--role")
    parser.add_argument("--home", type=Path)
    arguments = parser.parse_args()
    if arguments.role:
        serve(arguments.role, arguments.home)
        return
    results = []
    for count in arguments.counts:
        results.append(measure(count))
        print(json.dumps(results[-1], indent=1), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
