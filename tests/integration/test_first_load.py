"""A first load on a search server: searchable only at its end, settings put back, a second load writes nothing, onlookers cost nothing."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from hybrid_search.cli.main import app
from hybrid_search.engines.cluster import server as server_module
from hybrid_search.engines.cluster.bulk_loading import bulk_loading
from hybrid_search.engines.cluster.engine import ClusterEngine
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.engines.elasticsearch import open_elasticsearch
from hybrid_search.engines.opensearch import open_opensearch
from tests.contracts.engine_cases import TEXT, write

OPENERS = {"opensearch": open_opensearch, "elasticsearch": open_elasticsearch}
ROUNDS = 8


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.engine(name)) for name in OPENERS])
def two(request: pytest.FixtureRequest) -> Iterator[tuple[ClusterEngine, ClusterEngine]]:
    """The engine of a process that loads, and that of one that looks on."""
    url, prefix = request.getfixturevalue(f"{request.param}_url"), f"load-{uuid.uuid4().hex[:8]}"
    loader, onlooker = (OPENERS[request.param](url, prefix=prefix) for _ in range(2))
    yield loader, onlooker
    remove_all(loader.server.transport, loader.server.indices)
    loader.close()
    onlooker.close()


def refreshes(engine: ClusterEngine) -> int:
    stats = engine.server.transport.request("GET", f"/{engine.server.indices.products}/_stats/refresh").body
    return int(stats["_all"]["primaries"]["refresh"]["total"])


def load(loader: ClusterEngine, onlooker: ClusterEngine | None, run: str) -> int:
    """Write ``ROUNDS`` batches, each followed by a round of a feeder where there is one; the refreshes that this took."""
    before = refreshes(loader)
    for number in range(ROUNDS):
        loader.put([write(f"{run}-{number}-{n}") for n in range(5)])
        if onlooker is not None:
            onlooker.status()
            for chunk in onlooker.open_chunks(at_most=1_000, size=64):
                onlooker.finish_chunk(chunk.id)
    return refreshes(loader) - before


def test_a_feeder_beside_a_first_load_costs_no_refreshes(two: tuple[ClusterEngine, ClusterEngine]) -> None:
    loader, onlooker = two
    loader.add_space(TEXT)
    transport, products = loader.server.transport, loader.server.indices.products
    serving = load(loader, onlooker, "serving")
    assert serving >= ROUNDS, "what a feeder takes is what was written a moment ago"
    with bulk_loading(transport, products):
        alone = load(loader, None, "alone")
        watched = load(loader, onlooker, "watched")
        assert max(alone, watched) <= 1 < ROUNDS, (
            "a round of the feeder is none for the index; one of its own may be under way as it begins"
        )
        assert onlooker.status().details["loading"] is True
        assert onlooker.status().indexed_seq < onlooker.status().seq
    assert onlooker.status().products == 3 * ROUNDS * 5
    assert "loading" not in onlooker.status().details
    (chunk,) = onlooker.open_chunks(at_most=1, size=1_000)
    assert len(chunk.product_ids) == 3 * ROUNDS * 5


def test_work_begins_during_a_long_first_load(two: tuple[ClusterEngine, ClusterEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    loader, onlooker = two
    loader.add_space(TEXT)
    monkeypatch.setattr(server_module, "LOADING_LOOK", 0.5)
    with bulk_loading(loader.server.transport, loader.server.indices.products):
        loader.put([write("a")])
        time.sleep(0.5)
        (chunk,) = onlooker.open_chunks(at_most=1, size=64)
        assert chunk.product_ids == ("a",)


@pytest.mark.engine("opensearch")
def test_a_first_load_puts_settings_back_and_a_second_one_writes_nothing(
    opensearch_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"load-{uuid.uuid4().hex[:8]}"
    for name, value in (("ENGINE", "opensearch"), ("OPENSEARCH_URL", opensearch_url), ("INDEX_PREFIX", prefix), ("HOME", str(tmp_path))):
        monkeypatch.setenv(f"HYBRID_SEARCH_{name}", value)
    catalogue = tmp_path / "products.jsonl"
    catalogue.write_bytes(b"".join(orjson.dumps({"id": f"p{n}", "title": f"thing {n}"}) + b"\n" for n in range(1_200)))
    engine = open_opensearch(opensearch_url, prefix=prefix)
    try:
        loaded = CliRunner().invoke(app, ["ingest", str(catalogue), "--first", "--json"])
        assert loaded.exit_code == 0, loaded.output
        assert json.loads(loaded.stdout)["accepted"] == 1_200
        settings = engine.server.transport.request("GET", f"/{prefix}-products/_settings", params={"flat_settings": "true"}).body
        assert {index["settings"]["index.refresh_interval"] for index in settings.values()} == {"1s"}
        before = engine.status()
        assert (before.products, before.indexed_seq) == (1_200, before.seq)
        assert CliRunner().invoke(app, ["ingest", str(catalogue), "--first", "--json"]).exit_code == 0
        assert engine.status().seq == before.seq
    finally:
        remove_all(engine.server.transport, engine.server.indices)
        engine.close()
