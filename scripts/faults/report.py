"""One line per run of a fault script, on the terminal as a table and, with ``--out``, appended to a JSON list."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

MOST_EXTRA = 0.05


@dataclass(frozen=True)
class Line:
    """What a run came to. ``extra``: share of encoder work that was begun more than once; ``notes``: figures of this family alone."""

    fault: str
    engine: str
    seed: int
    products: int
    count: int
    lost: int
    stale: int
    failed: int
    extra: float
    seconds: float
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        return not (self.lost or self.stale or self.failed) and self.extra <= MOST_EXTRA


def add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file that the line is appended to")


def told(line: Line, out: Path | None) -> None:
    """Print the line, and keep it."""
    table = Table("fault", "engine", "products", "count", "lost", "stale", "failed", "extra work", "seconds", "more")
    more = ", ".join(f"{key} {value}" for key, value in line.notes.items())
    counts = [f"{number:,}" for number in (line.products, line.count, line.lost, line.stale, line.failed)]
    table.add_row(line.fault, line.engine, *counts, f"{line.extra:.1%}", f"{line.seconds:.0f}", more)
    Console(width=160).print(table)
    if out is not None:
        held = json.loads(out.read_text()) if out.exists() else []
        held.append({"at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), **asdict(line)})
        out.write_text(json.dumps(held, indent=1) + "\n")
