"""What every engine does with spaces, vectors, tower outputs and the control document."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hybrid_search.engines.base import Engine
from hybrid_search.errors import ConflictError, NotFoundError
from hybrid_search.types import State, VectorWrite
from tests.contracts.engine_cases import CROSS, IMAGE, TEXT, Clock, document, entry, failure, rows, state, vectors, write


class VectorsContract:
    def test_spaces_keep_the_order_of_creation(self, engine: Engine) -> None:
        for space in (TEXT, CROSS, IMAGE):
            engine.add_space(space)
        engine.drop_space("text_1")
        engine.add_space(TEXT)
        assert engine.spaces() == (CROSS, IMAGE, TEXT)

    def test_an_equal_space_is_left_alone_and_another_refused(self, engine: Engine) -> None:
        engine.put([write("a")])
        engine.add_space(TEXT)
        engine.write_vectors([vectors("a", TEXT, ("t1",))])
        engine.add_space(TEXT)
        assert state(engine, "a", TEXT) is State.READY
        with pytest.raises(ConflictError, match="text_1"):
            engine.add_space(replace(TEXT, dim=4))

    def test_a_new_space_makes_every_product_with_its_part_pending(self, engine: Engine) -> None:
        engine.put([write("a"), write("words", images=()), write("gone")])
        engine.delete(["gone"])
        engine.add_space(IMAGE)
        assert entry(engine, "a", IMAGE).parts == ("i1",)
        assert document(engine, "words").ledger == {}
        assert engine.status().states == {"image_1": {State.PENDING: 1, State.READY: 0, State.FAILED: 0}}

    def test_a_dropped_space_leaves_nothing(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.add_space(IMAGE)
        engine.put([write("a")])
        engine.write_vectors([vectors("a", TEXT, ("t1",))])
        engine.drop_space("text_1")
        assert set(document(engine, "a").ledger) == {"image_1"}
        assert set(engine.status().states) == {"image_1"}
        assert engine.read_vectors("text_1", ["a"]) == [None]
        with pytest.raises(NotFoundError, match="text_1"):
            engine.drop_space("text_1")

    def test_vectors_come_back_as_written_and_make_ready(self, engine: Engine, clock: Clock) -> None:
        engine.add_space(IMAGE)
        engine.put([write("a", images=("i", "j")), write("b")])
        clock.now += 5
        given = VectorWrite("a", "image_1", ("i", "j"), np.array([[0.6, 0.8], [1, 0]], np.float32), "too_small: The second picture.")
        assert [r.result for r in engine.write_vectors([given])] == ["updated"]
        found = engine.read_vectors("image_1", ["b", "a"])
        assert found[0] is None
        assert found[1] is not None and found[1].dtype == np.float32
        np.testing.assert_array_equal(found[1], given.vectors)
        kept = entry(engine, "a", IMAGE)
        assert (kept.state, kept.error, kept.attempts, kept.updated) == (State.READY, given.error, 0, clock.now)

    def test_a_doubled_task_changes_nothing(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.put([write("a")])
        engine.write_vectors([vectors("a", TEXT, ("t1",))])
        before, seq = document(engine, "a"), engine.status().seq
        assert [r.result for r in engine.write_vectors([vectors("a", TEXT, ("t1",))])] == ["noop"]
        assert (document(engine, "a"), engine.status().seq) == (before, seq)

    def test_vectors_of_content_that_moved_on_are_refused(self, engine: Engine) -> None:
        engine.add_space(IMAGE)
        engine.put([write("a", images=("i", "j"))])
        late = [vectors("a", IMAGE, parts) for parts in (("i",), ("j", "i"), ("i", "j", "k"), ())]
        assert {r.result for r in engine.write_vectors(late)} == {"noop"}
        assert state(engine, "a", IMAGE) is State.PENDING
        assert engine.read_vectors("image_1", ["a"]) == [None]

    def test_vectors_of_a_product_or_space_that_is_gone_are_not_kept(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.put([write("a"), write("b")])
        engine.delete(["a"])
        results = engine.write_vectors([vectors("a", TEXT, ("t1",)), vectors("nobody", TEXT, ("t1",)), vectors("b", CROSS, ("i1",))])
        assert [r.result for r in results] == ["missing", "missing", "noop"]

    def test_a_wrong_dimension_refuses_the_batch(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.put([write("a"), write("b")])
        with pytest.raises(ConflictError, match=r"'b'.*\(1, 2\).*text_1.*3"):
            engine.write_vectors([vectors("a", TEXT, ("t1",)), VectorWrite("b", "text_1", ("t1",), rows(1, 2))])
        assert state(engine, "a", TEXT) is State.PENDING

    def test_a_space_of_texts_takes_one_vector_of_a_product(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.put([write("a")])
        with pytest.raises(ConflictError, match=r"2 vectors of 'a'.*text_1"):
            engine.write_vectors([VectorWrite("a", "text_1", ("t1",), rows(2, 3))])
        assert state(engine, "a", TEXT) is State.PENDING

    def test_not_a_number_is_no_vector(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.put([write("a")])
        with pytest.raises(ConflictError, match="NaN"):
            engine.write_vectors([VectorWrite("a", "text_1", ("t1",), np.full((1, 3), np.nan, np.float32))])

    def test_ready_without_any_vector_is_possible(self, engine: Engine) -> None:
        engine.add_space(IMAGE)
        engine.put([write("a")])
        engine.write_vectors([vectors("a", IMAGE, ("i1",))])
        engine.put([write("a", images=("i2",))])
        engine.write_vectors([vectors("a", IMAGE, ("i2",), count=0, error="blank: Nothing to see.")])
        assert state(engine, "a", IMAGE) is State.READY
        assert engine.read_vectors("image_1", ["a"]) == [None]

    def test_a_late_success_heals_a_failure(self, engine: Engine) -> None:
        engine.add_space(TEXT)
        engine.put([write("a")])
        engine.write_failures([failure("a", TEXT, ("t1",), final=True)])
        engine.write_vectors([vectors("a", TEXT, ("t1",))])
        assert (state(engine, "a", TEXT), engine.failures()) == (State.READY, [])

    def test_tower_outputs_are_kept_by_model_and_hash(self, engine: Engine) -> None:
        kept = {f"h{i}": rows(1, 5, i)[0] for i in range(300)}
        engine.save_tower_outputs("m", kept)
        engine.save_tower_outputs("other", {"h1": rows(1, 2)[0]})
        engine.save_tower_outputs("m", {"h2": rows(1, 5, 99)[0]})
        found = engine.tower_outputs("m", ["h1", "h2", "unknown"])
        assert set(found) == {"h1", "h2"}
        np.testing.assert_array_equal(found["h1"], kept["h1"])
        np.testing.assert_array_equal(found["h2"], rows(1, 5, 99)[0])
        assert found["h1"].dtype == np.float32 and found["h1"].flags.writeable


class ControlContract:
    def test_the_control_document_starts_empty(self, engine: Engine) -> None:
        assert engine.read_control() == (0, {})

    def test_a_write_needs_the_version_it_has_read(self, engine: Engine) -> None:
        assert engine.write_control({"weights": {"text": 0.5}}, expected_version=0) == 1
        with pytest.raises(ConflictError, match="version 1, not 0"):
            engine.write_control({}, expected_version=0)
        assert engine.read_control() == (1, {"weights": {"text": 0.5}})
        assert engine.write_control({}, expected_version=1) == 2


class BlobsContract:
    def test_a_blob_comes_back_until_it_is_replaced(self, engine: Engine) -> None:
        assert engine.read_blob("alignment:1") is None
        engine.write_blob("alignment:1", bytes(range(256)) * 5_000)
        engine.write_blob("a/b é", b"")
        assert engine.read_blob("alignment:1") == bytes(range(256)) * 5_000
        assert engine.read_blob("a/b é") == b""
        engine.write_blob("alignment:1", b"new")
        assert engine.read_blob("alignment:1") == b"new"
