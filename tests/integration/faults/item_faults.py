"""A server that takes most items of a request and refuses others: busy, in conflict, never to be mapped."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from hybrid_search.engines.base import ProductWrite
from hybrid_search.indexing.parts import text_hash
from hybrid_search.product import Product
from hybrid_search.types import Priority
from tests.integration.crash import CrashShop
from tests.integration.faults.oracle import BATCH, Verdict
from tests.integration.faults.proxy import VECTOR, FaultyProxy


@dataclass(frozen=True)
class ItemReport:
    """``told``: products that the writes said were refused, ``unwritable`` those that the server refused; ``listed`` the list of failures,
    ``unembeddable`` those whose vectors the server refused; ``wrong``: listed ones without 3 tries or the server's reason."""

    verdict: Verdict
    told: tuple[str, ...]
    unwritable: tuple[str, ...]
    listed: tuple[str, ...]
    unembeddable: tuple[str, ...]
    wrong: tuple[str, ...]
    injected: dict[str, int]
    extra: float
    seconds: float


def refuse_items(shop: CrashShop, proxy: FaultyProxy, products: int, *, bad: int, seed: int = 1, seconds: float = 600.0) -> ItemReport:
    """Write and embed ``products``; ``bad`` of them can never be written, ``bad`` others never embedded, a twentieth of all items is
    refused for load and a twentieth conflicts."""
    chance = random.Random(seed)
    started = time.monotonic()
    ids = [f"p{i:05}" for i in range(products)]
    chosen = chance.sample(ids, 2 * bad)
    unwritable, unembeddable = sorted(chosen[:bad]), sorted(chosen[bad:])
    proxy.busy, proxy.busy_items, proxy.conflicts = 0.02, 0.05, 0.05
    proxy.unmappable, proxy.carrying = set(unwritable), b'"title"'
    told: list[str] = []
    for start in range(0, products, BATCH):
        titles = {id_: f"thing {int(id_[1:])}" for id_ in ids[start : start + BATCH]}
        writes = [ProductWrite(Product(id=id_, title=title), {"text": (text_hash(title),)}) for id_, title in titles.items()]
        for result in shop.engine.put(writes, priority=Priority.BACKFILL):
            if result.result == "error":
                told.append(result.id)
            else:
                shop.oracle.titles[result.id] = titles[result.id]
    proxy.unmappable, proxy.carrying = set(unembeddable), VECTOR
    shop.start_worker()
    shop.wait_done(seconds)
    injected = dict(proxy.injected)
    proxy.heal()
    failures = {failure.product_id: failure.entry for failure in shop.engine.failures(limit=products)}
    wrong = [
        id_ for id_, entry in failures.items() if entry.attempts != 3 or not (entry.error or "").startswith("refused: failed to parse")
    ]
    begun = shop.encoded()
    return ItemReport(
        shop.oracle.verdict(), tuple(told), tuple(unwritable), tuple(sorted(failures)), tuple(unembeddable), tuple(wrong), injected,
        len(begun) / len(set(begun)) - 1, time.monotonic() - started,
    )  # fmt: skip
