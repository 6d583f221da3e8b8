"""What every engine does with products: subclass ``CatalogContract`` where a fixture ``engine`` gives an empty engine."""

from __future__ import annotations

from hybrid_search.engines.base import Engine, ProductWrite, scan_all
from hybrid_search.product import Product
from hybrid_search.types import State
from tests.contracts.engine_cases import CROSS, IMAGE, TEXT, document, entry, rows, state, vectors, write


class CatalogContract:
    def test_a_product_comes_back_as_written(self, engine: Engine) -> None:
        product = Product(id="a", title="红色 shoe", category=("Wear", "Shoes"), price=9.5, attributes={"fit": ("slim", "long")})
        assert [r.result for r in engine.put([ProductWrite(product, {"text": ("h",)})])] == ["created"]
        assert document(engine, "a").body == product.body()
        assert Product.model_validate(document(engine, "a").body) == product

    def test_fetch_keeps_the_order_asked_for_and_tells_what_is_missing(self, engine: Engine) -> None:
        engine.put([write("a"), write("b")])
        found = engine.fetch(["b", "nobody", "a", "b", "\ud800"])
        assert [d.id if d else None for d in found] == ["b", None, "a", "b", None]

    def test_an_equal_product_changes_nothing(self, engine: Engine) -> None:
        engine.put([write("a", price=1)])
        before, seq = document(engine, "a"), engine.status().seq
        assert [r.result for r in engine.put([write("a", price=1)])] == ["noop"]
        assert document(engine, "a") == before
        assert engine.status().seq == seq

    def test_a_change_moves_the_sequence_and_leaves_the_other_products(self, engine: Engine) -> None:
        engine.put([write("a"), write("b")])
        a, b = document(engine, "a"), document(engine, "b")
        assert [r.result for r in engine.put([write("a", price=2), write("b")])] == ["updated", "noop"]
        assert document(engine, "a").seq > a.seq
        assert document(engine, "b") == b

    def test_the_last_write_of_an_id_in_a_batch_stands(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        results = engine.put(
            [write("a", title="one", text="t1"), write("b"), write("a", title="two", text="t2"), write("a", title="two", text="t2")]
        )
        assert [(r.id, r.result) for r in results] == [("a", "created"), ("b", "created"), ("a", "updated"), ("a", "noop")]
        assert document(engine, "a").body["title"] == "two"
        assert entry(engine, "a", TEXT).parts == ("t2",)

    def test_an_empty_batch_is_allowed(self, engine: Engine) -> None:
        assert engine.put([]) == []
        assert engine.delete([]) == []
        assert engine.fetch([]) == []

    def test_every_part_becomes_pending_in_the_spaces_made_from_it(self, engine: Engine) -> None:
        for space in (TEXT, IMAGE, CROSS):
            engine.add_space(space)
        engine.put([write("both", text="t", images=("i", "j")), write("words", images=()), write("picture", text="")])
        assert {key: e.parts for key, e in document(engine, "both").ledger.items()} == {
            "text_1": ("t",), "image_1": ("i", "j"), "cross_1": ("i", "j"),
        }  # fmt: skip
        assert set(document(engine, "words").ledger) == {"text_1"}
        assert set(document(engine, "picture").ledger) == {"image_1", "cross_1"}
        assert entry(engine, "both", CROSS).model == "map-model"
        assert all(e.state is State.PENDING and e.attempts == 0 and e.error is None for e in document(engine, "both").ledger.values())

    def test_a_price_change_embeds_nothing_again(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.put([write("a", price=1)])
        engine.write_vectors([vectors("a", TEXT, ("t1",))])
        engine.put([write("a", price=2)])
        assert state(engine, "a", TEXT) is State.READY

    def test_only_the_changed_part_is_pending_and_its_old_vectors_serve_until_then(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.add_space(IMAGE)
        engine.put([write("a")])
        engine.write_vectors([vectors("a", TEXT, ("t1",)), vectors("a", IMAGE, ("i1",))])
        engine.put([write("a", text="t2")])
        assert (state(engine, "a", TEXT), state(engine, "a", IMAGE)) == (State.PENDING, State.READY)
        assert (engine.read_vectors("text_1", ["a"])[0] == rows(1, 3)).all()  # type: ignore[union-attr]

    def test_a_part_that_goes_takes_its_entry_and_vectors(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.add_space(IMAGE)
        engine.put([write("a")])
        engine.write_vectors([vectors("a", TEXT, ("t1",)), vectors("a", IMAGE, ("i1",))])
        engine.put([write("a", images=())])
        assert set(document(engine, "a").ledger) == {"text_1"}
        assert engine.read_vectors("image_1", ["a"]) == [None]
        assert engine.read_vectors("text_1", ["a"])[0] is not None

    def test_delete_takes_everything_and_tells_unknown_ids(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.put([write("a"), write("b")])
        engine.write_vectors([vectors("a", TEXT, ("t1",))])
        results = engine.delete(["a", "nobody", "a"])
        assert [(r.id, r.result) for r in results] == [("a", "deleted"), ("nobody", "missing"), ("a", "missing")]
        assert engine.fetch(["a"]) == [None]
        assert engine.read_vectors("text_1", ["a"]) == [None]
        assert engine.status().products == 1
        assert engine.status().states["text_1"] == {State.PENDING: 1, State.READY: 0, State.FAILED: 0}

    def test_a_deleted_product_can_come_back_without_its_past(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.put([write("a")])
        engine.write_vectors([vectors("a", TEXT, ("t1",))])
        engine.delete(["a"])
        assert [r.result for r in engine.put([write("a")])] == ["created"]
        assert state(engine, "a", TEXT) is State.PENDING
        assert engine.read_vectors("text_1", ["a"]) == [None]

    def test_scan_reads_everything_once_in_order_of_code_points(self, engine: Engine) -> None:
        ids = ["b", "a", "Z", "é", "a b", "商品", "a1", "𝄞", "\uffee"]
        engine.put([write(id_) for id_ in ids])
        engine.delete(["a1"])
        assert [d.id for d in scan_all(engine, page=2)] == sorted(set(ids) - {"a1"})
        assert engine.scan(after="商品", limit=1)[0].id == "\uffee"
