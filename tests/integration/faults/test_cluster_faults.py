"""One of three nodes dies, then everything is restored from a snapshot, at small counts; the full ones: ``python -m scripts.faults.cluster``."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from hybrid_search.search_server import Cluster
from tests.integration.crash import CrashShop
from tests.integration.faults.cluster_faults import lose_a_node

pytestmark = [pytest.mark.slow, pytest.mark.engine("opensearch")]


def test_three_nodes_lose_one_and_get_it_back(tmp_path: Path, opensearch_cluster: Cluster) -> None:
    with CrashShop(tmp_path, server_url=opensearch_cluster.url, server_options={"replicas": 1}) as shop:
        report = lose_a_node(shop, opensearch_cluster, 300, seed=2, queries=20)
        verdict = report.verdict
        assert (verdict.products, verdict.ready, verdict.failed, verdict.lost, verdict.stale) == (300, 300, (), (), ())
        assert report.asked.failed == []
        assert report.asked.count > 20
        assert report.differing == ()
        wanted = {"wait_for_status": "green", "wait_for_nodes": "3", "timeout": "60s"}
        health = httpx.get(f"{opensearch_cluster.nodes[0].url}/_cluster/health", params=wanted, timeout=70.0, trust_env=False).json()
        assert (health["number_of_nodes"], health["status"]) == (3, "green")
