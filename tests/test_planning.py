"""The planner: each formula by hand on round constants, its laws, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hybrid_search.cli.main import app
from hybrid_search.errors import SettingsError
from hybrid_search.planning.constants import Constants
from hybrid_search.planning.model import (
    Machines,
    Shop,
    backfill_seconds,
    embed_core_seconds,
    plan,
    product_bytes,
    search_cpu_ms,
    searched_bytes,
)

ROUND = Constants(
    document_bytes=3_000,
    vector_bytes_per_dim=10,
    graph_bytes=100,
    search_bytes_per_dim=4,
    heap_base_bytes=500e6,
    heap_bytes_per_product=100,
    search_base_ms=2,
    search_ms_per_million=50,
    words_per_core_second=10,
    images_per_core_second=20,
    index_per_core_second=500,
)
SHOP = Shop(products=1_000_000, peak_qps=30, images=2, text_dim=100, image_dim=200, cross_dim=50, replicas=1, changed_per_day=0.1)
MACHINES = Machines(node_ram=64e9, node_disk=1e12, node_cores=8, worker_cores=4, workers=5)


def test_bytes_of_a_product() -> None:
    dims, vectors = 100 + 2 * (200 + 50), 1 + 2 * 2
    assert product_bytes(SHOP, ROUND) == 3_000 + dims * 10 + vectors * 100 == 9_500
    assert searched_bytes(SHOP, ROUND) == dims * 4 + vectors * 100 + 1_000 == 3_900


def test_a_search_costs_a_part_per_shard_and_a_part_per_product() -> None:
    assert search_cpu_ms(1_000_000, 1, ROUND) == 52
    assert search_cpu_ms(4_000_000, 3, ROUND) == 206


def test_embedding_work_and_its_days() -> None:
    assert embed_core_seconds(SHOP, ROUND) == pytest.approx(1e6 * (0.1 + 2 / 20))
    assert backfill_seconds(SHOP, MACHINES, ROUND) == pytest.approx(1e6 * (0.1 + 0.1) / 20)
    fast = replace(MACHINES, gpu_images_per_second=100, gpu_words_per_second=1_000)
    assert backfill_seconds(SHOP, fast, ROUND) == pytest.approx(1e6 * (1 / 5_000 + 2 / 500))


def test_a_shop_of_a_million() -> None:
    found = plan(SHOP, MACHINES, ROUND)
    assert found.index_bytes == 9.5e9
    assert found.disk_bytes == pytest.approx(2 * 9.5e9 * 1.3 * 1.4)
    assert found.page_cache_bytes == pytest.approx(2 * 3.9e9)
    assert (found.shards, found.replicas) == (1, 1)
    assert found.search_cores == pytest.approx(30 * 52 / 1_000 / 0.6)
    assert (found.nodes, found.bound_by) == (3, "availability")
    assert found.workers_to_keep_up == 1  # 200,000 core seconds x 0.1 / 86,400 / 0.6 / 4 cores


def test_each_bound_decides_when_it_is_the_tightest() -> None:
    assert plan(SHOP, replace(MACHINES, node_disk=5e9), ROUND).bound_by == "disk"
    assert plan(SHOP, replace(MACHINES, node_ram=3e9), ROUND).bound_by == "memory"
    assert plan(replace(SHOP, peak_qps=3_000), MACHINES, ROUND).bound_by == "searches"


def test_shards_stay_below_thirty_gigabytes() -> None:
    found = plan(replace(SHOP, products=10_000_000), MACHINES, ROUND)
    assert found.shards == 5  # 95 GB x 1.3 / 30 GB
    assert found.index_bytes * 1.3 / found.shards <= 30e9


@given(
    products=st.integers(1, 10**9),
    qps=st.floats(0, 10_000),
    images=st.floats(0, 20),
    replicas=st.integers(0, 3),
    more=st.integers(2, 5),
)
def test_more_products_never_need_less(products: int, qps: float, images: float, replicas: int, more: int) -> None:
    shop = Shop(products, qps, images, replicas=replicas)
    small, large = plan(shop, MACHINES, ROUND), plan(replace(shop, products=products * more), MACHINES, ROUND)
    assert large.nodes >= small.nodes >= (3 if replicas else 1)
    assert large.shards >= small.shards >= 1
    assert large.disk_bytes == pytest.approx(more * small.disk_bytes)
    assert large.backfill_days == pytest.approx(more * small.backfill_days)


@pytest.mark.parametrize("wrong", [{"speed": 3}, {"document_bytes": 0}, {"document_bytes": "many"}, {"document_bytes": True}])
def test_a_wrong_constant_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Constants().replaced(wrong)


def test_the_command_takes_measured_constants(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps({"document_bytes": 5_000}))
    shop = ["plan", "--products", "2000000", "--qps", "100"]
    mine, ours = (
        json.loads(CliRunner().invoke(app, [*shop, "--json", *extra]).stdout)
        for extra in (["--constants", str(tmp_path / "mine.json")], [])
    )
    assert mine["constants"]["document_bytes"] == 5_000
    difference = mine["plan"]["index_bytes"] - ours["plan"]["index_bytes"]
    assert difference == pytest.approx(2e6 * (5_000 - ours["constants"]["document_bytes"]))
    shown = CliRunner().invoke(app, shop)
    assert shown.exit_code == 0
    assert "search nodes" in shown.stdout


@pytest.mark.parametrize("wrong", [["--qps", "inf"], ["--qps", "1", "--images", "inf"], ["--qps", "1e300", "--images", "1e300"]])
def test_numbers_that_cannot_be_counted_with_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SettingsError, match="too large"):
        CliRunner().invoke(app, ["plan", "--products", "1000000", *wrong], catch_exceptions=False)


@pytest.mark.parametrize(("products", "said"), [(250_000, True), (250_001, False)])
def test_a_shop_that_one_machine_carries_is_told_so(products: int, said: bool) -> None:
    told = CliRunner().invoke(app, ["plan", "--products", str(products), "--qps", "1"]).output
    assert ("embedded engine" in told) is said
