"""Puts pictures among words: a linear map from an image model's space into a text model's, learnt from a catalogue's own pairs.

Ridge regression in closed form on centred features (Hoerl and Kennedy, 1970), its strength chosen by cross-validation over groups of
variants. Six maps are kept: one fitted on all pairs, and one for each of five folds of groups fitted without that fold, so that the vector
of a product can come from a map that never saw its own words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid_search.encoders.arrays import normalised
from hybrid_search.encoders.base import TextEncoder
from hybrid_search.errors import EncoderError
from hybrid_search.types import FloatMatrix

FOLDS = 5
ALPHAS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Strengths that cross-validation tries; features have length one, so a strength counts in pictures."""
MIN_PAIRS = 20
MAX_PAIRS = 20_000
"""More pairs are sampled down to these: the map has far fewer degrees of freedom, and memory stays bounded."""
RECALL_AT = 10
VIEW_CHARACTERS = 400
_SCORED_TEXTS = 2_000

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class AlignmentMap:
    """The maps and what is known of them. Row 0 of each array is the map fitted on all pairs, row ``1 + f`` the one without fold ``f``.

    ``centers`` ``(6, features)`` are the mean features, ``matrices`` ``(6, features, dim)`` the maps, and ``directions`` ``(6, dim)`` the unit
    mean of the texts. ``recall`` is the cross-validated share of texts that find a picture of their own group among the first 10,
    ``mrr`` the mean reciprocal rank of that picture.
    """

    image_model: str
    text_model: str
    alpha: float
    pairs: int
    recall: float
    mrr: float
    created: datetime
    centers: FloatMatrix
    matrices: npt.NDArray[np.float32]
    directions: FloatMatrix

    @property
    def feature_dim(self) -> int:
        return int(self.matrices.shape[1])

    @property
    def dim(self) -> int:
        return int(self.matrices.shape[2])

    def project(self, features: FloatMatrix) -> FloatMatrix:
        """Image features ``(n, feature_dim)`` as vectors of the text space ``(n, dim)``, by the map fitted on all pairs."""
        return self._project(0, features)

    def project_out_of_fold(self, features: FloatMatrix, groups: Sequence[str]) -> FloatMatrix:
        """As ``project``, each row by the map fitted without its group. A product without variants is its own group: give its id."""
        folds = np.array([fold_of(group) for group in groups], dtype=int)
        out = np.zeros((len(features), self.dim), dtype=np.float32)
        for fold in np.unique(folds):
            out[folds == fold] = self._project(1 + int(fold), features[folds == fold])
        return out

    def _project(self, row: int, features: FloatMatrix) -> FloatMatrix:
        if features.ndim != 2 or features.shape[1] != self.feature_dim:
            raise EncoderError(
                f"The alignment expects features of {self.feature_dim} numbers from {self.image_model!r}, got the shape {features.shape}.",
                value=features.shape,
                remedy="Fit a new alignment for this image model.",
            )
        vectors = (features - self.centers[row]) @ self.matrices[row]
        # What all texts have in common separates nothing, yet it would favour some pictures in every search.
        direction = self.directions[row]
        return normalised(vectors - np.outer(vectors @ direction, direction))


def fold_of(group: str) -> int:
    """The fold of a group: its MD5 as a number modulo 5. ``hash`` would differ from run to run."""
    return int(hashlib.md5(group.encode(), usedforsecurity=False).hexdigest(), 16) % FOLDS


def pair_text(body: Mapping[str, Any]) -> str:
    """What a product's picture shows, in words (``body`` as ``Product.body()`` gives it): title, category and colour."""
    return _joined(body.get("title", ""), *body.get("category", ()), body.get("color", ""))


