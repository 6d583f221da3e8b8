"""The map from pictures to words: its formula, its fairness, its files."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybrid_search.encoders import alignment as al
from hybrid_search.encoders.alignment_files import load, save
from hybrid_search.encoders.arrays import normalised
from hybrid_search.encoders.registry import text_encoder
from hybrid_search.errors import EncoderError
from hybrid_search.types import FloatMatrix


def pairs(count: int = 120, features: int = 40, dim: int = 12, noise: float = 0.05) -> tuple[FloatMatrix, FloatMatrix, list[str]]:
    """Pictures and words that a linear map joins, in groups of three."""
    rng = np.random.default_rng(5)
    x = normalised(rng.normal(size=(count, features)))
    y = normalised(x @ rng.normal(size=(features, dim)) + 0.5 + noise * rng.normal(size=(count, dim)))
    return x, y, [f"g{i // 3}" for i in range(count)]


def fitted(alpha: float | None = 0.3, **sizes: int) -> al.AlignmentMap:
    x, y, groups = pairs(**sizes)
    return al.fit(x, y, groups, image_model="picture", text_model="words", alpha=alpha)


@pytest.mark.parametrize("features", [40, 300])
def test_the_map_is_ridge_regression_on_centred_pairs(features: int) -> None:
    """Both ways of solving it against the textbook: W = (X'X + alpha I)^-1 X'Y."""
    x, y, groups = pairs(features=features)
    found = al.fit(x, y, groups, image_model="i", text_model="t", alpha=0.7)
    cx, cy = (m.astype(np.float64) - m.mean(axis=0, dtype=np.float64) for m in (x, y))
    expected = np.linalg.solve(cx.T @ cx + 0.7 * np.eye(features), cx.T @ cy)
    np.testing.assert_allclose(found.matrices[0], expected, atol=1e-4)
    fold = al.fold_of(groups[0])
    rest = np.array([al.fold_of(g) != fold for g in groups])
    cx, cy = (m[rest].astype(np.float64) - m[rest].mean(axis=0, dtype=np.float64) for m in (x, y))
    expected = np.linalg.solve(cx.T @ cx + 0.7 * np.eye(features), cx.T @ cy)
    np.testing.assert_allclose(found.matrices[1 + fold], expected, atol=1e-4)


def test_projected_rows_have_length_one_and_nothing_of_the_common_direction() -> None:
    x, y, _ = pairs()
    mean = y.mean(axis=0) / np.linalg.norm(y.mean(axis=0))
    rows = fitted().project(x)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(rows @ mean, 0, atol=1e-5)
    assert rows.dtype == np.float32 and rows.shape == y.shape


def test_words_find_their_picture_through_the_map() -> None:
    x, y, _ = pairs()
    assert (np.argmax(y @ fitted().project(x).T, axis=1) == np.arange(len(x))).mean() > 0.9


def test_folds_are_md5_modulo_five() -> None:
    for group in ("g0", "g1", "", "变体"):
        assert al.fold_of(group) == int.from_bytes(hashlib.md5(group.encode()).digest(), "big") % 5


def test_no_word_of_a_group_reaches_its_own_vectors() -> None:
    """Every text of one group is replaced: its own out-of-fold vectors stay, those of other folds move."""
    x, y, groups = pairs()
    mine = np.array([group == "g7" for group in groups])
    changed = np.where(mine[:, None], normalised(np.random.default_rng(9).normal(size=y.shape)), y).astype(np.float32)
    before = al.fit(x, y, groups, image_model="i", text_model="t", alpha=0.3)
    after = al.fit(x, changed, groups, image_model="i", text_model="t", alpha=0.3)
    was, now = before.project_out_of_fold(x, groups), after.project_out_of_fold(x, groups)
    np.testing.assert_array_equal(was[mine], now[mine])
    other = np.array([al.fold_of(group) != al.fold_of("g7") for group in groups])
    assert np.abs(was[other] - now[other]).max() > 1e-4
    assert np.abs(before.project(x)[mine] - after.project(x)[mine]).max() > 1e-4, "the map fitted on all pairs does know them"


def test_the_cross_validated_figures_are_those_of_the_out_of_fold_vectors() -> None:
    x, y, groups = pairs()
    found = al.fit(x, y, groups, image_model="i", text_model="t", alpha=0.3)
    scores = y @ found.project_out_of_fold(x, groups).T
    names = np.array(groups)
    ranks = np.array([1 + (scores[i, names != names[i]] >= scores[i, names == names[i]].max()).sum() for i in range(len(y))])
    assert found.recall == pytest.approx((ranks <= 10).mean(), abs=0.02)
    assert found.mrr == pytest.approx((1 / ranks).mean(), abs=0.02)


def test_the_strongest_alpha_within_one_standard_error_is_taken() -> None:
    noisy = al.fit(*pairs(noise=2.0), image_model="i", text_model="t")
    clean = al.fit(*pairs(noise=0.0), image_model="i", text_model="t")
    assert noisy.alpha in al.ALPHAS and clean.alpha in al.ALPHAS
    assert noisy.alpha > clean.alpha


def test_inputs_are_not_changed() -> None:
    x, y, groups = pairs()
    before = x.copy(), y.copy()
    found = al.fit(x, y, groups, image_model="i", text_model="t")
    found.project(x)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


def test_products_without_words_are_no_pairs() -> None:
    x, y, groups = pairs()
    y[:30] = 0
    assert al.fit(x, y, groups, image_model="i", text_model="t", alpha=1.0).pairs == 90


def test_too_few_pairs_are_refused_with_the_remedy() -> None:
    x, y, groups = pairs(count=19)
    with pytest.raises(EncoderError, match="19 pairs .* Give at least 20 products"):
        al.fit(x, y, groups, image_model="i", text_model="t")
    x, y, _ = pairs(count=30)
    with pytest.raises(EncoderError, match="in 1 folds"):
        al.fit(x, y, ["one"] * 30, image_model="i", text_model="t")


def test_more_pairs_than_needed_are_sampled_from_all_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(al, "MAX_PAIRS", 60)
    x, y, groups = pairs()
    found = al.fit(x, y, groups, image_model="i", text_model="t", alpha=1.0)
    assert found.pairs == 60
    again = al.fit(x, y, groups, image_model="i", text_model="t", alpha=1.0)
    np.testing.assert_array_equal(found.matrices, again.matrices)
    assert all(np.abs(found.matrices[0] - found.matrices[1 + fold]).max() > 1e-4 for fold in range(5)), "no fold is empty"


def test_features_of_another_size_are_refused() -> None:
    with pytest.raises(EncoderError, match="expects features of 40 numbers from 'picture'"):
        fitted().project(np.zeros((2, 41), dtype=np.float32))


def test_nothing_to_project() -> None:
    assert fitted().project(np.zeros((0, 40), dtype=np.float32)).shape == (0, 12)
    assert fitted().project_out_of_fold(np.zeros((0, 40), dtype=np.float32), []).shape == (0, 12)


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    x, _, groups = pairs()
    made = fitted()
    save(made, tmp_path / "v1")
    back = load(tmp_path / "v1")
    np.testing.assert_array_equal(back.project_out_of_fold(x, groups), made.project_out_of_fold(x, groups))
    facts = ("image_model", "text_model", "alpha", "pairs", "recall", "mrr", "created", "feature_dim", "dim")
    assert [getattr(back, fact) for fact in facts] == [getattr(made, fact) for fact in facts]
    assert sorted(path.name for path in (tmp_path / "v1").iterdir()) == ["alignment.json", "alignment.safetensors"]


def test_missing_damaged_and_mixed_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="Fit it again"):
        load(tmp_path / "none")
    save(fitted(), tmp_path)
    old = (tmp_path / "alignment.safetensors").read_bytes()
    save(replace(fitted(), directions=fitted().directions * 2), tmp_path)
    (tmp_path / "alignment.safetensors").write_bytes(old)
    with pytest.raises(EncoderError, match="do not belong together"):
        load(tmp_path)
    (tmp_path / "alignment.json").write_text("{")
    with pytest.raises(EncoderError, match="No usable alignment"):
        load(tmp_path)


def test_pair_texts_and_their_targets() -> None:
    body = {"id": "1", "title": "Helios Tee", "category": ["Men", "Tops"], "color": "Blue", "description": "Cool comfort."}
    assert al.pair_text(body) == "Helios Tee Men Tops Blue"
    assert al.pair_texts(body) == ("Helios Tee", "Men Tops Blue", "Cool comfort.")
    assert al.pair_texts({"id": "2", "images": ["a.jpg"]}) == ()
    encoder = text_encoder("offline-use")
    targets = al.pair_targets([{"id": "2"}, body, {"id": "3", "title": "Lamp"}], encoder)
    views = encoder.encode_documents(list(al.pair_texts(body)))
    np.testing.assert_allclose(targets[1], normalised(views.mean(axis=0, keepdims=True))[0], atol=1e-6)
    np.testing.assert_allclose(targets[2], encoder.encode_documents(["Lamp"])[0], atol=1e-6)
    assert (targets[0] == 0).all()
