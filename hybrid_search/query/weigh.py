"""How much each leg counts for this query: the control document's weights, what the request overrides, and one rule on the query's length."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_search.control import Control
from hybrid_search.query.understand import Understood


def weigh(understood: Understood, control: Control, overrides: Mapping[str, float] | None) -> dict[str, float]:
    """Weight by leg name, before shares.

    One or two words name a thing, and keywords find it; a phrase describes one, and vectors understand it: the text leg's weight is
    multiplied by ``control.text_factor_by_words``. A text without spaces between words (Han) counts as a phrase. What a request sets
    itself is left as it is. Measured in docs/evaluation.md.
    """
    weights = {**control.weights, "text": control.weights.get("text", 0.0) * text_factor(understood, control.text_factor_by_words)}
    return {**weights, **(overrides or {})}


def text_factor(understood: Understood, by_words: tuple[float, ...]) -> float:
    """The factor for the number of words; the last one goes for all longer queries, 1 where there is none."""
    words = len(understood.text.split())
    if not by_words or not words:
        return 1.0
    return by_words[-1] if understood.language == "zh" else by_words[min(words, len(by_words)) - 1]