def pair_texts(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The same in up to three views, as shoppers may ask for it: by name, by kind and colour, by description. Empty ones are left out."""
    kind = _joined(*body.get("category", ()), body.get("color", ""))
    views = (body.get("title", ""), kind, body.get("description", "")[:VIEW_CHARACTERS])
    return tuple(view for view in views if view)


def pair_targets(bodies: Sequence[Mapping[str, Any]], encoder: TextEncoder) -> FloatMatrix:
    """Where the pictures of these products belong in the text space: the mean of their views, ``(n, dim)``; zeros where there is no text.

    The mean of several short views leads to a better map than one longer text (measured in ``docs/encoders.md``).
    """
    views = [pair_texts(body) for body in bodies]
    vectors = encoder.encode_documents([text for texts in views for text in texts])
    targets = np.zeros((len(bodies), encoder.card.dim), dtype=np.float32)
    owners = np.repeat(np.arange(len(bodies)), [len(texts) for texts in views])
    np.add.at(targets, owners, vectors)
    return normalised(targets)


def fit(
    features: FloatMatrix,
    texts: FloatMatrix,
    groups: Sequence[str],
    *,
    image_model: str,
    text_model: str,
    alpha: float | None = None,
) -> AlignmentMap:
    """Learns the map from pairs: ``features`` ``(n, feature_dim)`` of pictures, ``texts`` ``(n, dim)`` of their words, rows L2-normalised.

    ``groups`` names the variants that belong together (a product without variants: its id). Pairs whose text is all zero are ignored.
    Without ``alpha`` the strongest one is taken whose cross-validated MRR lies within one standard error of the best (Breiman et al., 1984).
    Raises ``EncoderError`` when there are fewer than 20 pairs, or all
    of them fall into one fold.
    """
    keep = _sample(texts, groups)
    folds = np.array([fold_of(groups[i]) for i in keep], dtype=int)
    if len(keep) < MIN_PAIRS or len(np.unique(folds)) < 2:
        raise EncoderError(
            f"{len(keep)} pairs of picture and words in {len(np.unique(folds))} folds are too few for an alignment.",
            value=len(keep),
            remedy=f"Give at least {MIN_PAIRS} products with a picture and a text.",
        )
    x, y, names = features[keep], texts[keep], [groups[i] for i in keep]
    solvers = [_Ridge(x[folds != f], y[folds != f]) for f in range(FOLDS)]
    scores = {a: _cross_validate(solvers, a, x, y, folds, names) for a in ((alpha,) if alpha is not None else ALPHAS)}
    leader = max(scores.values(), key=lambda s: s.mrr)
    best = max(a for a, score in scores.items() if score.mrr >= leader.mrr - leader.standard_error)
    maps = [_Ridge(x, y), *solvers]
    return AlignmentMap(
        image_model=image_model,
        text_model=text_model,
        alpha=best,
        pairs=len(keep),
        recall=scores[best].recall,
        mrr=scores[best].mrr,
        created=datetime.now(UTC),
        centers=np.stack([m.center for m in maps]).astype(np.float32),
        matrices=np.stack([m.matrix(best) for m in maps]).astype(np.float32),
        directions=np.stack([m.direction for m in maps]).astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class _Score:
    recall: float
    mrr: float
    standard_error: float


class _Ridge:
    """Ridge regression of ``y`` on ``x``, both centred, ready to be solved for any strength."""

    def __init__(self, x: FloatMatrix, y: FloatMatrix) -> None:
        self.center: Array = x.mean(axis=0, dtype=np.float64)
        mean: Array = y.mean(axis=0, dtype=np.float64)
        self.direction = mean / max(float(np.linalg.norm(mean)), 1e-12)
        centred, targets = x - self.center, y - mean
        if len(centred) < centred.shape[1]:  # the smaller of the two Gram matrices has all eigenvalues that are not zero
            self._values, vectors = np.linalg.eigh(centred @ centred.T)
            self._left = centred.T @ vectors
            self._right = vectors.T @ targets
        else:
            self._values, self._left = np.linalg.eigh(centred.T @ centred)
            self._right = self._left.T @ (centred.T @ targets)

    def matrix(self, alpha: float) -> Array:
        """``(features, dim)``: the minimiser of ``|x W - y|² + alpha |W|²``."""
        return np.asarray(self._left @ (self._right / (np.maximum(self._values, 0) + alpha)[:, None]))

    def predict(self, alpha: float, x: FloatMatrix) -> FloatMatrix:
        vectors = (x - self.center) @ self.matrix(alpha)
        return normalised(vectors - np.outer(vectors @ self.direction, self.direction))


def _cross_validate(
    solvers: Sequence[_Ridge], alpha: float, x: FloatMatrix, y: FloatMatrix, folds: npt.NDArray[np.int_], groups: Sequence[str]
) -> _Score:
    """Recall@10 and MRR of texts searching all pictures, each picture projected by the map that was fitted without its fold."""
    projected = np.zeros_like(y)
    for fold, solver in enumerate(solvers):
        projected[folds == fold] = solver.predict(alpha, x[folds == fold])
    names = np.unique(np.asarray(groups), return_inverse=True)[1]
    ranks = []
    for i in range(0, len(y), max(1, len(y) // _SCORED_TEXTS)):
        scores = projected @ y[i]
        own = scores[names == names[i]].max()
        ranks.append(1 + int((scores[names != names[i]] >= own).sum()))
    found = np.array(ranks)
    reciprocal = 1 / found
    return _Score(float((found <= RECALL_AT).mean()), float(reciprocal.mean()), float(reciprocal.std() / np.sqrt(len(found))))


def _sample(texts: FloatMatrix, groups: Sequence[str]) -> list[int]:
    """Positions of the pairs to fit on: those with a text, at most ``MAX_PAIRS``, groups in the order of their MD5 (every fold is in it)."""
    usable = np.flatnonzero(np.abs(texts).sum(axis=1) > 0).tolist()
    if len(usable) > MAX_PAIRS:
        order = {i: hashlib.md5(groups[i].encode(), usedforsecurity=False).hexdigest() for i in usable}
        usable = sorted(usable, key=lambda i: (order[i], i))[:MAX_PAIRS]
    return sorted(usable)


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)
