"""Why a product is where it is, in numbers that add up."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_search.query.fuse import Part
from hybrid_search.query.reply import Explain, LegExplain


def explain(fusion: str, parts: Mapping[str, Part]) -> Explain:
    """Each leg's raw score, rank, normalised score, weight and contribution; the contributions add up to the fused score."""
    legs = {
        name: LegExplain(
            raw=round(part.raw, 5),
            rank=part.rank,
            normalised=round(part.normalised, 5),
            weight=round(part.weight, 5),
            contribution=round(part.contribution, 5),
        )
        for name, part in parts.items()
    }
    return Explain(fusion=fusion, legs=legs)
