"""Break the search server while workers embed and a shop writes, and say what was lost and how soon they were back.

    python -m scripts.faults.server [--down 60] [--faults stopped paused …] [--products 1000] [--items 20000] [--bad 50] [--out FILE]

An OpenSearch of its own behind a proxy. ``--items`` are written and embedded through a proxy that refuses some of them for load, some
for conflicts, and ``--bad`` for good when written and as many when embedded; 0 leaves that out. Exit code 1 when anything was lost or is
stale, memory grew by more than 100 MB, or a refused item was not told exactly once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from hybrid_search.search_server import start_node
from scripts.faults.report import Line, add_common, told
from tests.integration.crash import CrashShop
from tests.integration.faults.item_faults import refuse_items
from tests.integration.faults.proxy import FaultyProxy
from tests.integration.faults.server_faults import SERVER_FAULTS, break_server

MOST_GROWN = 100.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", nargs="*", choices=SERVER_FAULTS, default=SERVER_FAULTS)
    parser.add_argument("--down", type=float, default=60.0, help="seconds that each fault lasts")
    parser.add_argument("--products", type=int, default=1_000, help="per fault")
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--bad", type=int, default=50)
    add_common(parser)
    given = parser.parse_args()
    sound = True
    with start_node("opensearch") as node:
        for fault in given.faults:
            with (
                tempfile.TemporaryDirectory() as folder,
                FaultyProxy(node.url, seed=given.seed) as proxy,
                CrashShop(Path(folder), server_url=proxy.url) as shop,
            ):
                report = break_server(shop, fault, proxy=proxy, node=node, products=given.products, down=given.down)
            found = report.verdict
            counts = (len(found.lost), len(found.stale), len(found.failed))
            notes = {"back after, s": round(report.back, 1), "writes repeated": report.refused, "MB grown": round(report.grown, 1)}
            line = Line(
                f"{fault} for {given.down:g} s", "opensearch", given.seed, given.products, 1, *counts, report.extra, report.seconds, notes
            )
            told(line, given.out)
            sound = sound and line.sound and report.grown <= MOST_GROWN
        if given.items:
            sound = _items(node.url, given) and sound
    return 0 if sound else 1


def _items(url: str, given: argparse.Namespace) -> bool:
    with (
        tempfile.TemporaryDirectory() as folder,
        FaultyProxy(url, seed=given.seed) as proxy,
        CrashShop(Path(folder), processes=2, server_url=proxy.url) as shop,
    ):
        report = refuse_items(shop, proxy, given.items, bad=given.bad, seed=given.seed, seconds=3_600.0)
    found = report.verdict
    unexpected = len(set(found.failed) - set(report.unembeddable))
    counts = (len(found.lost), len(found.stale), unexpected)
    notes = report.injected | {"refused writes told": len(report.told), "in the list of failures": len(report.listed)}
    line = Line("refused items", "opensearch", given.seed, given.items, 2 * given.bad, *counts, report.extra, report.seconds, notes)
    told(line, given.out)
    return (
        line.sound and sorted(report.told) == list(report.unwritable) and report.listed == tuple(report.unembeddable) and not report.wrong
    )


if __name__ == "__main__":
    sys.exit(main())
