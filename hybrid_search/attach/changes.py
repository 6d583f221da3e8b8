"""Changes of a feed into the engine: the last version of a product wins, in whatever order and how often its changes come.

The engine's writes know no versions, so two processes could write an older product over a newer one. Whoever wrote therefore looks
again: when a newer record was kept meanwhile, it writes that one, until what it wrote is the newest. A change that is late or doubled
applies the newest record once more (an equal product is no write), which also mends what a process that died left half done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hybrid_search.engines.base import Catalog, ProductWrite
from hybrid_search.engines.changes import ChangeRecord, ChangeStore
from hybrid_search.errors import ConflictError
from hybrid_search.indexing.parts import ImageHashes, part_hashes
from hybrid_search.product import Product

ROUNDS = 20
"""How often a product may be overtaken by newer changes while it is written."""


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """``stale``: a newer or the same version was told before; otherwise what became of the product (``missing``: deleted, but not there)."""

    id: str
    result: Literal["created", "updated", "noop", "deleted", "missing", "stale", "error"]
    error: str | None = None


def apply_changes(engine: Catalog, store: ChangeStore, changes: Sequence[ChangeRecord], hashes: ImageHashes) -> list[ChangeResult]:
    """Apply changes, one result per change in order. Bodies are those of valid products.

    Raises:
        EngineUnavailable: the engine or the store could not be written; sending the same changes again finishes it.
        ConflictError: others changed a product all the time.
    """
    newest: dict[str, int] = {}
    for number, change in enumerate(changes):
        known = newest.get(change.product_id)
        if known is None or change.version > changes[known].version:
            newest[change.product_id] = number
    kept = dict(zip(newest.values(), store.advance([changes[number] for number in newest.values()]), strict=True))
    done = _settle(engine, store, list(newest), hashes)
    return [done[change.product_id] if kept.get(number) else _stale(done[change.product_id]) for number, change in enumerate(changes)]


def _stale(done: ChangeResult) -> ChangeResult:
    return done if done.result == "error" else ChangeResult(done.id, "stale")


def _settle(engine: Catalog, store: ChangeStore, ids: Sequence[str], hashes: ImageHashes) -> dict[str, ChangeResult]:
    done: dict[str, ChangeResult] = {}
    todo = list(ids)
    records = store.newest(todo)
    for _ in range(ROUNDS):
        _write(engine, [record for record in records if record is not None], hashes, done)
        again = store.newest(todo)
        moved = [(id_, new) for id_, old, new in zip(todo, records, again, strict=True) if old != new]
        if not moved:
            return done
        todo, records = [id_ for id_, _ in moved], [new for _, new in moved]
    raise ConflictError(
        f"The product {todo[0]!r} is changed by others all the time.", field="id", value=todo[0], remedy="Send the change again."
    )


def _write(engine: Catalog, records: Sequence[ChangeRecord], hashes: ImageHashes, done: dict[str, ChangeResult]) -> None:
    products = [Product.model_validate(record.body) for record in records if record.body is not None]
    gone = [record.product_id for record in records if record.body is None]
    results = engine.put([ProductWrite(product, part_hashes(product, hashes)) for product in products]) if products else []
    results += engine.delete(gone) if gone else []
    for result in results:
        before = done.get(result.id)
        if before is None or result.result not in ("noop", "missing"):  # what was done in an earlier round stands
            done[result.id] = ChangeResult(result.id, result.result, result.error)
