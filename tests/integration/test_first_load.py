"""A first load on a search server by the command: searchable only at its end, settings put back, a second load writes nothing."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from hybrid_search.cli.main import app
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.engines.opensearch import open_opensearch


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
