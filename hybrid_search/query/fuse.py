"""Several legs, one ranking. Fusion methods are plain functions in ``METHODS``; a new one is a function and a line there.

A method turns one leg's hits into normalised values in [0, 1]; the fused score of a product is the sum over legs of
``weight × normalised``, where weights are shares (they add up to 1 over the legs that were asked) and a leg that did not return a
product adds 0. Products are ordered by fused score, ties by id ascending. Inputs are never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hybrid_search.errors import QueryError
from hybrid_search.types import FloatVector, LegHits

FLAT = 0.5
"""What a min-max list without any spread is worth: neither the top that a lone hit would get, nor nothing."""

LOWEST: Mapping[str, float] = {"bm25": 0.0}
"""The lowest raw score that a leg can give, where it says something: 0 for BM25. A cosine's −1 does not: no picture or text is near it."""

RANK_CONSTANT = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke, Büttcher: SIGIR 2009), also OpenSearch's ``rank_constant``."""

Normaliser = Callable[[FloatVector, float | None], FloatVector]
"""``(scores, lowest) -> normalised``: ``(k,)`` float32, best first, and the leg's lowest possible score, ``None`` where it has none."""


def min_max(scores: FloatVector, lowest: float | None) -> FloatVector:
    """``(s - low) / (max - low)`` over the leg's own candidates.

    ``low`` is the lowest score possible where the leg has one (theoretical min-max of Bruch, Gai, Ingber: TOIS 2023), so that the
    last keyword match still counts for more than no match; else the lowest of the candidates, and then a lone hit and a flat list
    get ``FLAT``.
    """
    if len(scores) == 0:
        return scores.copy()
    low, high = float(scores.min()) if lowest is None else lowest, float(scores.max())
    if high - low <= 1e-6 * max(1.0, abs(high)):
        return np.full(len(scores), FLAT, dtype=np.float32)
    return ((scores - low) / (high - low)).astype(np.float32)


def rrf(scores: FloatVector, lowest: float | None) -> FloatVector:
    """Reciprocal rank, ``(60 + 1) / (60 + rank)`` with ranks from 1: the usual ``1 / (60 + rank)`` scaled so that the first is 1. Raw scores are not used."""
    ranks = np.arange(1, len(scores) + 1, dtype=np.float32)
    return ((RANK_CONSTANT + 1) / (RANK_CONSTANT + ranks)).astype(np.float32)


METHODS: dict[str, Normaliser] = {"min_max": min_max, "rrf": rrf}
"""By the name used in requests and in the control document."""


@dataclass(frozen=True, slots=True)
class Part:
    """One leg's part in one fused product; ``rank`` counts from 1."""

    raw: float
    rank: int
    normalised: float
    weight: float

    @property
    def contribution(self) -> float:
        return self.weight * self.normalised


@dataclass(frozen=True, slots=True)
class Fused:
    """The ranking: ``ids`` best first with their fused ``scores``, and what is needed to explain any of them."""

    ids: tuple[str, ...]
    scores: tuple[float, ...]
    method: str
    weights: Mapping[str, float]
    legs: Mapping[str, LegHits]

    def parts(self) -> dict[str, dict[str, Part]]:
        """By product, each leg's part in its score; a leg that did not return a product is left out."""
        parts: dict[str, dict[str, Part]] = {product_id: {} for product_id in self.ids}
        for name, hits in self.legs.items():
            normalised = METHODS[self.method](hits.scores, LOWEST.get(name)).tolist()
            for at, (product_id, raw) in enumerate(zip(hits.ids, hits.scores.tolist(), strict=True)):
                parts[product_id][name] = Part(raw, at + 1, normalised[at], self.weights[name])
        return parts


def shares(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights scaled to a sum of 1; legs at 0 are left out. Equal shares when every weight is 0 would be a guess: that is an error."""
    total = sum(weights.values())
    if total <= 0:
        raise QueryError(
            "The weights of all legs that could answer are 0.",
            field="weights",
            value=dict(weights),
            remedy="Give at least one of them a weight above 0.",
        )
    return {name: weight / total for name, weight in weights.items() if weight > 0}


def fuse(legs: Mapping[str, LegHits], weights: Mapping[str, float], *, method: str) -> Fused:
    """Join the legs' candidates into one ranking.

    Args:
        legs: hits by leg name; a leg that failed is missing or empty.
        weights: share of each leg that was asked (``shares``); a leg missing from ``legs`` keeps its share, so that scores stay comparable.
        method: a key of ``METHODS``.
    """
    if method not in METHODS:
        raise QueryError(f"Unknown fusion {method!r}.", field="fusion", value=method, remedy=f"Use one of: {', '.join(METHODS)}.")
    normalise = METHODS[method]
    totals: dict[str, float] = {}
    for name in sorted(legs):  # a fixed order of additions: the sum does not depend on the order of the legs
        weight = weights.get(name, 0.0)
        for product_id, value in zip(legs[name].ids, normalise(legs[name].scores, LOWEST.get(name)).tolist(), strict=True):
            totals[product_id] = totals.get(product_id, 0.0) + weight * value
    ranking = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    return Fused(tuple(i for i, _ in ranking), tuple(s for _, s in ranking), method, dict(weights), dict(legs))
