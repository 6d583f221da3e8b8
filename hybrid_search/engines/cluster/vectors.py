"""Vectors in and out of a server, written only while the ledger still names the content they were made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybrid_search.engines.cluster import spaces as space_list
from hybrid_search.engines.cluster.documents import document_id, read_stored_vectors, storable, stored_vectors
from hybrid_search.engines.cluster.dropping import rewrite_in
from hybrid_search.engines.cluster.entries import Change, Ledger, Spaces, difference, read_ledger, vectors_written
from hybrid_search.engines.cluster.layout import OWN
from hybrid_search.engines.cluster.server import Server
from hybrid_search.engines.fitting import require_fit
from hybrid_search.types import FloatMatrix, Space, State, VectorWrite, WriteResult


def write_vectors(server: Server, writes: Sequence[VectorWrite], *, now: float) -> list[WriteResult]:
    """``Vectors.write_vectors``: a refused dimension refuses the whole batch."""
    known = space_list.read_spaces(server)
    fields = {space.key: field for field, space in known.fields.items()}
    by_product: dict[str, list[int]] = {}
    for number, write in enumerate(writes):
        require_fit(write, known.fields.get(fields.get(write.space, "")))
        by_product.setdefault(write.product_id, []).append(number)
    results: list[WriteResult | None] = [None] * len(writes)

    def decide(id_: str, stored: Mapping[str, Any] | None) -> Change | None:
        numbers = by_product[id_]
        if stored is None:
            for number in numbers:
                results[number] = WriteResult(id_, "missing")
            return None
        before = after = read_ledger(stored)
        put: dict[tuple[str, ...], Any] = {}
        for number in numbers:
            write, field = writes[number], fields.get(writes[number].space)
            results[number] = WriteResult(id_, "noop")
            if field is None:
                continue
            again = _differs(server, after, field, known.fields[field], write)
            made = vectors_written(after, field, known.fields[field], parts=write.parts, error=write.error, now=now, again=again)
            if made is not after:
                after = made
                put[OWN, f"vec_{field}"] = stored_vectors(write.vectors, known.fields[field].part)
                results[number] = WriteResult(id_, "updated")
        if after is before:
            return None
        gone = [path for path, vectors in put.items() if vectors is None]
        kept = {path: vectors for path, vectors in put.items() if vectors is not None}
        return difference(before, after).joined(Change(kept, gone))

    outcomes = rewrite_in(server, known.fields, by_product, decide)
    return [_result(write, results[number], outcomes[write.product_id].error) for number, write in enumerate(writes)]


def read_vectors(server: Server, spaces: Spaces, key: str, ids: Sequence[str]) -> list[FloatMatrix | None]:
    """``Vectors.read_vectors`` of the space ``key`` among ``spaces``."""
    for field, space in spaces.items():
        if space.key == key:
            return _read(server, field, space, ids)
    return [None] * len(ids)


def _read(server: Server, field: str, space: Space, ids: Sequence[str]) -> list[FloatMatrix | None]:
    wanted = storable(ids)
    params = {"_source_includes": f"{OWN}.vec_{field}"}
    found = server.mget(server.indices.products, map(document_id, wanted), params)
    vectors = {id_: read_stored_vectors(stored.get("_source", {}), field, space.part) for id_, stored in found.items()}
    return [vectors.get(document_id(id_)) for id_ in ids]


def _differs(server: Server, ledger: Ledger, field: str, space: Space, write: VectorWrite) -> bool:
    """Whether a ready entry is to be written again: the same content gave other vectors, or another note of what failed."""
    entry = ledger.entries.get(field)
    if entry is None or entry.state is not State.READY or entry.parts != tuple(write.parts):
        return False
    if entry.error != write.error:
        return True
    (held,) = _read(server, field, space, [write.product_id])
    given = np.ascontiguousarray(write.vectors, dtype=np.float32)
    return len(given) > 0 if held is None else not np.array_equal(held, given)


def _result(write: VectorWrite, result: WriteResult | None, error: str | None) -> WriteResult:
    if result is None:  # an id that no product can have
        return WriteResult(write.product_id, "missing")
    if error is not None and result.result == "updated":
        return WriteResult(write.product_id, "error", error)
    return result
