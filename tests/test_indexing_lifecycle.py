"""The life of a version of a space on a real engine: gates with exact figures, pins, prepare and take, what a drop refuses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybrid_search.control import edit_control
from hybrid_search.encoders.base import ModelCard
from hybrid_search.engines.base import EngineStatus
from hybrid_search.engines.presence import Announcer, Presence, Roster
from hybrid_search.errors import ConflictError, NotFoundError
from hybrid_search.indexing import lifecycle
from hybrid_search.indexing.coverage import Coverage, coverage, failed_in
from hybrid_search.indexing.estimate import Estimate, Storage, estimate, size_of
from hybrid_search.indexing.reconcile import Finding, Reconciled, reconcile
from hybrid_search.indexing.spaces import ensure_spaces
from hybrid_search.query.parts import SpaceReader
from hybrid_search.types import FailureWrite, Requeue, Space, State, VectorWrite
from tests.indexing_parts import DIM, Shop, color, direction, product

NEWER = ModelCard("newer-text", DIM, "text", "CC0-1.0", "1")
WANTED = Space("text", 0, DIM, "text", NEWER.name, {"text": NEWER.name})


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "home")
    yield made
    made.engine.close()


def filled(shop: Shop, space: str, count: int, *, failed: int = 0) -> None:
    """The first ``count`` products ready in ``space``, the next ``failed`` ones failed, the rest as it is."""
    parts = {i: shop.engine.fetch([f"p{i}"])[0].ledger[space].parts for i in range(count + failed)}  # type: ignore[union-attr]
    shop.engine.write_vectors([VectorWrite(f"p{i}", space, parts[i], direction(str(i))) for i in range(count)])
    shop.engine.write_failures(
        [FailureWrite(f"p{i}", space, parts[i], "encoder: It broke.", final=True) for i in range(count, count + failed)]
    )


# --- gates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ready", "pending", "failed", "passes"),
    [(995, 5, 0, True), (994, 6, 0, False), (995, 0, 5, True), (199, 1, 0, True), (198, 1, 1, False), (0, 0, 0, True), (0, 1, 0, False)],
)
def test_coverage_is_counted_over_the_products_that_have_the_part(ready: int, pending: int, failed: int, passes: bool) -> None:
    found = Coverage("text_1", ready, pending, failed)
    assert found.enough() is passes
    assert found.share == (ready / (ready + pending + failed) if ready + pending + failed else 1.0)


def test_the_coverage_gate_names_the_failed_products_and_lets_force_pass(shop: Shop) -> None:
    shop.put(*(product(i) for i in range(200)))
    filled(shop, "text_1", 198, failed=1)
    assert coverage(shop.engine.status(), "text_1") == Coverage("text_1", 198, 1, 1)
    with pytest.raises(ConflictError, match=r"198 of 200 products \(99.00%\), not for 99.5%: 1 pending, 1 failed. Failed: p198"):
        lifecycle.check_coverage(shop.engine, "text_1")
    assert lifecycle.check_coverage(shop.engine, "text_1", at_least=0.0).ready == 198
    filled(shop, "text_1", 198)
    shop.engine.retry_failures()
    shop.embed_all()
    assert lifecycle.check_coverage(shop.engine, "text_1").share == 1.0


def test_failed_products_of_one_space_are_found_behind_those_of_others(shop: Shop) -> None:
    shop.put(*(product(i, "gone:x") for i in range(30)))
    filled(shop, "image_1", 0, failed=30)
    filled(shop, "text_1", 28, failed=2)
    assert [failure.product_id for failure in failed_in(shop.engine, "text_1")] == ["p28", "p29"]
    assert len(failed_in(shop.engine, "image_1", limit=7)) == 7


# --- estimate --------------------------------------------------------------------------------------------------------


def test_the_estimate_is_vectors_times_dimensions_times_bytes(shop: Shop) -> None:
    shop.put(*(product(i, color(i), color(i + 50)) for i in range(10)), *(product(i) for i in range(10, 30)))
    # embedded float16: 3 bytes searched and 4 stored per dimension; two pictures for each of ten products
    assert estimate(shop.engine, "image", 100, Storage("embedded")) == Estimate(10, 20, 100, 20 * 100 * 3, 20 * 100 * 7)
    assert estimate(shop.engine, "text", 100, Storage("embedded", "float32")) == Estimate(30, 30, 100, 30 * 100 * 4, 30 * 100 * 8)


def test_servers_keep_a_graph_the_source_and_copies() -> None:
    assert size_of(1_000, 384, Storage("opensearch", replicas=1)) == (2 * 1_000 * (384 * 4 + 150), 2 * 1_000 * (384 * 17 + 150))


# --- add -------------------------------------------------------------------------------------------------------------


def test_a_new_version_pins_what_answers_and_both_follow_every_change(shop: Shop) -> None:
    shop.put(product(1))
    shop.embed_all()
    made = lifecycle.add(shop.engine, WANTED, "newer:argument", {"text": "text_1"})
    assert made == replace(WANTED, version=2)
    control = lifecycle.stored_control(shop.engine)
    assert (control.active_spaces, control.encoders) == ({"text": "text_1"}, {"newer-text": "newer:argument"})
    shop.put(product(1, description="changed"), product(2))
    assert {key: entry[0] for key, entry in shop.ledger("p1").items()} == {"text_1": "pending", "text_2": "pending"}
    assert {key: entry[0] for key, entry in shop.ledger("p2").items()} == {"text_1": "pending", "text_2": "pending"}
    with pytest.raises(ConflictError, match="text_2 is already by 'newer-text'"):
        lifecycle.add(shop.engine, WANTED, "newer:argument", {"text": "text_1"})


def test_an_encoder_in_the_settings_makes_no_version_of_a_pinned_name(shop: Shop) -> None:
    other = replace(NEWER, name="of-the-settings")
    ensure_spaces(shop.engine, other, shop.image.card, pinned={"text": "text_1"})
    assert [space.key for space in shop.engine.spaces()] == ["text_1", "image_1"]
    ensure_spaces(shop.engine, other, shop.image.card)
    assert [space.key for space in shop.engine.spaces()] == ["text_1", "image_1", "text_2"]


def test_one_model_for_words_and_pictures_lets_words_ask_pictures() -> None:
    text, image = replace(NEWER, name="clip"), replace(NEWER, name="clip", modality="image")
    assert lifecycle.wanted_space((text, image), "image").query_models == {"image": "clip", "text": "clip"}
    assert lifecycle.wanted_space((text, image), "text") == Space("text", 0, DIM, "text", "clip", {"text": "clip"})
    assert lifecycle.wanted_space((None, image), "image").query_models == {"image": "clip"}


# --- switching -------------------------------------------------------------------------------------------------------


class Process:
    """An API process as the roster sees it: prepares what it is asked to after ``slow`` looks, unless it lacks the model."""

    def __init__(self, shop: Shop, name: str, *, slow: int = 0, lacks: str = "", deaf: bool = False) -> None:
        self.shop, self.name, self.left, self.lacks, self.deaf = shop, name, slow, lacks, deaf
        self.active: dict[str, str] = {}
        self.prepared_first = False

    def look(self) -> Presence:
        version, body = self.shop.engine.read_control()
        wanted: list[str] = list(body.get("prepared_spaces", ()))
        faults: Mapping[str, str] = dict.fromkeys(wanted, self.lacks) if self.lacks else {}
        if wanted and self.left:
            self.left -= 1
            wanted = []
        if not self.deaf:
            self.active = dict(body.get("active_spaces", {}))
        return Presence(
            self.name, "api", control_version=version, active=self.active, prepared=() if faults else tuple(wanted), faults=faults
        )


@contextmanager
def running(shop: Shop, *processes: Process) -> Iterator[None]:
    roster = Roster(shop.engine)
    for process in processes:
        roster.say(process.look())
    announcers = [Announcer(roster, process.look, every=0.02) for process in processes]
    try:
        yield
    finally:
        for announcer in announcers:
            announcer.close()


@pytest.fixture
def moving(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose second text version is made; nothing is indexed here, so nothing is waited for."""
    lifecycle.add(shop.engine, WANTED, NEWER.name, {"text": "text_1"})
    monkeypatch.setattr(shop.engine, "refresh", lambda timeout=30.0: 0)
    return shop


