"""Products that no model survives, among many that are fine."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from hybrid_search.types import State
from tests.integration.crash import CrashShop
from tests.integration.faults.oracle import Verdict
from tests.integration.tiny_worker import POISONS

REASONS = {
    "poison": "worker_died:",
    "endless": "worker_died:",
    "greedy": "encoder: ",
    "faulty": "encoder: ValueError: the model cannot read this",
}
"""How the list of failures begins to say what each kind did; ``greedy`` runs under a limit of memory, so that its allocation fails."""
ENVIRONMENT = {"HYBRID_SEARCH_STUCK_AFTER": "3", "TINY_MEMORY": "4000000000"}


@dataclass(frozen=True)
class PoisonReport:
    """``tries`` by poisonous id, as the ledger counted them; ``wrong``: ids whose reason or number of tries is not what it must be.

    ``away``: the longest time in seconds in which nothing at all was begun while work was pending.
    """

    verdict: Verdict
    poisonous: tuple[str, ...]
    wrong: tuple[str, ...]
    away: float
    seconds: float


def feed_poison(shop: CrashShop, products: int, poisonous: int, *, seed: int = 1, seconds: float = 600.0) -> PoisonReport:
    """``poisonous`` of ``products`` are of the ``POISONS``, in equal numbers and at random places. The worker has ``ENVIRONMENT``."""
    chance = random.Random(seed)
    started = time.monotonic()
    kinds = {number: POISONS[at % len(POISONS)] for at, number in enumerate(chance.sample(range(products), poisonous))}
    shop.oracle.put((f"p{i:05}", f"{kinds.get(i, 'thing')} {i}") for i in range(products))
    shop.start_worker()
    away, quiet_since, begun = 0.0, time.monotonic(), 0

    def done() -> bool:
        nonlocal away, quiet_since, begun
        now = len(shop.encoded()) if shop.log.exists() else 0
        if now != begun or now == 0:
            begun, quiet_since = now, time.monotonic()
        away = max(away, time.monotonic() - quiet_since)
        return shop.done() == products and not shop.chunks()

    shop.wait(done, "the end", seconds)
    failures = {failure.product_id: failure.entry for failure in shop.engine.failures(limit=products)}
    expected = {f"p{number:05}": REASONS[kind] for number, kind in kinds.items()}
    wrong = [
        id_
        for id_ in sorted(set(failures) | set(expected))
        if id_ not in failures
        or id_ not in expected
        or failures[id_].attempts != 3
        or failures[id_].state is not State.FAILED
        or not (failures[id_].error or "").startswith(expected[id_])
    ]
    return PoisonReport(shop.oracle.verdict(), tuple(sorted(expected)), tuple(wrong), away, time.monotonic() - started)
