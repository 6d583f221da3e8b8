"""Kill workers at random moments, the full counts, and say what was lost and what was repeated.

    python -m scripts.kill_workers [--products 10000] [--groups 50] [--children 0] [--processes 2] [--seed 1]

Real Valkey, a real worker in its own process group, beat; tiny encoders that count what they begin. ``--groups`` kills take worker,
children and scheduler at once with ``kill -9``, ``--children`` kills take one encoding child. Exit code 1 when anything was lost, or more
than 5 % of the work was done twice.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.integration.crash import CrashShop, kill_while_embedding

MOST_EXTRA = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=50, help="kills of the whole process group")
    parser.add_argument("--children", type=int, default=0, help="kills of one encoding child")
    parser.add_argument("--processes", type=int, default=2, help="encoding children")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, CrashShop(Path(folder), processes=given.processes) as shop:
        report = kill_while_embedding(shop, given.products, groups=given.groups, children=given.children, seed=given.seed)
    print(json.dumps(asdict(report), indent=2))
    lost = given.products - report.ready
    return 1 if lost or report.failed or report.chunks_left or report.extra > MOST_EXTRA else 0


if __name__ == "__main__":
    sys.exit(main())
