"""What an evaluation says: one object for machines, tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from hybrid_search.evaluation.bootstrap import interval
from hybrid_search.evaluation.metrics import MEASURES
from hybrid_search.evaluation.sets import EvaluationSet, Query
from hybrid_search.evaluation.systems import Outcome

BASELINE = "bm25"
CLEARLY = 0.1
"""A query is worse than the baseline when its nDCG@10 is lower by more than this."""
HEADLINE = "ndcg@10"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A system against BM25 on the queries both answered. ``low`` and ``high`` bound the mean difference of nDCG@10 at 95 %."""

    queries: int
    difference: float
    low: float
    high: float
    worse: float


def compare(outcome: Outcome, baseline: Outcome) -> Comparison | None:
    """``None`` when they share no query."""
    at = {query_id: i for i, query_id in enumerate(baseline.query_ids)}
    both = [(i, at[query_id]) for i, query_id in enumerate(outcome.query_ids) if query_id in at]
    if not both:
        return None
    mine, theirs = (np.array(positions) for positions in zip(*both, strict=True))
    differences = outcome.values[HEADLINE][mine] - baseline.values[HEADLINE][theirs]
    low, high = interval(differences)
    # Values of equal rankings can differ in the last bit.
    return Comparison(len(both), float(differences.mean()), low, high, float((differences < -CLEARLY - 1e-9).mean()))


def summary(outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """``{"systems": {name: {"ndcg@10", "recall@100", "mrr", "judged@10", "worse_than_bm25", "queries"}}}``.

    Means over the queries that a system was asked; ``worse_than_bm25`` is a share of those that BM25 answered too, null where there are none.
    """
    systems: dict[str, dict[str, float | int | None]] = {}
    for name, outcome in outcomes.items():
        against = compare(outcome, outcomes[BASELINE]) if BASELINE in outcomes else None
        systems[name] = {measure: round(float(outcome.values[measure].mean()), 4) for measure in MEASURES}
        systems[name]["worse_than_bm25"] = None if against is None else round(against.worse, 4)
        systems[name]["queries"] = len(outcome.query_ids)
    return {"systems": systems}


def show(evaluation: EvaluationSet, outcomes: Mapping[str, Outcome], console: Console) -> None:
    """Print the systems, and nDCG@10 by kind of query where there are several. Both tables fit 80 columns."""
    table = Table(
        title=f"{evaluation.folder.resolve().name}, {evaluation.split}: {len(evaluation.products)} products",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
    )
    for heading in ("system", "queries", "nDCG@10", "R@100", "MRR", "judged@10", "against BM25 (95 %)", "worse"):
        table.add_column(heading, justify="left" if heading == "system" else "right", no_wrap=True)
    for name, outcome in outcomes.items():
        means = {measure: f"{outcome.values[measure].mean():.3f}" for measure in MEASURES}
        against = compare(outcome, outcomes[BASELINE]) if BASELINE in outcomes and name != BASELINE else None
        table.add_row(
            name,
            str(len(outcome.query_ids)),
            means["ndcg@10"],
            means["recall@100"],
            means["mrr"],
            means["judged@10"],
            "" if against is None else f"{against.difference:+.3f} ({against.low:+.3f} to {against.high:+.3f})",
            "" if against is None else f"{against.worse:.0%}",
        )
    console.print(table)
    kinds = list(dict.fromkeys(_kind(query) for query in evaluation.queries))
    if len(kinds) > 1:
        console.print(_by_kind(evaluation, outcomes, kinds))


def _kind(query: Query) -> tuple[str, str, str]:
    return query.modality, query.language, query.kind


def _by_kind(evaluation: EvaluationSet, outcomes: Mapping[str, Outcome], kinds: list[tuple[str, str, str]]) -> Table:
    kind_of = {query.id: _kind(query) for query in evaluation.queries}
    table = Table(title="nDCG@10 by kind of query", box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for heading in ("query", "language", "kind"):
        table.add_column(heading)
    for heading in ("queries", *outcomes):
        table.add_column(heading, justify="right")
    for kind in kinds:
        cells = []
        for outcome in outcomes.values():
            mine = [i for i, query_id in enumerate(outcome.query_ids) if kind_of[query_id] == kind]
            cells.append(f"{outcome.values[HEADLINE][mine].mean():.3f}" if mine else "")
        table.add_row(*kind, str(sum(found == kind for found in kind_of.values())), *cells)
    return table
