"""The quality gate on a live index, with figures worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hybrid_search.catalog.images import ImageIntake, ImageLimits
from hybrid_search.control import ControlReader
from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.errors import CatalogError, ConflictError
from hybrid_search.evaluation.live import Quality, check_quality, compare_versions, judged_queries
from hybrid_search.product import Product
from hybrid_search.query.parts import Encoders, SearchParts, SpaceReader
from hybrid_search.types import FloatVector, Space, VectorWrite
from tests.indexing_parts import DIM, CountingText, direction

OLD = Space("text", 1, DIM, "text", "tiny-text", {"text": "tiny-text"})
NEW = Space("text", 2, DIM, "text", "other-text", {"text": "tiny-text"})


def beside(text: str, cosine: float) -> FloatVector:
    """``(DIM,)`` at this cosine of the query ``text``."""
    to, aside = direction(text)[0], direction(f"aside {text}")[0]
    aside = aside - (aside @ to) * to
    return np.asarray(cosine * to + math.sqrt(1 - cosine**2) * aside / np.linalg.norm(aside), dtype=np.float32)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[SearchParts]:
    """Two queries; the old version puts the right product first, the new one first for ``one`` and third for ``two``."""
    engine = EmbeddedEngine(tmp_path / "home")
    for space in (OLD, NEW):
        engine.add_space(space)
    names = [f"{query}{place}" for query in ("one", "two") for place in range(3)]
    engine.put([ProductWrite(Product(id=name, title="thing"), {"text": (name,)}) for name in names])
    old = {"one": (0.9, 0.8, 0.7), "two": (0.9, 0.8, 0.7)}
    new = {"one": (0.9, 0.8, 0.7), "two": (0.7, 0.8, 0.9)}
    for space, cosines in ((OLD, old), (NEW, new)):
        engine.write_vectors(
            [VectorWrite(f"{q}{i}", space.key, (f"{q}{i}",), beside(q, c)[None]) for q, of in cosines.items() for i, c in enumerate(of)]
        )
    engine.write_control({"weights": {"text": 1.0}}, expected_version=0)
    engine.refresh()
    encoders = Encoders({"tiny-text": CountingText()}, {})
    yield SearchParts(engine, ControlReader(engine), SpaceReader(engine), encoders, ImageIntake(ImageLimits()), b"secret")
    engine.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "queries.live.jsonl").write_text(
        '{"query_id": "a", "text": "one"}\n{"query_id": "b", "text": "two"}\n{"query_id": "c", "text": "x"}\n'
    )
    (tmp_path / "qrels.live.tsv").write_text("a\tone0\t3\nb\ttwo0\t3\n")
    return tmp_path


def test_both_versions_are_asked_on_the_live_index(parts: SearchParts, folder: Path) -> None:
    asked: list[int] = []
    found = compare_versions(parts, OLD, NEW, *judged_queries(folder, "live"), on_progress=asked.append)
    third = 1 / math.log2(4)  # the right product is third for one of two queries
    assert (found.queries, asked) == (2, [1, 2, 3, 4]), "what nobody judged is not asked"
    assert (found.old, found.new) == pytest.approx((1.0, (1.0 + third) / 2))
    assert found.low == pytest.approx(third - 1) and found.high == pytest.approx(0.0)
    back = compare_versions(parts, NEW, OLD, *judged_queries(folder / "queries.live.jsonl", None))
    assert (back.old, back.new) == pytest.approx((found.new, found.old))
    assert parts.spaces.active({})["text"].key == "text_2", "asking pins nothing"


@pytest.mark.parametrize(
    ("new", "tolerance", "passes"), [(0.69, 0.01, True), (0.6899, 0.01, False), (0.7, 0.0, True), (0.6999, 0.0, False), (0.9, 0, True)]
)
def test_the_gate_allows_a_fall_within_the_tolerance(new: float, tolerance: float, passes: bool) -> None:
    found = Quality(80, 0.7, new, -0.1, 0.1)
    if passes:
        check_quality(found, tolerance=tolerance)
    else:
        with pytest.raises(ConflictError, match=rf"falls from 0.7000 to {new:.4f} on 80 judged queries"):
            check_quality(found, tolerance=tolerance)


def test_a_comparison_without_a_leg_is_refused(parts: SearchParts, folder: Path) -> None:
    lame = Space("text", 3, DIM, "text", "gone", {"text": "gone"})
    parts.engine.add_space(lame)
    with pytest.raises(CatalogError, match="Query a: text: No text encoder 'gone' here"):
        compare_versions(parts, OLD, lame, *judged_queries(folder, "live"))


def test_judged_queries_are_a_file_with_its_judgements_or_a_folder_with_a_split(folder: Path) -> None:
    with pytest.raises(CatalogError, match="say which split. Add --split NAME; there: live"):
        judged_queries(folder, None)
    with pytest.raises(CatalogError, match="is no file of judged queries"):
        judged_queries(folder / "qrels.live.tsv", None)
    with pytest.raises(CatalogError, match=r"qrels\.other\.tsv|queries\.other\.jsonl"):
        judged_queries(folder, "other")
