"""Break the broker while workers embed, and say what was lost and how soon they were back.

    python -m scripts.faults.broker [--times 10] [--faults "FLUSHALL" "read-only" …] [--engine opensearch] [--seed 1] [--out FILE]

Real Valkey, a real worker. Exit code 1 when anything was lost or is stale, or work began again later than 10 s after a fault (a silent
consumer: 25 s, of which 8 are what it may be silent).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from hybrid_search.console import progress
from hybrid_search.search_server import start_node
from scripts.faults.report import Line, add_common, told
from tests.integration.crash import CrashShop
from tests.integration.faults.broker_faults import BROKER_FAULTS, break_broker

LONGEST_BACK = {"silent consumer": 25.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", nargs="+", choices=BROKER_FAULTS, default=BROKER_FAULTS)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--products", type=int, default=200, help="per time")
    parser.add_argument("--engine", choices=("embedded", "opensearch"), default="embedded")
    add_common(parser)
    given = parser.parse_args()
    sound = True
    with ExitStack() as stack:
        url = stack.enter_context(start_node("opensearch")).url if given.engine == "opensearch" else ""
        for fault in given.faults:
            with (
                tempfile.TemporaryDirectory() as folder,
                CrashShop(Path(folder), server_url=url) as shop,
                progress(fault, given.times) as advance,
            ):
                report = break_broker(shop, fault, given.times, products=given.products, seed=given.seed, advance=advance)
            found = report.verdict
            counts = (len(found.lost), len(found.stale), len(found.failed))
            notes = {"slowest return, s": round(max(report.back), 1)}
            line = Line(fault, given.engine, given.seed, found.products, given.times, *counts, report.extra, report.seconds, notes)
            told(line, given.out)
            sound = sound and line.sound and max(report.back) <= LONGEST_BACK.get(fault, 10.0)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
