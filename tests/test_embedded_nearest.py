"""Exact kNN from quantised codes: the sieve must never lose a neighbour, however the vectors are spread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_search.engines.embedded.matrix import Matrix, next_matrix
from hybrid_search.engines.embedded.nearest import nearest
from hybrid_search.engines.embedded.vector_files import Rows, SpaceFiles, VectorAppender, VectorDtype, quantise
from hybrid_search.types import FloatMatrix, FloatVector

DIM = 48


def unit(rows: FloatMatrix) -> FloatMatrix:
    made: FloatMatrix = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return made


def spread(kind: str, rng: np.random.Generator, count: int) -> FloatMatrix:
    """Vectors of the given kind; codes lose most where a few values are large, and matter most where rows are close together."""
    if kind == "even":
        rows = rng.standard_normal((count, DIM))
    elif kind == "heavy tails":
        rows = rng.standard_t(1.1, (count, DIM))
    else:
        centre = rng.standard_t(1.1, DIM)
        rows = centre + np.abs(centre).max() * 2e-2 * rng.standard_normal((count, DIM))
    return unit(rows.astype(np.float32))


def half_rows(vectors: FloatMatrix) -> Rows:
    stored = vectors.astype(np.float16)
    return Rows(stored, np.arange(len(vectors), dtype=np.int32), quantise(stored.astype(np.float32)))


@pytest.mark.parametrize("kind", ["even", "heavy tails", "close together"])
@settings(deadline=None)
@given(seed=st.integers(0, 10_000), k=st.sampled_from([1, 10, 100]), share=st.sampled_from([1.0, 0.5, 0.02]))
def test_no_neighbour_is_lost(kind: str, seed: int, k: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = spread(kind, rng, 400)
    rows = half_rows(vectors)
    query = unit(vectors[0] + 0.05 * rng.standard_normal(DIM).astype(np.float32))
    alive = rng.random(len(vectors)) < share
    found, scores = nearest(rows, alive, query, k, distinct=True)
    exact = rows.vectors.astype(np.float64) @ query.astype(np.float64)
    assert alive[found].all()
    assert scores == pytest.approx(np.clip(exact[found], -1, 1), abs=1e-5)
    left = np.setdiff1d(np.flatnonzero(alive), found)
    if len(left):
        assert len(found) >= k
        assert exact[left].max() <= np.sort(exact[found])[-k] + 1e-6


def test_rounding_that_turns_the_order_round_loses_nothing() -> None:
    """Codes of ``better`` are all rounded down, half of those of ``worse`` up: the codes alone would choose ``worse``."""
    better, worse = np.full(DIM, 50.4), np.where(np.arange(DIM) % 2, 50.1, 50.6)
    better[0] = worse[0] = 127
    rows = half_rows(unit(np.stack([better, worse]).astype(np.float32)))
    query = unit(np.ones(DIM, dtype=np.float32))
    exact = rows.vectors.astype(np.float64) @ query.astype(np.float64)
    assert rows.coded is not None
    by_codes = rows.coded.steps * (rows.coded.codes.astype(np.float64) @ query)
    assert (int(exact.argmax()), int(by_codes.argmax())) == (0, 1)
    assert 0 in nearest(rows, None, query, 1, distinct=True)[0]


def test_rounding_of_the_query_loses_nothing_either() -> None:
    """Rows that codes hold exactly; the query's values are rounded down where ``better`` looks, half of them up where ``worse`` looks."""
    values = np.zeros(DIM)
    values[:33] = [127, *[50.4] * 16, *[50.6, 50.1] * 8]
    rows = half_rows(
        unit(np.stack([np.r_[0, np.ones(16), np.zeros(31)], np.r_[np.zeros(17), np.ones(16), np.zeros(15)]]).astype(np.float32))
    )
    query = unit(values.astype(np.float32))
    exact = rows.vectors.astype(np.float64) @ query.astype(np.float64)
    by_codes = rows.vectors.astype(np.float64) @ quantise(query[None]).codes[0].astype(np.float64)
    assert (int(exact.argmax()), int(by_codes.argmax())) == (0, 1)
    assert 0 in nearest(rows, None, query, 1, distinct=True)[0]


@settings(deadline=None)
@given(seed=st.integers(0, 1_000))
def test_codes_are_off_by_what_they_say(seed: int) -> None:
    vectors = spread("heavy tails", np.random.default_rng(seed), 50)
    made = quantise(vectors)
    lost = np.linalg.norm(vectors - made.codes.astype(np.float32) * made.steps[:, None], axis=1)
    assert made.lost == pytest.approx(lost, abs=1e-5)
    assert np.abs(made.codes).max(axis=1).tolist() == [127] * 50


def test_equal_vectors_get_equal_scores_wherever_they_stand() -> None:
    vectors = spread("even", np.random.default_rng(0), 37)
    vectors[[3, 20, 36]] = vectors[11]
    rows = half_rows(vectors)
    scores = dict(zip(*nearest(rows, None, vectors[11], 37, distinct=True), strict=True))
    assert scores[3] == scores[11] == scores[20] == scores[36]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_beyond_the_manifest_are_invisible_and_overwritten(tmp_path: Path, dtype: VectorDtype) -> None:
    vectors = spread("even", np.random.default_rng(0), 30)
    files = append(tmp_path, SpaceFiles("v", 1, DIM, dtype), vectors[:10])
    append(tmp_path, files, vectors[10:20])  # an indexer that died before its manifest
    assert matches(next_matrix(tmp_path, files, None), vectors[15]) == set(range(10))
    again = append(tmp_path, files, vectors[20:30])
    after = next_matrix(tmp_path, again, None)
    assert (after.files.rows, matches(after, vectors[25])) == (20, set(range(20)))
    slots, scores = after.search(vectors[25], 1, None)
    assert (slots.tolist(), scores.tolist()) == ([15], pytest.approx([1.0], abs=1e-3))


def append(folder: Path, files: SpaceFiles, vectors: FloatMatrix) -> SpaceFiles:
    appender = VectorAppender(folder, files)
    appender.add(np.arange(files.rows, files.rows + len(vectors), dtype=np.int32), vectors)
    made = appender.flush()
    appender.close()
    return made


def matches(matrix: Matrix, query: FloatVector) -> set[int]:
    return set(matrix.search(query, 100, None)[0].tolist())
