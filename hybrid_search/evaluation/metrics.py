"""Measures of a ranking against judgements, computed by ``ir-measures``, per query.

nDCG@10 with gain = grade and discount log2(rank + 1); recall@100 counts grades of 2 and more; MRR is 1 / rank of the first product
of grade 1 or more; judged@10 is the share of the first ten hits that somebody judged. A product without a judgement counts as wrong;
a query without hits, or without anything relevant, scores 0 and stays in the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hybrid_search.errors import SettingsError

MEASURES: tuple[str, ...] = ("ndcg@10", "recall@100", "mrr", "judged@10")
DEPTH = 100
"""Hits per query that are looked at: recall needs them, MRR stops there too."""

Run = Mapping[str, Sequence[str]]
"""Product ids best first, by query id."""
PerQuery = Mapping[str, npt.NDArray[np.float64]]
"""Values by measure, one per query, in the order of the queries that were asked for."""

_NAMES = {"ndcg@10": "nDCG@10", "recall@100": "R(rel=2)@100", "mrr": f"RR@{DEPTH}", "judged@10": "Judged@10"}


def per_query(run: Run, qrels: Mapping[str, Mapping[str, int]], query_ids: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
    """Each measure's value for each of ``query_ids``, ``(n,)`` float64.

    Raises ``SettingsError`` when ``ir-measures`` is not installed.
    """
    try:
        import ir_measures
    except ImportError as err:
        raise SettingsError(
            "ir-measures is not installed, which computes the measures.", field="evaluate", remedy="pip install 'hybrid-search[evaluate]'"
        ) from err
    measures = {ir_measures.parse_measure(spelling): name for name, spelling in _NAMES.items()}
    at = {query_id: i for i, query_id in enumerate(query_ids)}
    values = {name: np.zeros(len(query_ids)) for name in MEASURES}
    judged = {q: dict(qrels[q]) for q in query_ids if qrels.get(q)}
    # trec_eval sorts by score and breaks ties in its own way: falling whole numbers keep the order that the system gave.
    scored = {q: {p: float(DEPTH - i) for i, p in enumerate(run[q][:DEPTH])} for q in query_ids if run.get(q)}
    for metric in ir_measures.iter_calc(list(measures), judged, scored):
        if metric.query_id in at:
            values[measures[metric.measure]][at[metric.query_id]] = metric.value
    return values
