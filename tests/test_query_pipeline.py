"""A search on real parts: the embedded engine, the real encoders, a small embedded shop."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from hybrid_search.bootstrap import Services, build, image_roots
from hybrid_search.encoders.base import ModelCard
from hybrid_search.encoders.registry import IMAGE_ENCODERS, TEXT_ENCODERS, image_encoder, text_encoder
from hybrid_search.engines.base import ProductWrite
from hybrid_search.engines.embedded.engine import EmbeddedEngine
from hybrid_search.errors import NotFoundError, QueryError
from hybrid_search.product import Product
from hybrid_search.query.legs import leg_spaces
from hybrid_search.query.parts import Encoders, choose_spaces
from hybrid_search.query.pipeline import search
from hybrid_search.query.reply import SearchReply
from hybrid_search.query.request import SearchRequest
from hybrid_search.settings import load_settings
from hybrid_search.types import Document, EngineReply, SearchPlan, Space, State, VectorWrite
from hybrid_search.waiting import left, waited
from tests.e2e.shop import BROKEN, draw_thing, load_shop, write_catalogue
from tests.indexing_parts import DIM, CountingImage, CountingText, direction


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("pipeline")
    settings = load_settings(home=folder / "home", text_encoder="offline-use")
    catalogue = write_catalogue(folder / "catalogue")
    image_roots(settings).add(catalogue)
    services = build(settings)
    load_shop(services, catalogue)
    services.engine.refresh()
    yield services
    services.close()


def ask(shop: Services, **request: object) -> SearchReply:
    return search(SearchRequest.model_validate(request), shop.search_parts)


def picture(thing: str, paint: str) -> str:
    out = io.BytesIO()
    draw_thing(thing, paint, background="#f4f4f4", side=300).save(out, "JPEG", quality=90)
    return base64.b64encode(out.getvalue()).decode()


def ids(reply: SearchReply) -> list[str]:
    return [hit.id for hit in reply.hits]


def test_words_ask_three_legs_whose_contributions_add_up(shop: Services) -> None:
    reply = ask(shop, q="green ball", explain=True, size=31)
    assert ids(reply)[0] == "ball-green"
    assert set(reply.interpreted.weights) == {"bm25", "text", "cross"} and sum(reply.interpreted.weights.values()) == pytest.approx(
        1, abs=1e-4
    )
    for hit in reply.hits:
        assert hit.explain is not None and hit.score is not None
        assert sum(leg.contribution for leg in hit.explain.legs.values()) == pytest.approx(hit.score, abs=1e-4)
    assert [hit.rank for hit in reply.hits] == list(range(1, len(reply.hits) + 1))
    assert reply.degraded == ()


def test_a_picture_finds_its_like_and_chinese_words_find_the_chinese_title(shop: Services) -> None:
    by_picture = ask(shop, images=[{"base64": picture("Tent", "#2457c5")}], size=6)
    assert sum(found.startswith("tent-") for found in ids(by_picture)) >= 4
    assert by_picture.interpreted.weights == {"image": 1.0}
    assert ids(ask(shop, q="黄色皮球"))[0] == "ball-yellow"


def test_words_move_a_picture_search(shop: Services) -> None:
    reply = ask(shop, q="red", images=[{"base64": picture("Rug", "#2457c5")}], size=6)
    assert ids(reply)[0] == "rug-red"
    assert set(reply.interpreted.weights) == {"bm25", "text", "cross", "image"}


class LateEngine(EmbeddedEngine):
    """Answers at the last moment, as a search server under load does, and then has the products fetched from there."""

    kept = 0.0

    def search(self, plan: SearchPlan) -> EngineReply:
        assert plan.timeout is not None
        waited(plan.timeout)
        return super().search(plan)

    def fetch(self, ids: Sequence[str]) -> list[Document | None]:
        self.kept = left() or 0.0
        return super().fetch(ids)


def test_a_ranking_that_comes_late_leaves_time_to_fetch_its_products(tmp_path: Path, shop: Services) -> None:
    with closing(LateEngine(tmp_path / "late")) as engine:
        engine.put([ProductWrite(Product(id="a", title="green ball"), {})], refresh=True)
        parts = replace(shop.search_parts, engine=engine, timeout=5.0)
        assert ids(search(SearchRequest(q="green ball", weights={"text": 0.0, "cross": 0.0}), parts)) == ["a"]
    assert engine.kept == pytest.approx(0.5, abs=0.05), "a tenth"


def test_more_like_a_product_leaves_it_out(shop: Services) -> None:
    reply = ask(shop, like="box-green", size=5)
    assert "box-green" not in ids(reply)
    assert sum(found.startswith("box-") for found in ids(reply)) >= 4
    with pytest.raises(NotFoundError, match="no-such"):
        ask(shop, like="no-such")


def test_nothing_asked_is_everything_and_a_sort_is_exact(shop: Services) -> None:
    reply = ask(shop, sort=[{"field": "price", "descending": True}], size=100)
    assert reply.total == 31
    assert "price" not in reply.hits[-1].product
    prices = [hit.product["price"] for hit in reply.hits[:-1]]
    assert prices == sorted(prices, reverse=True)
    assert all(hit.score is None for hit in reply.hits)


def test_filters_facets_and_totals_agree(shop: Services) -> None:
    reply = ask(
        shop,
        filters=[{"field": "category", "path": ["Home"]}],
        facets=[{"field": "color"}, {"field": "price", "edges": [0, 20, 100]}],
        size=100,
    )
    assert reply.total == len(reply.hits) == 12
    assert {(bucket.value, bucket.count) for bucket in reply.facets[0].buckets} == {
        (c, 2) for c in ("Red", "Blue", "Green", "Yellow", "Black", "Purple")
    }
    assert sum(bucket.count for bucket in reply.facets[1].buckets) == 12
    excluded = ask(shop, filters=[{"field": "category", "path": ["Home"], "exclude": True}], size=100)
    assert excluded.total == 31 - 12


def test_a_picture_that_failed_is_told_and_the_product_is_still_found(shop: Services) -> None:
    (hit, *_) = ask(shop, q="lampshade").hits
    assert hit.id == BROKEN
    assert hit.states["image"] is State.FAILED
    assert hit.image_error is not None and hit.image_error.split(":")[0] == "broken"


def test_later_pages_neither_repeat_nor_skip_while_the_catalogue_is_written(tmp_path: Path) -> None:
    services = build(load_settings(home=tmp_path / "home", text_encoder="offline-use"))
    try:
        products = [Product(id=f"p{n:03}", title=f"mug number {n}", popularity=float(n)) for n in range(60)]
        services.engine.put([ProductWrite(product, {}) for product in products], refresh=True)
        whole = ids(search(SearchRequest(q="mug", size=60), services.search_parts))
        reply = search(SearchRequest(q="mug", size=7), services.search_parts)
        seen = ids(reply)
        while reply.next:
            services.engine.put([ProductWrite(Product(id=f"a{len(seen):03}", title="mug mug mug"), {})], refresh=True)
            reply = search(SearchRequest(next=reply.next, size=7), services.search_parts)
            assert reply.hits[0].rank == len(seen) + 1
            seen += ids(reply)
        assert seen == whole
    finally:
        services.close()


def test_a_deleted_product_leaves_its_place_empty(tmp_path: Path) -> None:
    services = build(load_settings(home=tmp_path / "home", text_encoder="offline-use"))
    try:
        services.engine.put([ProductWrite(Product(id=f"p{n}", title="mug"), {}) for n in range(6)], refresh=True)
        first = search(SearchRequest(q="mug", size=3), services.search_parts)
        services.engine.delete(["p4"], refresh=True)
        second = search(SearchRequest(next=first.next, size=3), services.search_parts)
        assert [(hit.id, hit.rank) for hit in second.hits] == [("p3", 4), ("p5", 6)]
    finally:
        services.close()


def test_without_its_encoder_a_leg_is_left_out_and_said_so(shop: Services) -> None:
    """As when a process runs with another text encoder than the index was filled by."""
    crippled = replace(shop.search_parts, encoders=Encoders({}, shop.encoders.image, lambda fresh: dict.fromkeys(shop.encoders.text, "")))
    reply = search(SearchRequest(q="green ball"), crippled)
    assert ids(reply)[0] == "ball-green"
    assert [what.split(":")[0] for what in reply.degraded] == ["text", "cross"]
    assert "Set text_encoder" in reply.degraded[0]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"q": "x" * 300}, "q"),
        ({"q": "mug", "filters": [{"field": "colour", "values": ["red"]}]}, "colour"),
        ({"q": "mug", "facets": [{"field": "shape"}]}, "shape"),
        ({"q": "mug", "sort": [{"field": "title"}]}, "title"),
        ({"q": "mug", "weights": {"bm25": 0, "text": 0, "cross": 0}}, "weights"),
        ({"images": [{"base64": "%%%"}]}, "images"),
        ({"images": [{"base64": "aGVsbG8="}]}, "images"),
        ({"images": [{"url": "http://127.0.0.1/a.jpg"}]}, "images"),
        ({"next": "x"}, "next"),
    ],
)
def test_what_cannot_be_answered_is_told_by_field_with_a_remedy(shop: Services, request_: dict[str, object], field: str) -> None:
    with pytest.raises(QueryError) as caught:
        ask(shop, **request_)
    assert caught.value.field == field and caught.value.remedy


def test_the_newest_complete_space_answers_unless_one_is_chosen() -> None:
    old, new = (Space("text", version, 4, "text", f"m{version}", {"text": f"m{version}"}) for version in (1, 2))
    assert choose_spaces((old, new), {"text_1": 1000, "text_2": 990}, {})["text"] is old
    assert choose_spaces((old, new), {"text_1": 1000, "text_2": 996}, {})["text"] is new
    assert choose_spaces((old, new), {"text_1": 10, "text_2": 10}, {"text": "text_1"})["text"] is old
    assert choose_spaces((old, new), {"text_1": 0, "text_2": 0}, {})["text"] is old
    assert choose_spaces((old,), {"text_1": 10}, {"text": "gone_9"})["text"] is old
    picture = Space("image", 1, 4, "image", "m", {"image": "m"})
    assert choose_spaces((old, picture), {"text_1": 10}, {"text": "image_1"})["text"] is old


def test_a_product_without_vectors_finds_nothing_and_says_why(tmp_path: Path) -> None:
    services = build(load_settings(home=tmp_path / "home", text_encoder="offline-use"))
    try:
        services.engine.put(
            [ProductWrite(Product(id="worded", title="mug"), {"text": ("h",)}), ProductWrite(Product(id="bare"), {})], refresh=True
        )
        pending = search(SearchRequest(like="worded"), services.search_parts)
        assert (pending.total, pending.hits) == (0, ())
        assert [what.split(":")[0] for what in pending.degraded] == ["text"]
        nothing = search(SearchRequest(like="bare"), services.search_parts)
        assert (nothing.total, nothing.hits, nothing.degraded) == (0, (), ())
    finally:
        services.close()


def test_each_process_asks_the_version_that_it_can_encode_for(tmp_path: Path) -> None:
    """While a shop moves from one text encoder to another, and when it moves back."""
    old = build(load_settings(home=tmp_path / "home", text_encoder="offline-use"))
    new = build(load_settings(home=tmp_path / "home", text_encoder="offline-e5"))
    again = build(load_settings(home=tmp_path / "home", text_encoder="offline-use"))
    try:
        assert [space.key for space in again.engine.spaces() if space.name == "text"] == ["text_1", "text_2"]
        asked = [services.search_parts.spaces.active({})["text"].key for services in (old, new, again)]
        assert asked == ["text_1", "text_2", "text_1"]
    finally:
        for services in (old, new, again):
            services.close()


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """A shop with one model for words and pictures, as CLIP is; ``shore`` is where the word meets the picture of product ``a``."""
    card = ModelCard("pair", DIM, "text", "CC0-1.0", "1", image_size=4)
    monkeypatch.setitem(TEXT_ENCODERS, "pair", lambda spec: CountingText(card=card))
    monkeypatch.setitem(IMAGE_ENCODERS, "pair", lambda spec: CountingImage(card=replace(card, modality="image")))
    text_encoder.cache_clear()
    image_encoder.cache_clear()
    services = build(load_settings(home=tmp_path / "home", text_encoder="pair", image_encoder="pair"))
    for id_, seen in (("a", "shore"), ("b", "forest")):
        services.engine.put([ProductWrite(Product(id=id_, title="poster"), {"image": (f"i{id_}",)})])
        services.engine.write_vectors([VectorWrite(id_, "image_1", (f"i{id_}",), direction(seen))])
    services.engine.refresh()
    yield services
    services.close()
    text_encoder.cache_clear()
    image_encoder.cache_clear()


def test_words_ask_the_pictures_of_a_model_that_reads_both(pair: Services) -> None:
    assert [space.key for space in pair.engine.spaces()] == ["text_1", "image_1"], "no map is needed"
    hit = ask(pair, q="shore", explain=True).hits[0]
    assert hit.id == "a" and hit.explain is not None
    assert hit.explain.legs["cross"].raw == pytest.approx(1.0, abs=1e-2), "the same direction"
    other = Space("cross", 1, DIM, "image", "map", {"text": "pair"})
    assert leg_spaces({"cross": other, "image": replace(other, name="image", query_models={"image": "eyes"})})["cross"] is other
