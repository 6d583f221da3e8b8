"""The work of one chunk: read its products, compute what is pending of them, write vectors every few products.

What was computed before is looked up by content hash, so that a refill calls no tower; what is computed now is kept before it is written,
so that a worker that dies repeats one small group at most. No state of its own: a chunk that comes twice or late is dropped.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from PIL.Image import Image

from hybrid_search.encoders.base import TextEncoder
from hybrid_search.encoders.passage import passage
from hybrid_search.engines.base import Engine
from hybrid_search.errors import EncoderError
from hybrid_search.indexing.faults import Fault, joined
from hybrid_search.indexing.heartbeat import Heartbeat
from hybrid_search.indexing.pictures import IMAGE_BATCH, ImageSource, encode_pictures
from hybrid_search.indexing.producers import ImageProducer, Producers
from hybrid_search.indexing.towers import Outputs, encode_each
from hybrid_search.telemetry.metrics import EMBED_FAILURES, EMBEDDED
from hybrid_search.types import Document, FailureWrite, FloatVector, LedgerEntry, Space, State, VectorWrite

LACKING_PAUSE = 30.0
"""Seconds for which a product is left alone in a space whose model this worker does not have: another worker, or a mended one, may take it."""


@dataclass(frozen=True, slots=True)
class EmbedLimits:
    """Times in seconds. ``seconds`` bounds one chunk: what is left then goes back to the feeder. The rest as in ``Settings``.

    ``stuck_after``: without a step forward for so long (a few texts, a picture) the process ends itself; 0 is never.
    """

    write_every: int = 8
    max_attempts: int = 3
    beat_every: float = 3.0
    seconds: float = 60.0
    stuck_after: float = 0.0


@dataclass(slots=True)
class ChunkReport:
    """Counts of (product, space) pairs. ``dropped``: the chunk was not ours to do; ``lost``: it was given up on under way."""

    written: int = 0
    failed: int = 0
    dropped: bool = False
    lost: bool = False


@dataclass(frozen=True, slots=True)
class _Todo:
    """One pending (product, space) pair."""

    document: Document
    space: Space
    entry: LedgerEntry
    last_try: bool


@dataclass(slots=True)
class _Group:
    """What a few products came to."""

    vectors: list[VectorWrite] = field(default_factory=list)
    failures: list[FailureWrite] = field(default_factory=list)
    faults: dict[tuple[str, str], Fault] = field(default_factory=dict)
    """By tower model and content hash: what failed for one space is not tried again for the next."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """Every picture that was opened is a step forward."""

    source: ImageSource
    heart: Heartbeat

    def load(self, reference: str, *, min_side: int = 0) -> Image:
        self.heart.step()
        return self.source.load(reference, min_side=min_side)


def embed_chunk(chunk_id: str, engine: Engine, producers: Producers, source: ImageSource, limits: EmbedLimits) -> ChunkReport:
    """Do a chunk, if it is still to be done.

    Raises ``EngineError`` when the engine cannot be read or written; the chunk then dies like one whose worker was killed.
    """
    report = ChunkReport()
    chunk = engine.start_chunk(chunk_id)
    if chunk is None:
        report.dropped = True
        return report
    deadline = time.monotonic() + limits.seconds
    with Heartbeat(engine, chunk_id, every=limits.beat_every, stuck_after=limits.stuck_after) as heart:
        watched = _Watched(source, heart)
        todos = _pending(engine, chunk.product_ids, limits.max_attempts)
        outputs = Outputs(engine)
        _recall(todos, producers, outputs)
        ids = list(todos)
        for start in range(0, len(ids), limits.write_every):
            if heart.lost or (start and time.monotonic() > deadline):
                break
            group = [todo for product_id in ids[start : start + limits.write_every] for todo in todos[product_id]]
            heart.step()
            _write(engine, _embed(group, producers, watched, outputs), outputs, report)
        report.lost = heart.lost
    if not report.lost:
        engine.finish_chunk(chunk_id)
    return report


def _pending(engine: Engine, product_ids: Sequence[str], max_attempts: int) -> dict[str, list[_Todo]]:
    """What is pending, by product; products that are gone or done are left out."""
    spaces = {space.key: space for space in engine.spaces()}
    # A product that is alone has had this try counted when its chunk was started.
    last = max_attempts if len(product_ids) == 1 else max_attempts - 1
    todos: dict[str, list[_Todo]] = {}
    for document in engine.fetch(product_ids):
        if document is None:
            continue
        for key, entry in document.ledger.items():
            if entry.state is State.PENDING and key in spaces:
                todos.setdefault(document.id, []).append(_Todo(document, spaces[key], entry, entry.attempts >= last))
    return todos


def _recall(todos: Mapping[str, Sequence[_Todo]], producers: Producers, outputs: Outputs) -> None:
    """Read all kept outputs that the chunk can use, in one query per tower."""
    hashes: dict[str, list[str]] = {}
    for todo in (todo for of_product in todos.values() for todo in of_product):
        with suppress(EncoderError):  # a map that cannot be read is reported where it is needed
            hashes.setdefault(producers.tower_model(todo.space), []).extend(todo.entry.parts)
    for model, wanted in hashes.items():
        outputs.recall(model, wanted)


def _write(engine: Engine, group: _Group, outputs: Outputs, report: ChunkReport) -> None:
    outputs.save()
    if group.vectors:
        for write, result in zip(group.vectors, engine.write_vectors(group.vectors), strict=True):
            if result.result == "updated":
                report.written += 1
                EMBEDDED.labels(write.space).inc()
            elif result.result == "error":  # a vector that the server never takes would be made again for ever
                refused = str(Fault("refused", result.error or "The engine gave no reason."))
                group.failures.append(FailureWrite(write.product_id, write.space, write.parts, refused, final=False))
    if group.failures:
        engine.write_failures(group.failures)
        report.failed += len(group.failures)
        for failure in group.failures:
            EMBED_FAILURES.labels(failure.space).inc()


def _embed(todos: Sequence[_Todo], producers: Producers, source: ImageSource, outputs: Outputs) -> _Group:
    done = _Group()
    by_space: dict[str, list[_Todo]] = {}
    for todo in todos:
        by_space.setdefault(todo.space.key, []).append(todo)
    for of_space in by_space.values():
        try:
            if of_space[0].space.part == "text":
                _embed_texts(of_space, producers.text_encoder(of_space[0].space), outputs, done)
            else:
                _embed_images(of_space, producers.image_producer(of_space[0].space), source, outputs, done)
        except EncoderError as err:
            done.failures += [_failure(todo, Fault("model", str(err), transient=True)) for todo in of_space]
    return done


def _embed_texts(todos: Sequence[_Todo], encoder: TextEncoder, outputs: Outputs, done: _Group) -> None:
    model = encoder.card.name
    wanted = {todo.entry.parts[0]: passage(todo.document.body) for todo in todos if outputs.get(model, todo.entry.parts[0]) is None}
    _keep(model, list(wanted), encode_each(encoder.encode_documents, list(wanted.values())), outputs, done)
    for todo in todos:
        row = outputs.get(model, todo.entry.parts[0])
        if row is None:
            done.failures.append(_failure(todo, done.faults[model, todo.entry.parts[0]]))
        else:
            done.vectors.append(VectorWrite(todo.document.id, todo.space.key, todo.entry.parts, row[None, :]))


def _embed_images(todos: Sequence[_Todo], producer: ImageProducer, source: ImageSource, outputs: Outputs, done: _Group) -> None:
    tower = producer.tower
    references: dict[str, str] = {}
    for todo in todos:
        references |= dict(zip(todo.entry.parts, todo.document.body.get("images", ()), strict=True))
    known = {content_hash for content_hash in references if outputs.get(tower.model, content_hash) is not None}
    lacking = [h for h in references if h not in known and (tower.model, h) not in done.faults]
    for start in range(0, len(lacking), IMAGE_BATCH):
        hashes = lacking[start : start + IMAGE_BATCH]
        _keep(tower.model, hashes, encode_pictures([references[h] for h in hashes], tower, source), outputs, done)
    for todo in todos:
        _assemble(todo, producer, outputs, done)


def _keep(model: str, hashes: Sequence[str], rows: Sequence[FloatVector | Fault], outputs: Outputs, done: _Group) -> None:
    """Remember what a tower made of these parts, the good rows and the faults."""
    for content_hash, row in zip(hashes, rows, strict=True):
        if isinstance(row, Fault):
            done.faults[model, content_hash] = row
        else:
            outputs.add(model, content_hash, row)


def _assemble(todo: _Todo, producer: ImageProducer, outputs: Outputs, done: _Group) -> None:
    """One product's pictures in one space: a row for each good one, a word for each bad one."""
    rows: list[FloatVector] = []
    bad: list[tuple[int, Fault]] = []
    for number, content_hash in enumerate(todo.entry.parts, 1):
        row = outputs.get(producer.tower.model, content_hash)
        if row is None:
            bad.append((number, done.faults[producer.tower.model, content_hash]))
        else:
            rows.append(row)
    error = joined(bad, len(todo.entry.parts)) if bad else None
    may_mend = any(fault.transient for _, fault in bad)
    # A product with some good pictures waits for the tries of the others; on the last one it goes with what it has.
    if error and (not rows or (may_mend and not todo.last_try)):
        postpone = LACKING_PAUSE if any(fault.reason == "model" for _, fault in bad) else None
        done.failures.append(FailureWrite(todo.document.id, todo.space.key, todo.entry.parts, error, final=not may_mend, postpone=postpone))
        return
    vectors = producer.finish(np.stack(rows), group_of(todo.document))
    done.vectors.append(VectorWrite(todo.document.id, todo.space.key, todo.entry.parts, vectors, error))


def group_of(document: Document) -> str:
    """What keeps variants of one thing together: the group id, else the product's own."""
    return str(document.body.get("group_id") or document.id)


def _failure(todo: _Todo, fault: Fault) -> FailureWrite:
    postpone = LACKING_PAUSE if fault.reason == "model" else None
    return FailureWrite(todo.document.id, todo.space.key, todo.entry.parts, str(fault), final=not fault.transient, postpone=postpone)
