"""Comparisons and the report's two forms."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from hybrid_search.evaluation.metrics import MEASURES
from hybrid_search.evaluation.report import compare, show, summary
from hybrid_search.evaluation.sets import EvaluationSet, Query
from hybrid_search.evaluation.systems import Outcome


def outcome(**ndcg: float) -> Outcome:
    return Outcome(tuple(ndcg), {measure: np.array(list(ndcg.values())) for measure in MEASURES})


def test_only_shared_queries_are_compared_and_a_tenth_is_not_yet_worse() -> None:
    against = compare(outcome(a=0.5, b=0.4, c=0.9, only_mine=0.0), outcome(c=0.2, b=0.5, a=0.7))
    assert against is not None
    assert against.queries == 3
    assert against.difference == pytest.approx((-0.2 - 0.1 + 0.7) / 3)
    assert against.worse == pytest.approx(1 / 3)
    assert -0.2 <= against.low <= against.difference <= against.high <= 0.7


def test_the_summary_has_exactly_the_agreed_members() -> None:
    found = summary({"random": outcome(a=0.0, b=0.1), "bm25": outcome(a=0.5), "image": outcome(b=1.0)})
    members = {"ndcg@10", "recall@100", "mrr", "judged@10", "worse_than_bm25", "queries"}
    assert list(found) == ["systems"]
    assert {name: set(figures) for name, figures in found["systems"].items()} == dict.fromkeys(("random", "bm25", "image"), members)
    assert found["systems"]["random"] == {
        "ndcg@10": 0.05,
        "recall@100": 0.05,
        "mrr": 0.05,
        "judged@10": 0.05,
        "worse_than_bm25": 1.0,
        "queries": 2,
    }
    assert found["systems"]["bm25"]["worse_than_bm25"] == 0.0
    assert found["systems"]["image"]["worse_than_bm25"] is None


def test_the_tables_fit_eighty_columns_and_break_down_by_kind() -> None:
    queries = (Query("a", "mug", None, "en", "label"), Query("b", "杯子", None, "zh", "zh"))
    evaluation = EvaluationSet(Path("sets/mugs"), "dev", (), 0, queries, {})
    systems = {name: outcome(a=0.5, b=0.25) for name in ("random", "bm25", "text", "cross", "hybrid")}
    stream = io.StringIO()
    show(evaluation, systems, Console(file=stream, width=80))
    lines = stream.getvalue().splitlines()
    assert "mugs, dev" in lines[0]
    (row,) = [line for line in lines if line.strip().startswith("hybrid ")]
    assert row.split()[:6] == ["hybrid", "2", "0.375", "0.375", "0.375", "0.375"]
    assert any(line.split()[:4] == ["text", "zh", "zh", "1"] for line in lines)
    assert "…" not in stream.getvalue()