def test_a_cut_over_waits_for_every_process_and_remembers_the_way_back(moving: Shop) -> None:
    engine, target = moving.engine, lifecycle.find(moving.engine, "text_2")
    seen: list[tuple[int, int]] = []
    with running(moving, Process(moving, "quick"), Process(moving, "slow", slow=5)):
        done = lifecycle.switch(engine, target, "text_1", on_wait=lambda ready, total: seen.append((ready, total)))
        assert (done.before, done.now, done.processes, done.late) == ("text_1", "text_2", 2, ())
        assert seen[0][0] < 2 and seen[-1] == (2, 2), "nothing is switched before all have the model"
        control = lifecycle.stored_control(engine)
        assert (control.active_spaces, control.previous_spaces, control.prepared_spaces) == ({"text": "text_2"}, {"text": "text_1"}, ())
        back = lifecycle.switch(engine, lifecycle.rollback_target(engine, "text"), "text_2")
        assert (back.now, back.late) == ("text_1", ())
    assert lifecycle.rollback_target(engine, "text").key == "text_2", "and forth again"
    assert Roster(engine).present("api") == [], "who ends takes its line out"


def test_nothing_is_switched_when_a_process_lacks_the_model(moving: Shop) -> None:
    target = lifecycle.find(moving.engine, "text_2")
    with (
        running(moving, Process(moving, "good"), Process(moving, "poor", lacks="The weights are not there.")),
        pytest.raises(ConflictError, match="poor: The weights are not there."),
    ):
        lifecycle.switch(moving.engine, target, "text_1", prepare_seconds=5.0)
    control = lifecycle.stored_control(moving.engine)
    assert (control.active_spaces, control.prepared_spaces, control.previous_spaces) == ({"text": "text_1"}, (), {})


