"""What every engine's ``search`` and ``refresh`` must do: subclass ``SearchContract`` where a fixture ``engine`` gives an empty engine.

Expected scores come from the formulas (BM25 as in Lucene 9, cosine), expected sets from the catalogue below.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from hybrid_search.engines.base import Engine, ProductWrite
from hybrid_search.errors import QueryError
from hybrid_search.product import Product
from hybrid_search.types import (
    AllLeg,
    Bucket,
    CategoryPrefix,
    EngineReply,
    Exists,
    FacetRequest,
    Filter,
    FloatVector,
    KeywordLeg,
    Leg,
    Range,
    SearchPlan,
    SortKey,
    Space,
    Terms,
    VectorLeg,
    VectorWrite,
)

SPACE = Space("image", 1, 4, "image", "model", {"image": "model"})

CATALOGUE = (
    Product(
        id="a", title="red shoe", brand="Acme", category=("Wear", "Shoes"), price=10, rating=4.5, popularity=3,
        created="2024-01-01T00:00:00Z", attributes={"fit": ("slim", "long"), "sole": ("rubber",)}, color="red",
    ),
    Product(id="b", title="red red dress", brand="Bolt", category=("Wear", "Dresses"), price=20, popularity=3, availability="out_of_stock"),
    Product(id="c", title="blue shoe", brand="Acme", category=("Wear", "Shoes", "Boots"), price=30, rating=3, attributes={"fit": ("slim",)}),
    Product(id="d", title="green lamp", brand="acme", category=("Home",), rating=4.5, description="a lamp as red as a shoe", popularity=7),
    Product(id="e", description="nothing of that kind"),
)  # fmt: skip


def unit(*values: float) -> FloatVector:
    vector = np.array(values, dtype=np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def write(engine: Engine, products: Sequence[Product], *, vectors: Mapping[str, Sequence[FloatVector]] | None = None) -> int:
    """Store products (with these picture vectors) and wait until they are searchable; returns the sequence."""
    given = vectors or {}
    parts = {id_: tuple(f"{id_}{i}" for i in range(len(rows))) for id_, rows in given.items()}
    if given:
        engine.add_space(SPACE)
    engine.put([ProductWrite(p, {"image": parts[p.id]} if p.id in parts else {}) for p in products])
    engine.write_vectors([VectorWrite(id_, SPACE.key, parts[id_], np.stack(rows)) for id_, rows in given.items()])
    return engine.refresh()


def keyword(text: str, *, fields: dict[str, float] | None = None, need: str = "1", k: int = 10) -> KeywordLeg:
    return KeywordLeg("bm25", text, fields or {"title": 1.0}, need, k)


def ids(reply: EngineReply, leg: str = "bm25") -> tuple[str, ...]:
    return reply.legs[leg].ids


def browse(engine: Engine, *filters: Filter, k: int = 10) -> set[str]:
    return set(ids(engine.search(SearchPlan((AllLeg("all", k),), filters)), "all"))


def bm25(tf: int, length: int, df: int, lengths: Sequence[int]) -> float:
    """Lucene's formula; ``lengths`` are the field's lengths of all products that have it."""
    idf = math.log(1 + (len(lengths) - df + 0.5) / (df + 0.5))
    return idf * tf / (tf + 1.2 * (1 - 0.75 + 0.75 * length / (sum(lengths) / len(lengths))))


class KeywordContract:
    """BM25."""

    @pytest.fixture
    def settle(self) -> Callable[[Engine], None]:
        """Leaves only living products in the statistics of BM25, where an engine counts deleted ones for a while."""
        return lambda engine: None

    def test_scores_are_lucenes(self, engine: Engine, settle: Callable[[Engine], None]) -> None:
        write(engine, CATALOGUE)
        settle(engine)
        hits = engine.search(SearchPlan((keyword("red"),))).legs["bm25"]
        lengths = [2, 3, 2, 2]  # the four titles
        assert hits.ids == ("b", "a")
        assert hits.scores == pytest.approx([bm25(2, 3, 2, lengths), bm25(1, 2, 2, lengths)], rel=1e-5)

    def test_a_score_is_the_weighted_sum_of_the_fields_scores(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        parts = [
            dict(zip(ids(reply), reply.legs["bm25"].scores.tolist(), strict=True))
            for reply in (engine.search(SearchPlan((keyword("red shoe", fields={field: 1.0}),))) for field in ("title", "description"))
        ]
        both = engine.search(SearchPlan((keyword("red shoe", fields={"title": 2.0, "description": 0.5}),))).legs["bm25"]
        assert set(both.ids) == {"a", "b", "c", "d"}
        for id_, score in zip(both.ids, both.scores.tolist(), strict=True):
            assert score == pytest.approx(2 * parts[0].get(id_, 0) + 0.5 * parts[1].get(id_, 0), rel=1e-5)

    def test_words_are_counted_over_all_fields(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        fields = {"title": 1.0, "description": 1.0}
        assert set(ids(engine.search(SearchPlan((keyword("green shoe", fields=fields, need="100%"),))))) == {"d"}
        assert set(ids(engine.search(SearchPlan((keyword("green shoe", fields=fields, need="-1"),))))) == {"a", "c", "d"}

    def test_the_field_all_joins_the_others(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        assert ids(engine.search(SearchPlan((keyword("acme boots slim", fields={"all": 1.0}, need="100%"),)))) == ("c",)

    def test_words_are_stemmed_in_either_case(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        assert ids(engine.search(SearchPlan((keyword("SHOES'"),)))) == ("a", "c")

    def test_ties_are_in_order_of_id_also_at_the_last_place(self, engine: Engine) -> None:
        write(engine, [Product(id=f"p{i}", title="same words") for i in (3, 1, 20, 2)])
        assert ids(engine.search(SearchPlan((keyword("same", k=3),)))) == ("p1", "p2", "p20")

    def test_totals_count_all_matches_not_only_k(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        reply = engine.search(SearchPlan((keyword("red shoe", k=1),)))
        assert (len(ids(reply)), reply.total, reply.relation) == (1, 3, "eq")

    @pytest.mark.parametrize("text", ["", "the of and", "!!!", "zzz"])
    def test_a_query_without_known_words_finds_nothing(self, engine: Engine, text: str) -> None:
        write(engine, CATALOGUE)
        reply = engine.search(SearchPlan((keyword(text),)))
        assert (ids(reply), reply.total) == ((), 0)

    def test_chinese_is_found_by_characters_and_pairs_of_them(self, engine: Engine) -> None:
        write(engine, [Product(id="1", title="红色连衣裙"), Product(id="2", title="蓝色裙子"), Product(id="3", title="衣连")])
        assert ids(engine.search(SearchPlan((keyword("连衣裙", need="100%"),)))) == ("1",)
        assert set(ids(engine.search(SearchPlan((keyword("裙"),))))) == {"1", "2"}

    def test_changed_and_deleted_products_leave_no_trace_in_the_statistics(self, engine: Engine, settle: Callable[[Engine], None]) -> None:
        write(engine, [p.model_copy(update={"title": "red red lamp shoe"}) for p in CATALOGUE])
        write(engine, [*CATALOGUE, Product(id="x", title="red red red")])
        engine.delete(["x"], refresh=True)
        settle(engine)
        hits = engine.search(SearchPlan((keyword("red"),))).legs["bm25"]
        assert hits.scores == pytest.approx([bm25(2, 3, 2, [2, 3, 2, 2]), bm25(1, 2, 2, [2, 3, 2, 2])], rel=1e-5)

    def test_an_unknown_text_field_is_named(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        with pytest.raises(QueryError, match="'sku'"):
            engine.search(SearchPlan((keyword("red", fields={"sku": 1.0}),)))

    def test_a_wrong_minimum_should_match_is_named(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        with pytest.raises(QueryError, match="minimum_should_match"):
            engine.search(SearchPlan((keyword("red", need="most"),)))


class VectorContract:
    """Exact kNN."""

    VECTORS = {"a": [unit(1, 0, 0, 0)], "b": [unit(0, 1, 0, 0), unit(1, 1, 0, 0)], "c": [unit(-1, 0, 0, 0)], "d": [unit(1, 0, 0, 0)]}

    def _leg(self, *, k: int = 10, min_score: float = -1.0) -> VectorLeg:
        return VectorLeg("knn", SPACE.key, unit(1, 0, 0, 0), k, min_score)

    def test_scores_are_cosines_best_first_ties_by_id(self, engine: Engine) -> None:
        write(engine, CATALOGUE, vectors=self.VECTORS)
        hits = engine.search(SearchPlan((self._leg(),))).legs["knn"]
        assert hits.ids == ("a", "d", "b", "c")
        assert hits.scores == pytest.approx([1, 1, math.sqrt(0.5), -1], abs=1e-3)
        assert hits.scores.dtype == np.float32

    def test_a_product_counts_once_by_its_best_vector(self, engine: Engine) -> None:
        write(engine, CATALOGUE, vectors=self.VECTORS)
        reply = engine.search(SearchPlan((self._leg(k=3),)))
        assert ids(reply, "knn") == ("a", "d", "b")
        assert reply.total == 3

    def test_k_may_exceed_the_rows(self, engine: Engine) -> None:
        write(engine, CATALOGUE, vectors=self.VECTORS)
        assert len(ids(engine.search(SearchPlan((self._leg(k=1_000),))), "knn")) == 4

    def test_filters_come_first(self, engine: Engine) -> None:
        write(engine, CATALOGUE, vectors=self.VECTORS)
        reply = engine.search(SearchPlan((self._leg(k=2),), (Range("price", gte=15),)))
        assert ids(reply, "knn") == ("b", "c")

    def test_hits_below_the_cut_off_are_dropped_and_not_counted(self, engine: Engine) -> None:
        write(engine, CATALOGUE, vectors=self.VECTORS)
        reply = engine.search(SearchPlan((self._leg(min_score=0.5),)))
        assert (ids(reply, "knn"), reply.total) == (("a", "d", "b"), 3)

    def test_replaced_and_removed_vectors_are_gone(self, engine: Engine) -> None:
        write(engine, CATALOGUE, vectors=self.VECTORS)
        changed = CATALOGUE[0].model_copy(update={"price": 11.0})
        engine.put([ProductWrite(changed, {"image": ("new",)})])
        engine.write_vectors([VectorWrite("a", SPACE.key, ("new",), unit(0, 0, 1, 0)[None])])
        engine.delete(["d"])
        engine.refresh()
        hits = engine.search(SearchPlan((self._leg(),))).legs["knn"]
        assert hits.ids == ("b", "a", "c")
        assert hits.scores == pytest.approx([math.sqrt(0.5), 0, -1], abs=1e-3)

    def test_a_space_without_vectors_has_no_hits(self, engine: Engine) -> None:
        engine.add_space(SPACE)
        assert ids(engine.search(SearchPlan((self._leg(),))), "knn") == ()
        write(engine, CATALOGUE)
        assert ids(engine.search(SearchPlan((self._leg(),))), "knn") == ()

    def test_a_dropped_space_is_unknown_and_a_new_one_of_its_name_starts_empty(self, engine: Engine) -> None:
        write(engine, CATALOGUE, vectors=self.VECTORS)
        engine.drop_space(SPACE.key)
        engine.refresh()
        with pytest.raises(QueryError, match=SPACE.key):
            engine.search(SearchPlan((self._leg(),)))
        engine.add_space(SPACE)
        engine.refresh()
        assert ids(engine.search(SearchPlan((self._leg(),))), "knn") == ()

    def test_a_vector_of_another_dimension_is_refused_with_both(self, engine: Engine) -> None:
        write(engine, CATALOGUE, vectors=self.VECTORS)
        with pytest.raises(QueryError, match=r"3.*4"):
            engine.search(SearchPlan((VectorLeg("knn", SPACE.key, unit(1, 0, 0), 5),)))


class FilterContract:
    """Filters, alone and together."""

    @pytest.mark.parametrize(
        ("one", "expected"),
        [
            (Terms("brand", ("Acme",)), "ac"),
            (Terms("brand", ("Acme", "Bolt")), "abc"),
            (Terms("brand", ("Acme",), exclude=True), "bde"),
            (Terms("id", ("a", "e", "zz")), "ae"),
            (Terms("availability", ("in_stock",)), "acde"),
            (Terms("attributes.fit", ("slim",)), "ac"),
            (Terms("attributes.fit", ("long",)), "a"),
            (Terms("attributes.unheard", ("x",)), ""),
            (Terms("category", ("Wear > Shoes",)), "ac"),
            (Terms("brand", ()), ""),
            (Range("price", gte=20), "bc"),
            (Range("price", gt=20), "c"),
            (Range("price", lte=20), "ab"),
            (Range("price", lt=20), "a"),
            (Range("price", gte=10, lt=30), "ab"),
            (Range("price", gte=20, exclude=True), "ade"),
            (Range("rating", gte=4.5), "ad"),
            (Range("popularity", lte=0), "ce"),
            (Range("rating_count", gte=0), "abcde"),
            (Range("created", gte=1_704_067_200, lte=1_704_067_200), "a"),
            (CategoryPrefix(("Wear",)), "abc"),
            (CategoryPrefix(("Wear", "Shoes")), "ac"),
            (CategoryPrefix(("Shoes",)), ""),
            (CategoryPrefix(("Wear", "Shoes"), exclude=True), "bde"),
            (Exists("price"), "abc"),
            (Exists("price", exclude=True), "de"),
            (Exists("attributes.fit"), "ac"),
            (Exists("category"), "abcd"),
            (Exists("color"), "a"),
        ],
    )
    def test_one_filter(self, engine: Engine, one: Filter, expected: str) -> None:
        write(engine, CATALOGUE)
        assert browse(engine, one) == set(expected)

    def test_filters_are_joined_by_and(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        assert browse(engine, CategoryPrefix(("Wear",)), Terms("brand", ("Acme",)), Range("price", lt=30)) == {"a"}

    def test_excluded_ids_are_in_no_leg_count_or_facet(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        reply = engine.search(SearchPlan((keyword("shoe"),), facets=(FacetRequest("brand"),), exclude_ids=("a", "unknown")))
        assert (ids(reply), reply.total) == (("c",), 1)
        assert reply.facets[0].buckets == (Bucket("Acme", 1),)

    def test_changed_fields_are_followed(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        write(engine, [Product(id="a", title="red shoe", brand="New", price=99, attributes={"sole": "leather"}, category=["Home"])])
        assert browse(engine, Terms("brand", ("Acme",))) == {"c"}
        assert browse(engine, Exists("attributes.fit")) == {"c"}
        assert browse(engine, Terms("attributes.sole", ("leather",))) == {"a"}
        assert browse(engine, CategoryPrefix(("Home",))) == {"a", "d"}
        assert browse(engine, Range("price", gt=50)) == {"a"}
        assert browse(engine, Exists("rating")) == {"c", "d"}

    @pytest.mark.parametrize("one", [Terms("title", ("x",)), Range("brand", gte=1), Exists("weight"), Terms("attributes.", ("x",))])
    def test_an_unknown_field_is_named(self, engine: Engine, one: Filter) -> None:
        write(engine, CATALOGUE)
        with pytest.raises(QueryError, match="Unknown field"):
            engine.search(SearchPlan((AllLeg("all", 1),), (one,)))


class FacetContract:
    """Counts, totals, sort: all over one match set."""

    def _facet(self, engine: Engine, request: FacetRequest, *filters: Filter) -> list[tuple[str, int]]:
        facet = engine.search(SearchPlan((AllLeg("all", 1),), filters, (request,))).facets[0]
        assert facet.field == request.field
        return [(bucket.value, bucket.count) for bucket in facet.buckets]

    def test_values_by_count_then_value(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        assert self._facet(engine, FacetRequest("brand")) == [("Acme", 2), ("Bolt", 1), ("acme", 1)]
        assert self._facet(engine, FacetRequest("availability")) == [("in_stock", 4), ("out_of_stock", 1)]

    def test_several_values_of_a_product_all_count(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        assert self._facet(engine, FacetRequest("attributes.fit")) == [("slim", 2), ("long", 1)]
        assert self._facet(engine, FacetRequest("attributes.unheard")) == []

    def test_a_category_counts_in_each_level(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        expected = [("Wear", 3), ("Wear > Shoes", 2), ("Home", 1), ("Wear > Dresses", 1), ("Wear > Shoes > Boots", 1)]
        assert self._facet(engine, FacetRequest("category")) == expected

    def test_what_lies_beyond_the_size_is_counted_as_others(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        facet = engine.search(SearchPlan((AllLeg("all", 1),), facets=(FacetRequest("brand", size=1),))).facets[0]
        assert (facet.buckets, facet.others) == ((Bucket("Acme", 2),), 2)

    def test_ranges_are_half_open(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        facet = engine.search(SearchPlan((AllLeg("all", 1),), facets=(FacetRequest("price", edges=(10.0, 20.0)),))).facets[0]
        assert [(b.low, b.high, b.count) for b in facet.buckets] == [(None, 10, 0), (10, 20, 1), (20, None, 2)]

    def test_facets_see_the_filters_and_the_keyword_matches(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        assert self._facet(engine, FacetRequest("brand"), Range("price", gte=15)) == [("Acme", 1), ("Bolt", 1)]
        plan = SearchPlan((keyword("red", k=1),), facets=(FacetRequest("brand"),))
        assert [(b.value, b.count) for b in engine.search(plan).facets[0].buckets] == [("Acme", 1), ("Bolt", 1)]

    def test_the_match_set_is_keyword_matches_and_vector_hits(self, engine: Engine) -> None:
        write(engine, CATALOGUE, vectors=VectorContract.VECTORS)
        legs: tuple[Leg, ...] = (keyword("dress"), VectorLeg("knn", SPACE.key, unit(1, 0, 0, 0), 2))
        reply = engine.search(SearchPlan(legs, facets=(FacetRequest("brand"),), sort=(SortKey("price"),), sort_limit=10))
        assert reply.total == 3
        assert [(b.value, b.count) for b in reply.facets[0].buckets] == [("Acme", 1), ("Bolt", 1), ("acme", 1)]
        assert reply.sorted_ids == ("a", "b", "d")

    def test_sort_puts_missing_values_last_and_ties_by_id(self, engine: Engine) -> None:
        write(engine, CATALOGUE)

        def order(*keys: SortKey, limit: int = 10) -> str:
            return "".join(engine.search(SearchPlan((AllLeg("all", 1),), sort=keys, sort_limit=limit)).sorted_ids or ())

        assert order(SortKey("price")) == "abcde"
        assert order(SortKey("price", descending=True)) == "cbade"
        assert order(SortKey("rating", descending=True), SortKey("popularity", descending=True)) == "dacbe"
        assert order(SortKey("popularity", descending=True), limit=2) == "da"

    def test_no_sort_gives_no_order(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        assert engine.search(SearchPlan((AllLeg("all", 1),))).sorted_ids is None

    @pytest.mark.parametrize("plan", [
        SearchPlan((AllLeg("all", 1),), facets=(FacetRequest("title"),)),
        SearchPlan((AllLeg("all", 1),), facets=(FacetRequest("brand", edges=(1.0,)),)),
        SearchPlan((AllLeg("all", 1),), sort=(SortKey("brand"),), sort_limit=3),
    ])  # fmt: skip
    def test_a_field_that_cannot_be_counted_or_sorted_is_named(self, engine: Engine, plan: SearchPlan) -> None:
        write(engine, CATALOGUE)
        with pytest.raises(QueryError, match="Unknown field"):
            engine.search(plan)


class LifeContract:
    """Browsing, refresh, sequence numbers, deletion."""

    def test_browsing_is_by_popularity_then_id(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        hits = engine.search(SearchPlan((AllLeg("all", 4),))).legs["all"]
        assert hits.ids == ("d", "a", "b", "c")
        assert hits.scores.tolist() == [7, 3, 3, 0]

    def test_an_empty_engine_answers(self, engine: Engine) -> None:
        engine.refresh()
        reply = engine.search(SearchPlan((keyword("red"), AllLeg("all", 3)), (Range("price", gte=1),), (FacetRequest("brand"),)))
        assert (reply.total, ids(reply), ids(reply, "all"), reply.facets[0].buckets) == (0, (), (), ())

    def test_refresh_returns_the_sequence_that_a_search_then_sees(self, engine: Engine) -> None:
        seq = write(engine, CATALOGUE)
        assert engine.search(SearchPlan((AllLeg("all", 1),))).seq >= seq
        assert engine.status().indexed_seq >= seq

    def test_deleted_products_are_gone_and_may_come_back(self, engine: Engine) -> None:
        write(engine, CATALOGUE, vectors=VectorContract.VECTORS)
        engine.delete(["a"], refresh=True)
        plan = SearchPlan((keyword("shoe"), AllLeg("all", 10), VectorLeg("knn", SPACE.key, unit(1, 0, 0, 0), 10)))
        reply = engine.search(plan)
        assert (ids(reply), ids(reply, "all"), ids(reply, "knn")) == (("c",), ("d", "b", "c", "e"), ("d", "b", "c"))
        write(engine, [Product(id="a", title="yellow shoe")])
        reply = engine.search(plan)
        assert (ids(reply), ids(reply, "knn")) == (("a", "c"), ("d", "b", "c"))

    def test_an_exhausted_time_names_the_legs_it_left_out(self, engine: Engine) -> None:
        write(engine, CATALOGUE)
        reply = engine.search(SearchPlan((keyword("red"),), timeout=0.0))
        assert set(reply.failed) | set(reply.legs) == {"bm25"}

    def test_each_answered_leg_tells_the_engines_own_time(self, engine: Engine) -> None:
        write(engine, CATALOGUE, vectors=VectorContract.VECTORS)
        plan = SearchPlan((keyword("red"), VectorLeg("knn", SPACE.key, unit(1, 0, 0, 0), 3), AllLeg("all", 3)))
        engine.search(plan)  # a server's first search of an index may load it
        started = time.perf_counter()
        seconds = [engine.search(plan).leg_seconds for _ in range(20)]
        took = time.perf_counter() - started
        assert {tuple(sorted(told)) for told in seconds} == {("all", "bm25", "knn")}
        # servers tell whole milliseconds, of legs that they may answer side by side
        assert all(0 <= value <= took + 0.001 for told in seconds for value in told.values())


class SearchContract(KeywordContract, VectorContract, FilterContract, FacetContract, LifeContract):
    """All of it."""
