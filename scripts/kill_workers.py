"""Kill workers at random moments, the full counts, and say what was lost and what was repeated.

    python -m scripts.kill_workers [--engine opensearch] [--products 10000] [--groups 50] [--children 50] [--terms 50] [--seed 1]

Real Valkey, a real worker in its own process group, beat, with ``--engine opensearch`` a node of its own; tiny encoders that count what
they begin. ``--groups`` kills take worker, children and scheduler at once with ``kill -9``, ``--children`` kills take one encoding child,
``--terms`` restarts the worker by SIGTERM. Between them products are changed and deleted. Exit code 1 when anything was lost or is stale,
more than 5 % of the work was done twice, the end came later than 60 s after the last kill, or a SIGTERM held a change up for over 30 s.
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
from tests.integration.crash import CrashShop, kill_while_embedding

MOST_SECONDS_TO_END = 60.0
LONGEST_DELAY = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("embedded", "opensearch"), default="embedded")
    parser.add_argument("--url", default="", help="an OpenSearch that runs already; by default one is started")
    parser.add_argument("--products", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=50, help="kills of the whole process group")
    parser.add_argument("--children", type=int, default=0, help="kills of one encoding child")
    parser.add_argument("--terms", type=int, default=0, help="restarts by SIGTERM")
    parser.add_argument("--edits", type=int, default=5, help="products changed before each kill")
    parser.add_argument("--deletions", type=int, default=1, help="products deleted before each kill")
    parser.add_argument("--processes", type=int, default=2, help="encoding children")
    add_common(parser)
    given = parser.parse_args()
    kills = given.groups + given.children + given.terms
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = given.url
        if given.engine == "opensearch" and not url:
            url = stack.enter_context(start_node("opensearch")).url
        shop = stack.enter_context(CrashShop(Path(folder), processes=given.processes, server_url=url))
        advance = stack.enter_context(progress(f"{kills} kills, {given.products:,} products", kills))
        report = kill_while_embedding(
            shop, given.products, groups=given.groups, children=given.children, terms=given.terms,
            edits=given.edits, deletions=given.deletions, seed=given.seed, advance=advance,
        )  # fmt: skip
    notes = {"done after the last kill, s": round(report.after_last, 1)}
    if report.delays:
        notes |= {"longest delay of a live change, s": round(max(report.delays), 1), "longest stop, s": round(max(report.stops), 1)}
    found = report.verdict
    fault = f"{given.groups} group kills, {given.children} child kills, {given.terms} SIGTERM restarts"
    counts = (len(found.lost) + report.chunks_left, len(found.stale), len(found.failed))
    line = Line(fault, given.engine, given.seed, given.products, kills, *counts, report.extra, report.seconds, notes)
    told(line, given.out)
    late = report.after_last > MOST_SECONDS_TO_END or max(report.delays, default=0.0) > LONGEST_DELAY
    return 0 if line.sound and not late else 1


if __name__ == "__main__":
    sys.exit(main())