def test_nothing_is_switched_to_a_version_that_is_dropped_while_models_load(moving: Shop) -> None:
    engine, target = moving.engine, lifecycle.find(moving.engine, "text_2")
    with pytest.raises(NotFoundError, match="text_2"):
        lifecycle.switch(engine, target, "text_1", on_wait=lambda ready, total: lifecycle.drop(engine, "text_2", {"text": "text_1"}))
    control = lifecycle.stored_control(engine)
    assert (control.active_spaces, control.prepared_spaces, control.previous_spaces) == ({"text": "text_1"}, (), {})


def test_products_are_counted_only_where_there_are_versions_to_choose_from(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[EngineStatus] = []
    status = shop.engine.status

    def count() -> EngineStatus:
        counted.append(status())
        return counted[-1]

    monkeypatch.setattr(shop.engine, "status", count)
    reader = SpaceReader(shop.engine, every=0.0)
    assert reader.active({})["text"].key == "text_1"
    assert counted == []
    shop.engine.add_space(replace(WANTED, version=2))
    assert reader.active({})["text"].key == "text_1", "the new one has no vectors yet"
    assert len(counted) == 1


def test_a_process_that_does_not_follow_is_named(moving: Shop) -> None:
    target = lifecycle.find(moving.engine, "text_2")
    with running(moving, Process(moving, "good"), Process(moving, "deaf", deaf=True)):
        done = lifecycle.switch(moving.engine, target, "text_1", take_seconds=0.5)
    assert done.late == ("deaf",)


def test_a_rollback_needs_something_to_return_to(moving: Shop) -> None:
    with pytest.raises(NotFoundError, match="No cut-over of 'text'"):
        lifecycle.rollback_target(moving.engine, "text")
    with pytest.raises(NotFoundError, match="no space named 'words'"):
        lifecycle.rollback_target(moving.engine, "words")
    lifecycle.switch(moving.engine, lifecycle.find(moving.engine, "text_2"), "text_1")
    moving.engine.drop_space("text_1")
    with pytest.raises(ConflictError, match="text_1 was dropped"):
        lifecycle.rollback_target(moving.engine, "text")


def test_a_drop_refuses_what_answers_and_the_only_version(moving: Shop) -> None:
    engine = moving.engine
    with pytest.raises(ConflictError, match="text_1 answers queries"):
        lifecycle.drop(engine, "text_1", {"text": "text_1"})
    with pytest.raises(ConflictError, match="only version of 'image'"):
        lifecycle.drop(engine, "image_1", {"text": "text_1"})
    with pytest.raises(NotFoundError, match="Existing spaces: text_1, image_1, text_2"):
        lifecycle.drop(engine, "text_9", {})
    Roster(engine).say(Presence("one", "api", active={"text": "text_2"}))
    with pytest.raises(ConflictError, match="text_2 still answers queries in one"):
        lifecycle.drop(engine, "text_2", {"text": "text_1"})
    Roster(engine).withdraw("one")
    edit_control(engine, lambda body: body.update(encoders={"newer-text": "newer:x"}, previous_spaces={"text": "text_2"}))
    lifecycle.drop(engine, "text_2", {"text": "text_1"})
    assert [space.key for space in engine.spaces()] == ["text_1", "image_1"]
    control = lifecycle.stored_control(engine)
    assert (control.encoders, control.previous_spaces, control.active_spaces) == ({}, {}, {"text": "text_1"})


def test_what_nobody_can_embed_is_told(moving: Shop) -> None:
    assert lifecycle.unserved(moving.engine)["text_2"] == "no worker is running"
    roster = Roster(moving.engine)
    roster.say(Presence("w1", "worker", serves=("text_1", "image_1"), faults={"text_2": "No text encoder 'newer-text' here."}))
    assert lifecycle.unserved(moving.engine) == {"text_2": "No text encoder 'newer-text' here."}
    roster.say(Presence("w2", "worker", serves=("text_2",)))
    assert lifecycle.unserved(moving.engine) == {}


# --- the roster ------------------------------------------------------------------------------------------------------


def test_processes_that_write_the_roster_at_once_are_all_in_it_soon(shop: Shop) -> None:
    roster = Roster(shop.engine)
    announcers = [Announcer(roster, lambda name=f"p{i}": Presence(name, "api"), every=0.05) for i in range(8)]  # type: ignore[misc]
    deadline = time.monotonic() + 10.0
    while len(roster.present("api")) < 8 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(roster.present("api")) == 8
    for announcer in announcers:
        announcer.close()
    assert threading.active_count() < 8


def test_a_silent_process_is_gone_and_later_forgotten(shop: Shop) -> None:
    now = [1_000.0]
    roster = Roster(shop.engine, clock=lambda: now[0])
    assert roster.say(Presence("a", "api"))
    assert not roster.say(Presence("a", "api")), "nothing new, nothing written"
    assert roster.say(Presence("a", "api", active={"text": "text_1"}))
    now[0] += 16.0
    assert roster.present("api") == []
    now[0] += 300.0
    roster.say(Presence("b", "worker"))
    assert b'"a"' not in (shop.engine.read_blob("processes") or b"")
    shop.engine.write_blob("processes", b"[1, 2")
    assert roster.present("api") == []
    assert roster.say(Presence("b", "worker"))


# --- reconcile -------------------------------------------------------------------------------------------------------


def look(shop: Shop, *, mend: bool = False) -> Reconciled:
    return reconcile(shop.engine, shop.pictures, readable=lambda reference: not reference.startswith("gone"), mend=mend)


def broken(shop: Shop, sql: str, *values: object) -> None:
    """Damage that no code of ours does."""
    with shop.engine._store.write() as connection:
        connection.execute(sql, values)


SLOT = "(SELECT slot FROM products WHERE id = ?)"


def test_a_sound_index_has_nothing_to_mend(shop: Shop) -> None:
    shop.put(*(product(i, color(i)) for i in range(5)), product(5, "gone:x"), product(6))
    shop.embed_all()
    shop.put(product(1, description="pending now"))
    report = look(shop, mend=True)
    assert (report.products, report.found, report.mended, report.unreadable) == (7, 0, 0, 1)


def test_every_kind_of_damage_is_found_counted_and_mended(shop: Shop) -> None:
    shop.put(*(product(i, color(i)) for i in range(20)))
    shop.embed_all()
    before = shop.vectors("text_1", "p3")
    broken(shop, f"UPDATE ledger SET parts = '[\"other\"]' WHERE space = 'text_1' AND slot = {SLOT}", "p0")
    broken(shop, f"UPDATE ledger SET parts = '[\"other\"]', state = 'failed' WHERE space = 'text_1' AND slot = {SLOT}", "p1")
    broken(shop, f"UPDATE ledger SET model = 'another' WHERE space = 'text_1' AND slot = {SLOT}", "p2")
    broken(shop, f"DELETE FROM ledger WHERE space = 'text_1' AND slot = {SLOT}", "p3")
    broken(shop, f"DELETE FROM vectors WHERE space = 'image_1' AND slot = {SLOT}", "p4")
    short = np.zeros(DIM - 1, np.float32).tobytes()
    broken(shop, f"UPDATE vectors SET data = ? WHERE space = 'image_1' AND slot = {SLOT}", short, "p5")
    report = look(shop)
    assert dict(report.counts) == {
        (Finding.OTHER_CONTENT, "text_1"): 1,
        (Finding.FAILED_WITH_OTHER_CONTENT, "text_1"): 1,
        (Finding.OTHER_MODEL, "text_1"): 1,
        (Finding.NO_ENTRY, "text_1"): 1,
        (Finding.NO_VECTORS, "image_1"): 1,
        (Finding.WRONG_SHAPE, "image_1"): 1,
    }
    assert report.examples[Finding.NO_ENTRY, "text_1"] == ["p3"]
    assert shop.embed_all() == [], "looking mends nothing"
    calls = len(shop.text.calls), len(shop.image.calls)
    assert (look(shop, mend=True).mended, look(shop).found) == (6, 0)
    assert shop.engine.status().states["text_1"][State.PENDING] == 4
    shop.embed_all()
    assert (look(shop).found, (len(shop.text.calls), len(shop.image.calls))) == (0, calls), "from kept outputs, by no tower"
    np.testing.assert_array_equal(shop.vectors("text_1", "p3"), before)


def test_vectors_and_entries_of_a_part_that_is_gone_are_removed(shop: Shop) -> None:
    shop.put(product(1, color(1)), product(2))
    shop.embed_all()
    broken(
        shop,
        f"INSERT INTO vectors (slot, space, seq, rows, data) VALUES ({SLOT}, 'image_1', 1, 1, ?)",
        "p2",
        np.zeros(DIM, np.float32).tobytes(),
    )
    assert dict(look(shop, mend=True).counts) == {(Finding.ORPHANS, "image_1"): 1}
    assert shop.engine.read_vectors("image_1", ["p2"]) == [None]


def test_a_product_written_meanwhile_is_left_to_its_writer(shop: Shop) -> None:
    shop.put(product(1))
    shop.embed_all()
    broken(shop, f"DELETE FROM vectors WHERE space = 'text_1' AND slot = {SLOT}", "p1")
    requeue = shop.engine.requeue

    def late(requests: list[Requeue]) -> int:
        shop.put(product(1, price=3.0, currency="EUR"))
        return requeue(requests)

    shop.engine.requeue = late  # type: ignore[method-assign,assignment]
    report = look(shop, mend=True)
    assert (report.found, report.mended, report.skipped) == (1, 0, 1)
