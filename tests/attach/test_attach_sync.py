"""A side index follows a foreign one: first reading, changes, deletions, crashes on the way; theirs is only read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from hybrid_search.attach.config import AttachConfig, load_config
from hybrid_search.attach.position import PositionFile
from hybrid_search.attach.propose import propose
from hybrid_search.attach.source import Source, describe
from hybrid_search.attach.sync import Follower
from hybrid_search.attach.writing import attach_file
from hybrid_search.cli.main import app
from hybrid_search.engines.base import scan_all
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.errors import ConflictError, EngineUnavailable, SettingsError
from tests.attach.conftest import Server
from tests.attach.shops import COUNT, SHOPS, Shop
from tests.indexing_parts import DrawnPictures


class Side:
    """A side index in a folder, and a follower of a foreign index whose file was proposed by us."""

    def __init__(self, server: Server, index: str, home: Path, **follow: Any) -> None:
        self.server, self.index, self.home = server, index, home
        told = describe(server.transport, index)
        made = propose(told, Source(server.transport, told).sample(200))
        path = home / "attach.toml"
        home.mkdir(exist_ok=True)
        path.write_text(attach_file(server.url, told, made).replace('image_base = ""', 'image_base = "https://shop.example/media"'))
        config = load_config(path)
        self.config: AttachConfig = config.model_copy(update={"follow": config.follow.model_copy(update=follow)})
        self.engine = EmbeddedEngine(home, index=False)
        self.positions = PositionFile(home, server.url, index)

    def follower(self, transport: Any = None) -> Follower:
        transport = transport or self.server.transport
        source = Source(transport, describe(self.server.transport, self.index), self.config.source.filter)
        return Follower(source, self.engine, self.config, DrawnPictures(), self.positions)

    def titles(self) -> dict[str, str]:
        return {document.id: document.body["title"] for document in scan_all(self.engine)}

    def close(self) -> None:
        self.engine.close()


@pytest.fixture
def closing() -> Iterator[list[Side]]:
    sides: list[Side] = []
    yield sides
    for side in sides:
        side.close()


TITLE = {"magento": "name", "elasticpress": "post_title", "nested": "title"}


def renamed(shop: Shop, number: int, text: str, changed: Any) -> tuple[str, dict[str, Any]]:
    """Thing ``number`` with another title, written by the shop's own indexer at time or revision ``changed``."""
    id_, body = shop.document(number)
    body[TITLE[shop.name]] = {"en": text} if shop.name == "nested" else text
    key = {"magento": "updated_at", "elasticpress": "post_modified_gmt", "nested": "revision"}[shop.name]
    return id_, {**body, key: changed}


LATER: dict[str, Any] = {"magento": "2026-05-01 10:00:00", "elasticpress": "2026-05-01 10:00:00", "nested": 9_000}
OURS = {"magento": "1007", "elasticpress": "507", "nested": "N-007"}


@pytest.mark.parametrize("shop", SHOPS.values(), ids=SHOPS)
def test_a_side_index_follows_theirs(server: Server, shop: Shop, tmp_path: Path, closing: list[Side]) -> None:
    index = server.make(shop)
    side = Side(server, index, tmp_path / "home", **({"overlap": 10} if shop.name == "nested" else {}))
    closing.append(side)
    products = COUNT - 1 if shop.name == "elasticpress" else COUNT
    before = server.fingerprint(index)
    first = side.follower().round()
    assert (first.kind, first.created, first.rejected, first.compared) == ("full", products, 0, True)
    again = side.follower().round()
    assert (again.kind, again.created, again.updated, again.deleted) == ("changes", 0, 0, 0)
    assert server.fingerprint(index) == before  # three readings later theirs is what it was, operation counts included

    gone, _ = shop.document(9)
    server.write(index, [renamed(shop, 7, "A new name", LATER[shop.name])])
    server.transport.request("DELETE", f"/{index}/_doc/{gone}", params={"refresh": "true"})
    changed = side.follower().round(compare=True)
    assert (changed.kind, changed.created, changed.updated, changed.deleted) == ("changes", 0, 1, 1)
    assert changed.accepted < products / 2  # the overlap, not everything
    assert side.titles()[OURS[shop.name]] == "A new name"
    assert len(side.titles()) == products - 1


