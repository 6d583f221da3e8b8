"""Random walks over the truth side of an engine, checked against a model after every step: the full counts.

    python -m scripts.walk_engines --engine embedded|opensearch|elasticsearch [--sequences 200] [--steps 30] [--seed 1] [--url …]

The machine is the contract suite's (``tests/contracts/engine_machine.py``): puts, deletions, spaces that come and go, chunks that are
opened, started, finished, given up, and results that come once, doubled, late and reordered. A server is the one at ``--url`` or in
OPENSEARCH_URL / ELASTICSEARCH_URL, otherwise one is started; its walks use indices of their own, deleted at the end. Exit code 1, and
the shortest walk that fails, when engine and model differ.
"""

from __future__ import annotations

import argparse
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import invariant, run_state_machine_as_test
from rich.console import Console
from rich.table import Table

from hybrid_search.console import progress
from hybrid_search.engines.cluster.indices import remove_all
from hybrid_search.engines.cluster.server import Server
from hybrid_search.search_server import Product, start_node
from tests.contracts.conftest import SERVERS
from tests.contracts.engine_machine import EngineMachine
from tests.contracts.test_engine_machine import ElasticsearchMachine, EmbeddedMachine, OpenSearchMachine, ServerMachine

MACHINES: dict[str, type[EngineMachine]] = {
    "embedded": EmbeddedMachine,
    "opensearch": OpenSearchMachine,
    "elasticsearch": ElasticsearchMachine,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=MACHINES, required=True)
    parser.add_argument("--sequences", type=int, default=200)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url", help="a server that runs already")
    given = parser.parse_args()
    with _walked_on(given.engine, given.url):
        _walk(given.engine, given.sequences, given.steps, given.seed)


@contextmanager
def _walked_on(engine: str, url: str | None) -> Iterator[None]:
    """The machines of servers find their server."""
    if engine not in SERVERS:
        yield
        return
    url = url or os.environ.get(f"{engine.upper()}_URL")
    if url is None:
        with start_node(cast(Product, engine)) as node, _walked_on(engine, node.url):
            yield
        return
    opened = SERVERS[engine](url, prefix=f"walk-{uuid.uuid4().hex[:8]}")
    server: Server = opened.server
    ServerMachine.installation = staticmethod(lambda _: server)
    try:
        yield
    finally:
        remove_all(server.transport, server.indices)
        opened.close()


def _walk(engine: str, sequences: int, steps: int, first: int) -> None:
    """Raises what a walk raised, once it has been shortened."""
    started, counts, differences = time.monotonic(), Counter[str](), "yes (below)"
    chosen = settings(
        max_examples=sequences,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    try:
        with progress(f"{engine}: {sequences} walks of {steps} steps", sequences) as advance:
            run_state_machine_as_test(seed(first)(_counting(MACHINES[engine], counts, advance)), settings=chosen)
        differences = "none"
    finally:
        table = Table("engine", "seed", "walks", "steps", "seconds", "differences")
        seconds = f"{time.monotonic() - started:,.0f}"
        table.add_row(engine, str(first), f"{counts['walks']:,}", f"{counts['steps']:,}", seconds, differences)
        Console().print(table)


def _counting(machine: type[EngineMachine], counts: Counter[str], advance: Callable[[int], None]) -> type[EngineMachine]:
    class Counting(machine):  # type: ignore[misc, valid-type]
        @invariant()
        def one_more_step(self) -> None:
            counts["steps"] += 1

        def teardown(self) -> None:
            super().teardown()
            counts["walks"] += 1
            advance(counts["walks"])

    return Counting


if __name__ == "__main__":
    main()
