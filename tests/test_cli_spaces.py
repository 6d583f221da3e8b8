"""The commands on spaces: what they print, ask and refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hybrid_search.bootstrap import open_for_loading
from hybrid_search.cli.main import app
from hybrid_search.engines.base import ProductWrite
from hybrid_search.errors import HybridSearchError
from hybrid_search.product import Product
from hybrid_search.settings import load_settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An index with one product that waits for its words to be embedded by E5."""
    monkeypatch.setenv("HYBRID_SEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HYBRID_SEARCH_TEXT_ENCODER", "offline-e5")
    monkeypatch.delenv("REDIS_URL", raising=False)
    engine, _ = open_for_loading(load_settings(), index=False)
    engine.put([ProductWrite(Product(id="p", title="red mug"), {"text": ("t",)})])
    engine.close()
    yield tmp_path / "home"


def run(*arguments: str) -> Any:
    found = CliRunner().invoke(app, list(arguments))
    assert found.exit_code == 0, (found.output, found.exception)
    return json.loads(found.stdout)


def refused(*arguments: str) -> str:
    found = CliRunner().invoke(app, list(arguments))
    assert isinstance(found.exception, HybridSearchError), found.output
    return str(found.exception)


def test_a_version_is_added_after_its_cost_was_told_and_accepted(home: Path) -> None:
    assert "Nobody is there to answer. Say --yes." in refused("spaces", "add", "--model", "offline-use")
    assert [s["key"] for s in run("spaces", "list", "--json")["spaces"]] == ["text_1", "image_1"], "nothing was made"
    told = CliRunner().invoke(app, ["spaces", "add", "--model", "offline-use", "--yes"])
    assert "1 vectors of 1 products × 512 numbers, about 1.54 kB of memory and 3.58 kB of disk" in told.output
    (old, _, new) = run("spaces", "list", "--json")["spaces"]
    assert (old["active"], old["pinned"], new["active"], new["pinned"]) == (True, True, False, False)
    assert (new["key"], new["model"], new["dim"], new["pending"], new["coverage"]) == ("text_2", "offline-use", 512, 1, 0.0)
    assert "text_2 is already by 'offline-use'" in refused("spaces", "add", "--model", "offline-use", "--yes")


def test_a_status_says_what_is_missing(home: Path) -> None:
    (text, image) = run("spaces", "status", "--json")["spaces"]
    assert (text["pending"], text["coverage_gate"], text["unserved"], text["asked_by"]) == (1, False, "no worker is running", [])
    assert (image["pending"], image["coverage_gate"]) == (0, True)
    assert "nobody embeds it: no worker is running" in CliRunner().invoke(app, ["spaces", "status"]).output


def test_a_rate_is_set_for_all_workers_and_stays(home: Path) -> None:
    assert run("spaces", "backfill", "text_1", "--rate", "20", "--detach", "--json")["backfill_per_second"] == 20
    assert run("spaces", "backfill", "text_1", "--detach", "--json")["backfill_per_second"] == 20
    assert run("spaces", "backfill", "text_1", "--rate", "0", "--detach", "--json")["backfill_per_second"] == 0


def test_what_cannot_be_is_refused_with_the_remedy(home: Path) -> None:
    assert "Known: offline-e5, offline-use" in refused("spaces", "add", "--model", "word2vec", "--part", "text")
    assert "Existing spaces: text_1, image_1" in refused("spaces", "backfill", "text_9")
    assert "Give --queries, or say --no-quality-gate." in refused("spaces", "cutover", "text_1")
    run_add = CliRunner().invoke(app, ["spaces", "add", "--model", "offline-use", "--yes", "--json"])
    assert run_add.exit_code == 0
    assert "0 of 1 products (0.00%)" in refused("spaces", "cutover", "text_2", "--no-quality-gate")
    assert "There is no space named 'words'" in refused("spaces", "rollback", "words")
    assert "text_1 answers queries" in refused("spaces", "drop", "text_1", "--yes")


def test_reconcile_tells_by_its_exit_code_that_something_is_wrong(home: Path) -> None:
    found = CliRunner().invoke(app, ["reconcile", "--json"])
    assert found.exit_code == 1
    assert json.loads(found.stdout)["found"] == [{"finding": "other_content", "space": "text_1", "count": 1, "examples": ["p"]}]
    mended = CliRunner().invoke(app, ["reconcile", "--mend", "--json"])
    assert (mended.exit_code, json.loads(mended.stdout)["mended"]) == (0, 1)
    assert run("reconcile", "--json")["found"] == []


def test_an_index_of_the_shops_own_is_not_ours_to_build_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRID_SEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HYBRID_SEARCH_ATTACH", str(tmp_path / "shop.toml"))
    assert "attach reindex --config" in refused("reindex", "--yes")
    assert "shop.toml" in refused("status"), "the attach file is asked for, not a catalogue of ours"
