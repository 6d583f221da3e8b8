"""Products that crash, loop, allocate 4 GB or raise, among many that are fine.

    python -m scripts.faults.poison [--products 5000] [--poisonous 100] [--engine opensearch] [--seed 1] [--out FILE]

Exit code 1 when one of them has not failed after three tries with its reason, another one is not embedded, or nothing was begun for 10 s.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from hybrid_search.search_server import start_node
from scripts.faults.report import Line, add_common, told
from tests.integration.crash import CrashShop
from tests.integration.faults.poison import ENVIRONMENT, feed_poison

LONGEST_AWAY = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=5_000)
    parser.add_argument("--poisonous", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2, help="encoding children")
    parser.add_argument("--engine", choices=("embedded", "opensearch"), default="embedded")
    parser.add_argument("--seconds", type=float, default=3_600.0, help="patience")
    add_common(parser)
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = stack.enter_context(start_node("opensearch")).url if given.engine == "opensearch" else ""
        shop = stack.enter_context(CrashShop(Path(folder), processes=given.processes, environment=ENVIRONMENT, server_url=url))
        report = feed_poison(shop, given.products, given.poisonous, seed=given.seed, seconds=given.seconds)
    found = report.verdict
    notes = {"failed as they must": given.poisonous - len(report.wrong), "longest away, s": round(report.away, 1)}
    unexpected = len(set(found.failed) - set(report.poisonous))
    counts = (len(found.lost), len(found.stale), unexpected)
    line = Line("poison", given.engine, given.seed, given.products, given.poisonous, *counts, 0.0, report.seconds, notes)
    told(line, given.out)
    return 0 if line.sound and not report.wrong and report.away <= LONGEST_AWAY else 1


if __name__ == "__main__":
    sys.exit(main())
