"""The picture map's life on a real engine: due or not, fitted, filled without a tower, refitted as a new version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from hybrid_search.errors import EncoderError
from hybrid_search.indexing.align import alignment_due, fit_alignment, fit_first_alignment
from hybrid_search.indexing.maps import MapShelf
from tests.indexing_parts import Shop, color, product

PAIRS = 24


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "home")
    yield made
    made.engine.close()


def due(shop: Shop, pairs: int = PAIRS) -> bool:
    return alignment_due(shop.engine.status(), shop.engine.spaces(), shop.text, shop.image, shop.maps, pairs)


def first(shop: Shop, pairs: int = PAIRS) -> str | None:
    space = fit_first_alignment(shop.engine, shop.text, shop.image, shop.maps, pairs=pairs, settle=0.0)
    return None if space is None else space.key


def test_the_first_map_is_due_when_a_load_has_drained(shop: Shop) -> None:
    assert not due(shop)
    shop.put(*(product(i, color(i)) for i in range(40)))
    assert not due(shop), "everything is pending"
    shop.embed_all()
    assert due(shop)
    assert not due(shop, pairs=41)
    assert first(shop) == "cross_1"
    assert not due(shop), "once only"
    assert first(shop) is None


def test_words_find_pictures_through_the_map_and_no_tower_runs(shop: Shop) -> None:
    shop.put(*(product(i, color(i)) for i in range(40)), product(50, color(3), title=""))
    shop.embed_all()
    images = len(shop.image.calls)
    first(shop)
    shop.embed_all()
    assert len(shop.image.calls) == images
    assert shop.ledger("p50") == {"image_1": ("ready", 0, None), "cross_1": ("ready", 0, None)}
    (space,) = [space for space in shop.engine.spaces() if space.name == "cross"]
    assert (space.dim, space.part, space.model, dict(space.query_models)) == (8, "image", "alignment:1", {"text": "tiny-text"})
    assert np.linalg.norm(shop.vectors("cross_1", "p50")) == pytest.approx(1.0, abs=1e-5)


def test_a_product_is_projected_by_a_map_that_never_saw_its_group(shop: Shop) -> None:
    shop.put(*(product(i, color(i), group_id=f"g{i // 2}") for i in range(40)))
    shop.embed_all()
    first(shop)
    shop.embed_all()
    alignment = shop.maps.get("alignment:1")
    for i in (0, 7, 39):
        features = shop.vectors("image_1", f"p{i}")
        fold = int(hashlib.md5(f"g{i // 2}".encode()).hexdigest(), 16) % 5  # the rule of the issue: five folds by md5 of the group id
        vectors = (features - alignment.centers[1 + fold]) @ alignment.matrices[1 + fold]
        vectors -= (vectors @ alignment.directions[1 + fold])[:, None] * alignment.directions[1 + fold]
        expected = vectors / np.linalg.norm(vectors)
        np.testing.assert_allclose(shop.vectors("cross_1", f"p{i}"), expected, atol=1e-5)


def test_a_refit_is_a_new_version_and_encodes_only_new_words(shop: Shop) -> None:
    shop.put(*(product(i, color(i)) for i in range(40)))
    shop.embed_all()
    first(shop)
    encoded = len(shop.text.calls)
    shop.put(*(product(i, color(i)) for i in range(40, 45)))
    shop.embed_all()
    space = fit_alignment(shop.engine, shop.text, shop.image, shop.maps, pairs=PAIRS)
    assert space is not None
    assert space.key == "cross_2"
    assert len(shop.text.calls) == encoded + 5 + 5, "five passages and five pair texts"
    assert shop.maps.get("alignment:2").pairs == 45
    shop.embed_all()
    assert shop.ledger("p44")["cross_2"][0] == shop.ledger("p44")["cross_1"][0] == "ready"


def test_too_few_pairs_are_said_on_request_and_remembered_when_found_by_the_feeder(shop: Shop) -> None:
    shop.put(*(product(i) for i in range(30)), *(product(i, color(i), title="") for i in range(30, 60)))
    shop.embed_all()
    with pytest.raises(EncoderError, match="Only 0 products have words and an embedded picture"):
        fit_alignment(shop.engine, shop.text, shop.image, shop.maps, pairs=PAIRS)
    assert due(shop), "the counts alone cannot tell that no product has both"
    assert first(shop) is None
    assert not due(shop), "not looked for again every second"
    shop.put(*(product(i, color(i)) for i in range(60, 90)))
    shop.embed_all()
    assert first(shop) == "cross_1"


def test_a_load_that_is_still_running_is_waited_for(shop: Shop) -> None:
    shop.put(*(product(i, color(i)) for i in range(40)))
    shop.embed_all()

    class Writing:
        """The same engine, with one more product between two looks at its status."""

        def __getattr__(self, name: str) -> object:
            return getattr(shop.engine, name)

        def status(self) -> object:
            status = shop.engine.status()
            shop.put(product(99))
            return status

    found = fit_first_alignment(Writing(), shop.text, shop.image, shop.maps, pairs=PAIRS, settle=0.0)  # type: ignore[arg-type]
    assert found is None


def test_only_one_process_fits(shop: Shop) -> None:
    shop.put(*(product(i, color(i)) for i in range(40)))
    shop.embed_all()
    shop.maps.lock_path.parent.mkdir(parents=True)
    with FileLock(shop.maps.lock_path):
        assert fit_alignment(shop.engine, shop.text, shop.image, shop.maps, pairs=PAIRS) is None
    assert fit_alignment(shop.engine, shop.text, shop.image, shop.maps, pairs=PAIRS) is not None


def test_a_map_that_is_damaged_fails_its_space_with_the_remedy(shop: Shop) -> None:
    shop.put(*(product(i, color(i)) for i in range(40)))
    shop.embed_all()
    first(shop)
    (shop.maps.folder("alignment:1") / "alignment.json").write_text("{}")
    shop.maps._maps.clear()
    shop.embed_all()
    state, _, error = shop.ledger("p1")["cross_1"]
    assert state == "pending"
    assert str(error).startswith("model: No usable alignment")
    assert str(error).endswith("Fit it again.")


def test_words_that_many_products_share_are_encoded_once(shop: Shop) -> None:
    shop.put(*(product(i, color(i), category=["Home", "Mugs"]) for i in range(40)))
    shop.embed_all()
    shop.text.calls.clear()
    fit_alignment(shop.engine, shop.text, shop.image, shop.maps, pairs=PAIRS)
    assert sorted(shop.text.calls) == sorted([*(f"thing {i}" for i in range(40)), "Home Mugs"])


def test_a_worker_with_another_home_takes_the_map_from_the_engine(shop: Shop, tmp_path: Path) -> None:
    shop.put(*(product(i, color(i)) for i in range(40)))
    shop.embed_all()
    assert fit_alignment(shop.engine, shop.text, shop.image, shop.maps, pairs=PAIRS) is not None
    elsewhere = MapShelf(tmp_path / "elsewhere", shop.engine)
    found, known = elsewhere.get("alignment:1"), shop.maps.get("alignment:1")
    assert (found.image_model, found.text_model, found.pairs) == (known.image_model, known.text_model, known.pairs)
    np.testing.assert_array_equal(found.matrices, known.matrices)
    with pytest.raises(EncoderError, match="No usable alignment"):
        elsewhere.get("alignment:9")
