"""Exact kNN on one core, side by side: ours (float32, float16) against numpy and faiss on the same vectors.

    python benchmarks/engine_knn.py --rows 100000 --dim 512 --json knn.json

Every round runs all systems forwards and then backwards (ABBA), our float32 twice under two names (A/A: how much of a ratio is
noise). Times are the thread's CPU milliseconds, medians over rounds (wall time beside it); ratios are medians of the rounds' ratios.
Recall is against float64 over the float32 vectors.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import faiss
import numpy as np

from benchmarks.engine_corpus import vectors
from hybrid_search.engines.embedded.matrix import Matrix, next_matrix
from hybrid_search.engines.embedded.vector_files import SpaceFiles, VectorAppender, VectorDtype
from hybrid_search.types import FloatMatrix, FloatVector

K = 100
System = Callable[[FloatVector], np.ndarray[Any, Any]]


def ours(folder: Path, matrix: FloatMatrix, dtype: VectorDtype) -> Matrix:
    appender = VectorAppender(folder, SpaceFiles(f"bench-{dtype}", 1, matrix.shape[1], dtype))
    for start in range(0, len(matrix), 4_096):
        part = matrix[start : start + 4_096]
        appender.add(np.arange(start, start + len(part), dtype=np.int32), part)
    files = appender.flush()
    appender.close()
    return next_matrix(folder, files, None)


def systems(folder: Path, matrix: FloatMatrix) -> dict[str, System]:
    flat = faiss.IndexFlatIP(matrix.shape[1])
    flat.add(matrix)
    half = faiss.IndexScalarQuantizer(matrix.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    half.train(matrix[:10])
    half.add(matrix)
    full, small = ours(folder, matrix, "float32"), ours(folder, matrix, "float16")

    def best(found: Matrix) -> System:
        def search(query: FloatVector) -> np.ndarray[Any, Any]:
            slots, scores = found.search(query, K, None)
            return slots[np.lexsort((slots, -scores))[:K]]

        return search

    def plain(query: FloatVector) -> np.ndarray[Any, Any]:
        scores = matrix @ query
        top = np.argpartition(scores, len(scores) - K)[-K:]
        return top[np.argsort(-scores[top])]

    return {
        "ours float32": best(full),
        "ours float32 (again)": best(full),
        "ours float16": best(small),
        "numpy float32": plain,
        "faiss flat float32": lambda query: flat.search(query[None], K)[1][0],
        "faiss float16": lambda query: half.search(query[None], K)[1][0],
    }


def run(rows: int, dim: int, rounds: int) -> dict[str, Any]:
    faiss.omp_set_num_threads(1)
    matrix = vectors(rows, dim, seed=1)
    queries = vectors(rounds, dim, seed=2)
    with tempfile.TemporaryDirectory() as folder:
        known = systems(Path(folder), matrix)
        times: dict[str, list[float]] = {name: [] for name in known}
        walls: dict[str, list[float]] = {name: [] for name in known}
        recall: dict[str, list[float]] = {name: [] for name in known}
        for query in queries:
            exact = set(np.argsort(-(matrix.astype(np.float64) @ query.astype(np.float64)))[:K].tolist())
            spent = dict.fromkeys(known, 0.0)
            for name in (*known, *reversed(known)):
                wall, begun = time.perf_counter(), time.thread_time()
                found = known[name](query)
                spent[name] += (time.thread_time() - begun) / 2
                walls[name].append(time.perf_counter() - wall)
                recall[name].append(len(exact & set(found.tolist())) / K)
            for name, seconds in spent.items():
                times[name].append(seconds)

    def ratio(over: str, under: str) -> float:
        return statistics.median(a / b for a, b in zip(times[over], times[under], strict=True))

    best = min(("numpy float32", "faiss flat float32"), key=lambda name: statistics.median(times[name]))
    return {
        "rows": rows,
        "dim": dim,
        "cpu_ms": {name: statistics.median(values) * 1e3 for name, values in times.items()},
        "wall_ms": {name: statistics.median(values) * 1e3 for name, values in walls.items()},
        "recall": {name: statistics.mean(values) for name, values in recall.items()},
        "ours float32 / best of numpy and faiss": ratio("ours float32", best),
        "ours float32 / ours float16": ratio("ours float32", "ours float16"),
        "best float32 / ours float16": ratio(best, "ours float16"),
        "A/A": ratio("ours float32", "ours float32 (again)"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = run(arguments.rows, arguments.dim, arguments.rounds)
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
