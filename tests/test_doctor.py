"""Each check of the doctor, shown failing by really causing what it looks for."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from typer.testing import CliRunner

from hybrid_search.attach.connect import open_own
from hybrid_search.cli.main import app
from hybrid_search.doctor.broker import check_redis
from hybrid_search.doctor.examine import check_attached
from hybrid_search.doctor.finding import Finding, run
from hybrid_search.doctor.indices import check_aliases, check_analyzers, check_mappings, check_templates
from hybrid_search.doctor.installation import check_home, check_keys, check_secrets
from hybrid_search.doctor.models import check_models
from hybrid_search.doctor.server import check_access, check_blocks, check_clocks, check_disks, check_health, check_snapshots
from hybrid_search.doctor.work import check_queue, check_spaces
from hybrid_search.engines.cluster.bulk_loading import bulk_loading
from hybrid_search.engines.cluster.indices import greet, remove_all
from hybrid_search.engines.cluster.layout import Indices
from hybrid_search.engines.cluster.mappings import load_mappings
from hybrid_search.engines.cluster.opening import open_engine
from hybrid_search.engines.cluster.transport import Transport
from hybrid_search.engines.embedded import EmbeddedEngine
from hybrid_search.engines.presence import Presence, Roster
from hybrid_search.redis_server import RedisServer
from hybrid_search.settings import Settings, load_settings
from hybrid_search.types import Space
from tests.attach.conftest import PRODUCTS


def levels(findings: Iterator[Finding]) -> dict[str, str]:
    """The worst level by check."""
    found: dict[str, str] = {}
    for finding in findings:
        found[finding.check] = max(found.get(finding.check, ""), finding.level, key=("", "ok", "warn", "fail").index)
        assert finding.level == "ok" or finding.remedy
    return found


# --- this machine ----------------------------------------------------------------------------------------------------


def test_a_home_that_cannot_be_written_fails(tmp_path: Path) -> None:
    assert levels(check_home(load_settings(home=tmp_path)))["home.writable"] == "ok"
    (tmp_path / "file").write_text("")
    assert levels(check_home(load_settings(home=tmp_path / "file")))["home.writable"] == "fail"
    assert levels(check_home(load_settings(home=tmp_path / "none"))) == {"home.writable": "warn"}


def test_a_full_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)
    for free, level in ((100_000_000, "fail"), (1_000_000_000, "warn"), (10_000_000_000, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: usage._replace(free=free))
        assert levels(check_home(load_settings(home=tmp_path)))["home.disk"] == level


@pytest.mark.parametrize(
    ("host", "keys", "level"), [("0.0.0.0", {}, "fail"), ("127.0.0.1", {}, "ok"), ("0.0.0.0", {"k" * 20: ["search"]}, "ok")]
)
def test_an_open_api_fails(host: str, keys: dict[str, Any], level: str) -> None:
    assert levels(check_keys(load_settings(host=host, api_keys=keys))) == {"keys": level}


@pytest.mark.parametrize("name", ["server_password", "cursor_secret"])
def test_a_password_that_others_can_read_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    config = tmp_path / "hybrid-search.toml"
    config.write_text(f'{name} = "0123456789abcdef0123456789abcdef"\n')
    monkeypatch.setenv("HYBRID_SEARCH_CONFIG", str(config))
    settings = load_settings(home=tmp_path)
    config.chmod(0o644)
    (finding,) = check_secrets(settings)
    assert finding.level == "fail" and name in finding.found and "0123" not in finding.found
    config.chmod(0o600)
    assert levels(check_secrets(settings)) == {"secrets": "ok"}
    config.write_text('log_level = "info"\n')
    config.chmod(0o644)
    assert levels(check_secrets(settings)) == {"secrets": "ok"}


def test_models_are_loaded_without_a_download(tmp_path: Path) -> None:
    broken = f"transformers:{tmp_path / 'nowhere'}"
    found = list(check_models(load_settings(text_encoder=broken)))
    assert [finding.level for finding in found] == ["fail", "ok"]
    assert "nowhere" in found[0].found


# --- Redis -----------------------------------------------------------------------------------------------------------


def test_redis_that_forgets_or_evicts_is_told(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        settings = load_settings(redis_url=server.url)
        good = {"redis.reachable": "ok", "redis.clock": "ok", "redis.persistence": "ok", "redis.eviction": "ok"}
        assert levels(check_redis(settings)) == good
        with redis.Redis.from_url(f"unix://{server.socket}") as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
            client.config_set("appendonly", "no")
        assert levels(check_redis(settings)) == {**good, "redis.persistence": "warn", "redis.eviction": "fail"}
    assert levels(check_redis(settings)) == {"redis.reachable": "fail"}
    assert levels(check_redis(load_settings(redis_url=""))) == {"redis.reachable": "warn"}


def test_a_redis_that_wants_a_password_is_told_as_such(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server, redis.Redis.from_url(f"unix://{server.socket}") as client:
        client.config_set("requirepass", "hidden")
        (finding,) = check_redis(load_settings(redis_url=server.url))
        assert finding.level == "fail" and "sign-in" in finding.found
        client.config_set("requirepass", "")


# --- servers ---------------------------------------------------------------------------------------------------------


class Installation:
    """Our indices under a prefix of their own on a real server."""

    def __init__(self, product: Any, url: str) -> None:
        self.prefix = f"doctortest-{secrets.token_hex(4)}"
        self.url = url
        self.settings: Settings = load_settings(engine=product, **{f"{product}_url": url}, index_prefix=self.prefix)
        self.product = product
        self.transport: Transport = open_own(self.settings)
        self.indices = Indices(self.prefix)
        self.files = load_mappings(self.product, self.prefix)
        self.engine = open_engine(open_own(self.settings), self.product, prefix=self.prefix)
        self.index = f"{self.indices.products}-000001"

    def close(self) -> None:
        self.engine.close()
        self.transport.request("PUT", f"/{self.prefix}-*/_settings", {"index.blocks.read_only_allow_delete": None}, ignore=(404,))
        for name in self.transport.request("GET", f"/{self.prefix}-*").body:
            self.transport.request("DELETE", f"/{name}")
        remove_all(self.transport, self.indices)
        self.transport.close()


@pytest.fixture(params=PRODUCTS)
def installation(request: pytest.FixtureRequest) -> Iterator[Installation]:
    made = Installation(request.param, request.getfixturevalue(f"{request.param}_url"))
    yield made
    made.close()


def test_a_fresh_installation_is_well(installation: Installation) -> None:
    it = installation
    assert levels(check_aliases(it.transport, it.indices)) == {"indices.aliases": "ok"}
    assert [f for f in check_mappings(it.transport, it.indices, it.files) if f.level != "ok"] == []
    assert [f for f in check_templates(it.transport, it.indices, it.files) if f.level != "ok"] == []
    assert levels(check_analyzers(it.transport, it.indices)) == {"indices.analyzers": "ok"}
    assert levels(check_blocks(it.transport, it.indices)) == {"indices.blocks": "ok"}
    assert levels(check_clocks(it.transport)) == {"server.clock": "ok"}


def test_a_read_only_index_fails_with_the_request_that_lifts_it(installation: Installation) -> None:
    it = installation
    it.transport.request("PUT", f"/{it.index}/_settings", {"index.blocks.read_only_allow_delete": True})
    (finding,) = check_blocks(it.transport, it.indices)
    assert finding.level == "fail" and "flood_stage" in finding.found and f"PUT /{it.index}/_settings" in finding.remedy


def test_a_load_that_died_is_told_and_a_block_on_a_kept_index_is_not(installation: Installation) -> None:
    it = installation
    kept = f"{it.prefix}-products-000000"
    it.transport.request("PUT", f"/{kept}", {"settings": {"index.blocks.write": True}})
    assert levels(check_blocks(it.transport, it.indices)) == {"indices.blocks": "ok"}
    with bulk_loading(it.transport, it.indices.products):
        assert levels(check_blocks(it.transport, it.indices)) == {"indices.blocks": "ok", "indices.loading": "warn"}
    assert levels(check_blocks(it.transport, it.indices)) == {"indices.blocks": "ok"}
    it.transport.request("PUT", f"/{kept}/_settings", {"index.blocks.write": None})


def test_an_alias_on_two_indices_or_none_fails(installation: Installation) -> None:
    it = installation
    other = f"{it.prefix}-other"
    it.transport.request("PUT", f"/{other}", {"aliases": {it.indices.products: {}}})
    (finding,) = check_aliases(it.transport, it.indices)
    assert finding.level == "fail" and other in finding.found and it.index in finding.found
    it.transport.request("DELETE", f"/{other}")
    it.transport.request("POST", "/_aliases", {"actions": [{"remove": {"index": it.index, "alias": it.indices.products}}]})
    (finding,) = check_aliases(it.transport, it.indices)
    assert finding.level == "fail" and it.indices.products in finding.found
    assert levels(check_aliases(it.transport, Indices("doctortest-nobody"))) == {"indices.aliases": "warn"}


def test_a_mapping_that_is_not_ours_is_told_by_field(installation: Installation) -> None:
    it = installation
    body = it.transport.request("GET", f"/{it.index}").body[it.index]
    fields = body["mappings"]["properties"]
    fields["price"]["type"] = "keyword"
    del fields["brand"]
    analysis = body["settings"]["index"]["analysis"]
    it.transport.request("DELETE", f"/{it.index}")
    it.transport.request("DELETE", f"/_index_template/{it.indices.products}")
    made = {"settings": {"index": {"analysis": analysis}}, "mappings": body["mappings"], "aliases": {it.indices.products: {}}}
    it.transport.request("PUT", f"/{it.index}", made)
    (finding,) = [f for f in check_mappings(it.transport, it.indices, it.files) if f.level == "fail"]
    assert "price.type is keyword instead of" in finding.found and "brand" in finding.found
    assert levels(check_templates(it.transport, it.indices, it.files))["indices.templates"] == "fail"


def test_an_analyzer_that_cuts_differently_fails(installation: Installation) -> None:
    it = installation
    it.transport.request("DELETE", f"/{it.index}")
    plain = {"analysis": {"analyzer": {"shop_text": {"type": "custom", "tokenizer": "standard", "filter": ["lowercase"]}}}}
    it.transport.request("DELETE", f"/_index_template/{it.indices.products}")
    it.transport.request("PUT", f"/{it.index}", {"settings": plain, "aliases": {it.indices.products: {}}})
    (finding,) = check_analyzers(it.transport, it.indices)
    assert finding.level == "fail" and it.index in finding.found


def test_another_meta_version_is_a_warning(installation: Installation) -> None:
    it = installation
    it.transport.request("PUT", f"/{it.indices.chunks}-000001/_mapping", {"_meta": {"version": 0}})
    found = [f for f in check_mappings(it.transport, it.indices, it.files) if f.level != "ok"]
    assert [(f.level, it.indices.chunks in f.found) for f in found] == [("warn", True)]


def test_the_command_on_a_server(installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    it = installation
    monkeypatch.setenv("HYBRID_SEARCH_ENGINE", it.product)
    monkeypatch.setenv(f"{it.product.upper()}_URL", it.url)
    monkeypatch.setenv("HYBRID_SEARCH_INDEX_PREFIX", it.prefix)
    arguments = ["doctor", "--json", "--skip", "models", "--home", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    told = orjson.loads(done.stdout)
    assert done.exit_code == 0, [f for f in told["findings"] if f["level"] == "fail"]
    assert {"server.reachable", "indices.mappings", "indices.analyzers", "queue"} <= {f["check"] for f in told["findings"]}
    assert CliRunner().invoke(app, [*arguments, "--strict"]).exit_code == 1
    it.transport.request("PUT", f"/{it.index}/_settings", {"index.blocks.read_only_allow_delete": True})
    assert CliRunner().invoke(app, arguments).exit_code == 1


REPLIES: dict[str, Any] = {
    "/": {"version": {"number": "3.5.0", "distribution": "opensearch"}},
    "/_cluster/health": {"status": "red", "number_of_data_nodes": 1, "unassigned_shards": 2},
    "/_cluster/settings": {
        "defaults": {
            f"cluster.routing.allocation.disk.watermark.{n}": v for n, v in (("low", "85%"), ("high", "90%"), ("flood_stage", "5gb"))
        }
    },
    "/_nodes/stats/fs": {
        "nodes": {"a": {"name": "n1", "fs": {"total": {"total_in_bytes": 100_000_000_000, "available_in_bytes": 12_000_000_000}}}}
    },
    "/_snapshot": {},
}


class Unwell(BaseHTTPRequestHandler):
    """A server in a bad way, for what no real one here can be brought into: red, nearly full, with a clock that is off."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        body = (
            {"nodes": {"a": {"name": "n1", "timestamp": (time.time() + 90) * 1_000}}} if path == "/_nodes/stats/os" else REPLIES.get(path)
        )
        content = json.dumps(body if body is not None else {"error": "no"}).encode()
        self.send_response(200 if body is not None else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def unwell() -> Iterator[Transport]:
    server = HTTPServer(("127.0.0.1", 0), Unwell)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    transport = open_own(load_settings(engine="opensearch", opensearch_url=f"http://127.0.0.1:{server.server_port}", server_timeout=2))
    yield transport
    transport.close()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_clock_that_is_off_is_told_with_how_much(unwell: Transport) -> None:
    (finding,) = check_clocks(unwell)
    assert finding.level == "warn" and "90.0 s ahead" in finding.found


def test_a_red_cluster_and_a_full_disk_and_no_snapshots_are_told(unwell: Transport) -> None:
    assert levels(check_health(unwell)) == {"server.health": "fail"}
    (disk,) = check_disks(unwell)
    assert (disk.level, "low watermark" in disk.found) == ("warn", True)
    assert levels(check_snapshots(unwell)) == {"server.snapshots": "warn"}


def test_a_server_that_is_not_there_fails_by_name() -> None:
    transport = open_own(load_settings(engine="opensearch", opensearch_url="http://127.0.0.1:9", server_timeout=1))

    def check() -> Iterator[Finding]:
        greet(transport, "opensearch", timeout=1)
        yield Finding("never", "ok", "")

    (finding,) = run("server.reachable", check)
    transport.close()
    assert finding.level == "fail" and "127.0.0.1:9" in finding.found


def test_plain_http_to_others_and_no_sign_in_are_warned_of() -> None:
    far = levels(check_access(load_settings(), "http://search.example:9200"))
    assert far == {"server.tls": "warn", "server.sign_in": "warn", "server.at_rest": "ok"}
    signed = load_settings(server_user="u", server_password="p", server_verify=False)
    assert levels(check_access(signed, "https://search.example")) == {
        "server.tls": "ok",
        "server.certificate": "warn",
        "server.at_rest": "ok",
    }
    assert levels(check_access(load_settings(), "http://127.0.0.1:9200")) == {"server.tls": "ok", "server.at_rest": "ok"}


# --- work ------------------------------------------------------------------------------------------------------------


def test_work_that_stands_still_is_told(tmp_path: Path) -> None:
    from tests.indexing_parts import Shop, product

    shop = Shop(tmp_path / "home")
    settings = load_settings(home=shop.home)
    assert levels(check_queue(shop.engine, settings)) == {"queue": "ok"}
    shop.put(product(1), product(2))
    assert levels(check_queue(shop.engine, settings)) == {"queue": "ok", "queue.idle": "warn"}
    (chunk,) = shop.engine.open_chunks(at_most=1, size=10)
    shop.now += 3 * settings.queue_silence
    assert levels(check_queue(shop.engine, settings)) == {"queue": "ok", "queue.waiting": "warn"}
    shop.engine.start_chunk(chunk.id)
    shop.now += 3 * settings.chunk_silence
    assert levels(check_queue(shop.engine, settings)) == {"queue": "ok", "queue.silent": "warn"}
    shop.engine.close()


def test_a_space_that_nobody_serves_is_told(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path, index=False)
    assert levels(check_spaces(engine, {"new"})) == {"spaces": "warn"}
    engine.add_space(Space("text", 1, 4, "text", "new", {"text": "new"}))
    (finding,) = check_spaces(engine, {"new"})
    assert finding.level == "warn" and "no worker is running" in finding.found
    Roster(engine).say(Presence("one", "worker", serves=("text_1",)))
    assert levels(check_spaces(engine, {"new"})) == {"spaces": "ok"}
    engine.add_space(Space("text", 2, 4, "text", "old", {"text": "old"}))
    (finding,) = [f for f in check_spaces(engine, {"new"}) if f.level == "warn"]
    assert "text_2" in finding.found
    engine.close()


def test_the_command_on_the_embedded_engine_makes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = CliRunner().invoke(app, ["doctor", "--json", "--skip", "models", "--home", str(home)])
    assert done.exit_code == 0, done.stdout
    assert not home.exists()
    told = orjson.loads(done.stdout)
    assert {f["check"]: f["level"] for f in told["findings"]} == {
        "home.writable": "warn",
        "keys": "ok",
        "secrets": "ok",
        "redis.reachable": "warn",
        "engine": "warn",
    }
    wrong = CliRunner().invoke(app, ["doctor", "--skip", "nothing"])
    assert wrong.exit_code != 0


def test_an_attach_file_is_checked_with_the_rest(opensearch_url: str, tmp_path: Path) -> None:
    from tests.attach.conftest import Server
    from tests.attach.shops import SHOPS

    it = load_settings(engine="opensearch", opensearch_url=opensearch_url)
    transport = open_own(it)
    server = Server("opensearch", opensearch_url, transport, f"doctortest-{secrets.token_hex(4)}")
    index = server.make(SHOPS["magento"], count=5)
    path = tmp_path / "attach.toml"
    try:
        CliRunner().invoke(app, ["attach", "--url", server.url, "--index", index, "--out", str(path)])
        found = levels(check_attached(it, path))
        assert found["attach.products"] == "fail"  # pictures are relative, and nobody said to what
        path.write_text(path.read_text().replace('image_base = ""', 'image_base = "https://shop.example/media"'))
        (side,) = [f for f in check_attached(it, path) if f.check == "attach.in_place"]
        assert "index.knn" in side.found
        assert set(levels(check_attached(it, path)).values()) == {"ok"}
        _, broken = SHOPS["magento"].document(0)
        server.write(index, [*SHOPS["magento"].documents(50), ("1000", {**broken, "price_0_1": -1})])
        (found_one,) = [f for f in check_attached(it, path) if f.check == "attach.products"]
        assert (found_one.level, found_one.found[:8]) == ("warn", "1 of 50 ")
        server.write(index, [(str(1000 + n), {**broken, "price_0_1": -1}) for n in range(3)])
        assert levels(check_attached(it, path))["attach.products"] == "fail"  # 6 %
    finally:
        transport.request("DELETE", f"/{index}")
        transport.close()