def test_a_write_that_comes_late_is_found_within_the_overlap(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    """Their clock gave it a time before one that we have seen already."""
    shop = SHOPS["magento"]
    index = server.make(shop)
    side = Side(server, index, tmp_path / "home")
    closing.append(side)
    side.follower().round()
    last = "2026-03-03 01:15:00"  # of thing 49
    server.write(index, [renamed(shop, 3, "Late by a minute", "2026-03-03 01:14:00")])
    assert last == shop.document(COUNT - 1)[1]["updated_at"]
    assert side.follower().round().updated == 1
    assert side.titles()["1003"] == "Late by a minute"


def test_a_document_without_a_time_is_found_too(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    shop = SHOPS["magento"]
    index = server.make(shop)
    side = Side(server, index, tmp_path / "home")
    closing.append(side)
    side.follower().round()
    id_, body = shop.document(COUNT)
    del body["updated_at"]
    server.write(index, [(id_, body)])
    assert side.follower().round(compare=False).created == 1
    server.write(index, [(id_, {**body, "name": "Another"})])
    assert side.follower().round(compare=False).updated == 1
    assert side.titles()[id_] == "Another"


def dated(number: int, updated: str, **changed: Any) -> tuple[str, dict[str, Any]]:
    id_, body = SHOPS["magento"].document(number)
    return id_, {**body, "updated_at": updated, **changed}


def test_a_document_dated_in_the_future_does_not_end_the_following(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    index = server.make(SHOPS["magento"])
    server.write(index, [dated(4, "2999-01-01 00:00:00")])
    side = Side(server, index, tmp_path / "home")
    closing.append(side)
    first = side.follower().round()
    assert [warning for warning in first.warnings if "1 documents" in warning and "'1004'" in warning]
    server.write(index, [dated(7, "2026-05-01 10:00:00", name="After the first reading"), dated(5, "2999-01-01 00:00:00")])
    second = side.follower().round(compare=False)
    assert (second.kind, second.updated) == ("changes", 2)  # one for the date alone
    assert "2 documents" in second.warnings[0]
    server.write(index, [dated(8, "2026-05-01 11:00:00", name="After a look")])
    assert side.follower().round(compare=False).updated == 1
    assert side.titles()["1007"] == "After the first reading" and side.titles()["1008"] == "After a look"
    server.write(index, [dated(number, "2026-05-01 11:00:00") for number in (4, 5)])
    assert side.follower().round(compare=False).warnings == []


def test_a_clock_that_was_set_back_costs_one_full_reading(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    index = server.make(SHOPS["magento"])
    side = Side(server, index, tmp_path / "home")
    closing.append(side)
    side.follower().round()
    told = orjson.loads(side.positions.path.read_bytes())
    side.positions.path.write_bytes(orjson.dumps({**told, "changed": int((time.time() + 86_400) * 1_000)}))
    server.write(index, [renamed(SHOPS["magento"], 7, "Written meanwhile", LATER["magento"])])
    assert side.follower().round().kind == "full"
    assert side.titles()["1007"] == "Written meanwhile"
    assert side.follower().round().kind == "changes"


def test_the_comparison_reads_what_ours_has_not(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    """A product with an old date, one that was lost here, and one that was broken and is mended without a new date."""
    index = server.make(SHOPS["magento"])
    server.write(index, [dated(4, "2020-01-01 00:00:00", price_0_1=-1)])
    side = Side(server, index, tmp_path / "home")
    closing.append(side)
    first = side.follower().round()
    assert (first.created, first.rejected) == (COUNT - 1, 1)  # and not read a second time by the comparison
    server.write(index, [dated(COUNT, "2020-01-01 00:00:00"), dated(4, "2020-01-01 00:00:00")])
    side.engine.delete(["1009"])
    assert side.follower().round(compare=False).created == 0
    compared = side.follower().round(compare=True)
    assert (compared.kind, compared.created, compared.rejected, compared.deleted) == ("changes", 3, 0, 0)
    assert side.titles().keys() == {str(1000 + number) for number in range(COUNT + 1)}


def test_the_comparison_finds_the_document_of_a_product_with_another_id(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    index = server.make(SHOPS["nested"])
    side = Side(server, index, tmp_path / "home", overlap=10)
    closing.append(side)
    side.follower().round()
    side.engine.delete(["N-003"])
    assert side.follower().round(compare=True).created == 1
    assert "N-003" in side.titles()


def test_a_full_reading_sees_what_was_changed_without_a_new_date(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    index = server.make(SHOPS["magento"])
    side = Side(server, index, tmp_path / "home")
    closing.append(side)
    side.follower().round()
    server.write(index, [dated(7, SHOPS["magento"].document(7)[1]["updated_at"], name="The date stayed")])
    assert side.follower().round(compare=True).updated == 0
    read = side.follower().round(full=True)
    assert (read.kind, read.updated) == ("full", 1)
    assert side.follower().round().kind == "changes"


def test_a_field_that_cannot_be_followed_is_refused(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    side = Side(server, server.make(SHOPS["magento"], count=2), tmp_path / "home", field="sku")
    closing.append(side)
    with pytest.raises(SettingsError, match="follow.field: 'sku' is a keyword, not a date"):
        side.follower().round()


class Breaking:
    """The server's transport, until ``after`` searches have been sent."""

    def __init__(self, transport: Any, after: int) -> None:
        self._transport, self.left, self.url = transport, after, transport.url

    def request(self, method: str, path: str, *args: Any, **more: Any) -> Any:
        if path == "/_search":
            self.left -= 1
            if self.left < 0:
                raise EngineUnavailable("The server went away.")
        return self._transport.request(method, path, *args, **more)

    def close(self) -> None: ...


def test_a_first_reading_goes_on_where_it_was_cut_off(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    index = server.make(SHOPS["nested"], count=1_200)
    side = Side(server, index, tmp_path / "home")
    closing.append(side)
    with pytest.raises(EngineUnavailable):
        side.follower(Breaking(server.transport, 1)).round()
    assert len(side.titles()) == 500
    rest = side.follower().round()
    assert (rest.kind, rest.created, rest.unchanged) == ("full", 700, 1)  # the one it stopped at is read twice
    assert len(side.titles()) == 1_200


def listed(side: Side) -> list[str]:
    """Ids in the list of rejects."""
    path = side.home / "attach" / "rejects.jsonl"
    return [orjson.loads(line)["id"] for line in path.read_bytes().splitlines()] if path.exists() else []


def test_rejects_of_a_reading_that_was_cut_off_are_listed(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    index = server.make(SHOPS["nested"], count=1_200)
    broken = [(id_, {**body, "offers": [{"amount": -1}]}) for id_, body in map(SHOPS["nested"].document, (3, 900))]
    server.write(index, broken)
    side = Side(server, index, tmp_path / "home")
    closing.append(side)
    with pytest.raises(EngineUnavailable):
        side.follower(Breaking(server.transport, 1)).round()
    assert listed(side) == [broken[0][0]]
    side.follower().round()
    assert listed(side) == [broken[0][0], broken[1][0]]


def test_a_reject_is_listed_until_it_is_mended_or_gone(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    index = server.make(SHOPS["magento"])
    server.write(index, [dated(number, "2026-01-01 00:00:00", price_0_1=-1) for number in (3, 4, 5)])
    side = Side(server, index, tmp_path / "home")
    closing.append(side)
    assert side.follower().round().listed == 3
    assert side.follower().round(compare=False).rejected == 0  # none of them was read
    assert listed(side) == ["1003", "1004", "1005"]
    server.write(index, [dated(4, "2026-05-01 10:00:00")])
    side.follower().round(compare=False)
    assert listed(side) == ["1003", "1005"]
    server.transport.request("DELETE", f"/{index}/_doc/1003", params={"refresh": "true"})
    side.follower().round(compare=True)
    assert listed(side) == ["1005"]
    server.write(index, [dated(5, "2026-05-01 10:00:00")])
    side.follower().round(compare=False)
    assert not (side.home / "attach" / "rejects.jsonl").exists()


def test_an_index_built_anew_under_an_alias_is_read_anew(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    shop = SHOPS["magento"]
    one = server.make(shop, name="one")
    alias = f"{server.prefix}-shop"
    server.transport.request("POST", "/_aliases", {"actions": [{"add": {"index": one, "alias": alias}}]})
    side = Side(server, alias, tmp_path / "home")
    closing.append(side)
    side.follower().round()
    two = server.make(shop, name="two", count=40)
    swap = [{"remove": {"index": one, "alias": alias}}, {"add": {"index": two, "alias": alias}}]
    server.transport.request("POST", "/_aliases", {"actions": swap})
    summary = side.follower().round()
    assert (summary.kind, summary.unchanged, summary.deleted) == ("full", 40, 10)


def test_an_emptied_side_index_is_filled_again(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    index = server.make(SHOPS["magento"])
    side = Side(server, index, tmp_path / "home")
    closing.append(side)
    side.follower().round()
    side.engine.delete(list(side.titles()))
    again = side.follower().round()
    assert (again.kind, again.created) == ("full", COUNT)


def test_another_map_of_the_fields_is_applied_to_everything(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    """Nothing of theirs changed, but every title is read from another field; another rhythm alone reads nothing anew."""
    index = server.make(SHOPS["magento"])
    side = Side(server, index, tmp_path / "home")
    closing.append(side)
    side.follower().round()
    side.config = side.config.model_copy(update={"fields": {**side.config.fields, "title": ("sku",)}})
    corrected = side.follower().round()
    assert (corrected.kind, corrected.updated) == ("full", COUNT)
    assert side.titles()["1007"] == SHOPS["magento"].document(7)[1]["sku"]
    side.config = side.config.model_copy(update={"follow": side.config.follow.model_copy(update={"every": 7.0})})
    assert side.follower().round().kind == "changes"


def test_an_emptied_index_deletes_nothing_unasked(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    index = server.make(SHOPS["magento"])
    side = Side(server, index, tmp_path / "home")
    closing.append(side)
    side.follower().round()
    for number in range(30):
        server.transport.request("DELETE", f"/{index}/_doc/{1000 + number}")
    server.transport.request("POST", f"/{index}/_refresh")
    with pytest.raises(ConflictError, match="30 of our 50.*delete_at_most"):
        side.follower().round(compare=True)
    assert len(side.titles()) == COUNT


def test_without_a_time_field_everything_is_read_each_time(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    shop = SHOPS["magento"]
    index = server.make(shop)
    side = Side(server, index, tmp_path / "home", field="")
    closing.append(side)
    side.follower().round()
    server.write(index, [renamed(shop, 7, "A new name", "2020-01-01 00:00:00")])
    summary = side.follower().round()
    assert (summary.kind, summary.updated, summary.unchanged) == ("full", 1, COUNT - 1)


def test_two_followers_of_one_index_are_refused(server: Server, tmp_path: Path, closing: list[Side]) -> None:
    side = Side(server, server.make(SHOPS["magento"], count=1), tmp_path / "home")
    closing.append(side)
    with (
        side.positions.hold(),
        pytest.raises(ConflictError, match="Another process"),
        PositionFile(side.home, server.url, side.index).hold(),
    ):
        pass


def test_the_command_follows_once_and_lists_rejects(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = SHOPS["magento"]
    index = server.make(shop)
    bad_id, bad = shop.document(4)
    server.write(index, [(bad_id, {**bad, "price_0_1": -1})])
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    runner.invoke(app, ["attach", "--url", server.url, "--index", index])
    text = Path("attach.toml").read_text().replace('image_base = ""', 'image_base = "https://shop.example/media"')
    Path("attach.toml").write_text(text)
    started = time.monotonic()
    done = runner.invoke(app, ["attach", "sync", "--once", "--home", "home", "--json"])
    assert done.exit_code == 0, done.output
    assert f"1 documents cannot become products: see {Path('home/attach/rejects.jsonl')}." in orjson.loads(done.stdout)["warnings"]
    told = orjson.loads(done.stdout)
    assert (told["created"], told["rejected"], told["kind"]) == (COUNT - 1, 1, "full")
    (reject,) = [orjson.loads(line) for line in Path("home/attach/rejects.jsonl").read_bytes().splitlines()]
    assert (reject["id"], reject["field"], "line" in reject) == (bad_id, "price", False)
    assert time.monotonic() - started < 60


def test_the_command_waits_for_an_index_that_is_gone_for_a_moment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = server.make(SHOPS["magento"], count=3)
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    runner.invoke(app, ["attach", "--url", server.url, "--index", index])
    server.transport.request("DELETE", f"/{index}")
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", wait)
    done = runner.invoke(app, ["attach", "sync", "--home", "home"])
    assert done.output.count("There is no index or alias") == 2
    assert waits == [30.0, 30.0]
    assert "stopped: nothing is lost, the next attach sync goes on" in done.output
