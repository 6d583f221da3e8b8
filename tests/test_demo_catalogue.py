"""The demo shop: what is in it, that its pictures show it, and that writing it twice costs nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybrid_search.catalog.read import read_catalog
from hybrid_search.catalog.rows import Accepted, CatalogSummary
from hybrid_search.demo.catalogue import write_demo_catalogue
from hybrid_search.demo.catalogue.canvas import SIZE, Canvas, mirrored, path
from hybrid_search.demo.catalogue.kinds import KINDS, Kind
from hybrid_search.demo.catalogue.look import Look
from hybrid_search.demo.catalogue.plan import gtin, plan
from hybrid_search.demo.catalogue.shades import SHADES
from hybrid_search.demo.catalogue.textures import GRAINS, PATTERNS, patterned
from hybrid_search.demo.queries import Trial, built_in_trials, trials_from
from hybrid_search.product import Product

PLAN = list(plan(7))
PRODUCTS = [Product.model_validate(planned.record) for planned in PLAN]


def test_the_shop_is_as_large_and_as_varied_as_promised() -> None:
    worded = [product for product in PRODUCTS if product.title]
    assert len(PRODUCTS) >= 400 and len({product.id for product in PRODUCTS}) == len(PRODUCTS)
    assert len({product.category for product in worded}) >= 12
    assert len(PRODUCTS) - len(worded) == len(PRODUCTS) // 10
    assert min(Counter(product.category for product in worded).values()) >= 10
    assert {product.availability for product in worded} == {"in_stock", "out_of_stock", "preorder", "backorder"}
    assert sum(bool(product.reviews) for product in worded) > 100 and sum(len(product.images) > 1 for product in PRODUCTS) > 80
    assert all(product.price and product.currency == "USD" for product in PRODUCTS)


def test_a_tenth_has_neither_text_nor_anything_that_gives_it_away() -> None:
    for product in PRODUCTS:
        if not product.title:
            assert set(product.body()) == {"id", "price", "currency", "images"}


def test_chinese_products_are_chinese() -> None:
    chinese = [product for product in PRODUCTS if product.language == "zh"]
    assert len(chinese) >= 50
    assert all(any("\u4e00" <= c <= "\u9fff" for c in product.title) and product.title.isprintable() for product in chinese)
    assert {product.language for product in PRODUCTS if product.title} == {"zh", "en"}


def test_variants_share_a_group_and_differ_in_colour_or_size() -> None:
    groups: dict[str, list[Product]] = {}
    for product in PRODUCTS:
        if product.group_id:
            groups.setdefault(product.group_id, []).append(product)
    assert all(len(group) == 3 and len({(p.title, p.size) for p in group}) == 3 for group in groups.values())
    sized = [group for group in groups.values() if group[0].size]
    assert sized and all(len({p.images for p in group}) == 1 for group in sized)


def test_ratings_lean_towards_the_mean_when_they_are_few() -> None:
    few = [product.rating for product in PRODUCTS if product.rating is not None and product.rating_count <= 3]
    assert few and all(abs(rating - 3.9) <= 0.4 for rating in few)
    assert all((product.rating is None) == (product.rating_count == 0) for product in PRODUCTS)


@pytest.mark.parametrize("number", ["4006381333931", "036000291452", "96385074"])
def test_check_digits_of_known_numbers(number: str) -> None:
    assert gtin(number[:-1]) == number


def test_the_plan_depends_on_the_seed_alone() -> None:
    assert [planned.record for planned in plan(7)] == [planned.record for planned in PLAN]
    assert [planned.record for planned in plan(8)] != [planned.record for planned in PLAN]


def _draw(kind: Kind, shade: str, shape: int, pattern: str = "plain") -> Image.Image:
    canvas = Canvas((250, 250, 250), floor=kind.floor)
    kind.draw(canvas, Look(SHADES[shade].rgb, SHADES["Cream"].rgb, pattern, shape=shape, seed=4))
    return canvas.finish()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_a_drawing_shows_its_colour_in_the_middle_and_light_at_the_rim(kind: Kind) -> None:
    for shape in range(len(kind.shapes)):
        red, blue = (np.asarray(_draw(kind, shade, shape), dtype=float) for shade in ("Red", "Cobalt Blue"))
        assert red.shape == (SIZE, SIZE, 3)
        coloured = np.abs(red - blue).max(axis=2) > 60
        if not (kind.code == "sun" and shape == 2):  # wire frames are golden whatever the lens
            assert coloured.mean() > 0.015
            assert (
                red[coloured][:, 0].mean() > red[coloured][:, 2].mean() + 30
                and blue[coloured][:, 2].mean() > blue[coloured][:, 0].mean() + 30
            )
        assert np.asarray(red[:12, :12]).min() > 200 and np.asarray(red[-12:, -12:]).min() > 200


def test_the_same_look_gives_the_same_bytes() -> None:
    assert _draw(KINDS[0], "Teal", 1, "floral").tobytes() == _draw(KINDS[0], "Teal", 1, "floral").tobytes()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_show_both_inks(pattern: str) -> None:
    pixels = np.asarray(patterned(pattern, (250, 0, 0), (0, 0, 250), seed=3)(300, 300, 1.2), dtype=int)
    assert (pixels[..., 0] > 200).any()
    assert (pixels[..., 2] > 200).any() == (pattern != "plain")


@pytest.mark.parametrize("grain", GRAINS)
def test_grains_are_seen_and_stay_subtle(grain: str) -> None:
    pixels = np.asarray(patterned("plain", (200, 200, 200), (0, 0, 0), grain=grain)(400, 400, 1.2), dtype=float)
    assert 1 < pixels.std() < 25 and pixels.mean() > 150


def test_outlines() -> None:
    line = path((500, 0), (600, 0), (600, 50, 600, 50, 600, 100))
    assert line[:2] == [(500, 0), (600, 0)] and line[-1] == (600, 100)
    assert mirrored([(500, 0), (700, 50)]) == [(500, 0), (700, 50), (300, 50), (500, 0)]


@pytest.mark.slow
def test_writing_resuming_and_reading_the_whole(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    assert write_demo_catalogue(tmp_path, progress=lambda done, total: steps.append((done, total))) == len(PLAN)
    assert steps[0] == (0, len(PLAN)) and steps[-1] == (len(PLAN), len(PLAN))
    files = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()}
    assert sum(file.stat().st_size for file in files) <= 25_000_000
    summary = CatalogSummary()
    read = [row.product for row in summary.watch(read_catalog(tmp_path)) if isinstance(row, Accepted)]
    assert (summary.accepted, summary.rejected, summary.missing_images) == (len(PLAN), 0, 0)
    assert [product.id for product in read] == [product.id for product in PRODUCTS]
    with Image.open(read[0].images[0]) as picture:
        assert (picture.format, picture.size, picture.mode) == ("JPEG", (SIZE, SIZE), "RGB")

    lost = tmp_path / "images" / "mug-00.jpg"
    content = lost.read_bytes()
    lost.unlink()
    write_demo_catalogue(tmp_path)
    assert lost.read_bytes() == content
    assert {file: file.stat().st_mtime_ns for file in files if file != lost} == {file: time for file, time in files.items() if file != lost}


def test_trials_ask_for_things_the_shop_has(tmp_path: Path) -> None:
    trials = built_in_trials(tmp_path)
    assert [(trial.name, bool(trial.text), trial.image is not None) for trial in trials] == [
        ("text", True, False),
        ("image", False, True),
        ("text+image", True, True),
    ]
    ids = {product.id for product in PRODUCTS}
    for trial in trials:
        assert trial.wanted <= ids and len(trial.wanted) >= 10
        if trial.image is not None:
            with Image.open(trial.image) as picture:
                assert picture.size == (SIZE, SIZE)


def test_a_trial_is_met_by_enough_of_the_first_ten() -> None:
    trial = Trial("text", "x", None, frozenset("ab"), 2, "a and b")
    assert trial.met(["a", "c", "b"]) and not trial.met(["a", "c", "d"]) and not trial.met(["a", *"cdefghijk", "b"])


def test_trials_for_any_other_catalogue(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"x")
    words, image = Product(id="1", title="Mug"), Product(id="2", images=(str(picture),))
    both = Product(id="3", title="Vase", images=(str(picture),))
    assert [(t.name, t.text, t.image, t.wanted) for t in trials_from([words, image])] == [
        ("text", "Mug", None, frozenset("1")),
        ("image", "", picture, frozenset("2")),
    ]
    assert [t.name for t in trials_from([both])] == ["text", "image", "text+image"]
    assert trials_from([]) == ()
