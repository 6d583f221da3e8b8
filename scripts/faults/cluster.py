"""Kill one of three nodes under searches and writes, then lose everything and bring it back from a snapshot.

    python -m scripts.faults.cluster [--products 2000] [--queries 100] [--seed 1] [--out FILE]

20 searches a second through a real API process. Exit code 1 when one failed, an acknowledged write was lost, or the restored index
answers a query otherwise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from hybrid_search.search_server import start_cluster
from scripts.faults.report import Line, add_common, told
from tests.integration.crash import CrashShop
from tests.integration.faults.cluster_faults import lose_a_node


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=2_000)
    parser.add_argument("--queries", type=int, default=100, help="compared before and after the restore")
    add_common(parser)
    given = parser.parse_args()
    with (
        start_cluster(3) as cluster,
        tempfile.TemporaryDirectory() as folder,
        CrashShop(Path(folder), server_url=cluster.url, server_options={"replicas": 1}) as shop,
    ):
        report = lose_a_node(shop, cluster, given.products, seed=given.seed, queries=given.queries)
    found, asked = report.verdict, report.asked
    notes = {
        "searches": asked.count,
        "failed": len(asked.failed),
        "degraded": asked.degraded,
        "slowest, s": round(asked.slowest, 1),
        "other answers after restore": len(report.differing),
    }
    counts = (len(found.lost), len(found.stale), len(found.failed))
    line = Line("one of three nodes", "opensearch", given.seed, found.products, 1, *counts, 0.0, report.seconds, notes)
    told(line, given.out)
    for failure in asked.failed[:10]:
        print(failure)
    return 0 if line.sound and not asked.failed and not report.differing else 1


if __name__ == "__main__":
    sys.exit(main())
