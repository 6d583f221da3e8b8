"""The picture map's life: fitted once when a first load has drained, then only on request; every fit is a new version of the ``cross`` space.

A fit reads kept tower outputs of the pictures and encodes the words of at most ``MAX_PAIRS`` products; the new version's vectors then come
from the same kept outputs, so that no image tower runs.
"""

from __future__ import annotations

import hashlib
import heapq
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from filelock import FileLock, Timeout

from hybrid_search.encoders.alignment import MAX_PAIRS, AlignmentMap, fit, pair_targets, pair_texts
from hybrid_search.encoders.base import ImageEncoder, ModelCard, TextEncoder
from hybrid_search.engines.base import Engine, EngineStatus, scan_all
from hybrid_search.errors import EncoderError
from hybrid_search.indexing.embed import group_of
from hybrid_search.indexing.maps import MapShelf, map_name
from hybrid_search.indexing.spaces import CROSS, IMAGE, TEXT, share_a_space, versions_of
from hybrid_search.types import FloatMatrix, FloatVector, Space, State

SETTLE_SECONDS = 2.0
"""A load that only pauses, between two pages of a feed say, must not be taken for one that is over."""

_log = logging.getLogger(__name__)

_BATCH = 64
"""Products whose words are encoded, and kept, at a time."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A product's words and the content hash of its first picture that has tower outputs."""

    body: Mapping[str, Any]
    group: str
    picture: str


def alignment_due(
    status: EngineStatus, spaces: tuple[Space, ...], text: TextEncoder, image: ImageEncoder, maps: MapShelf, pairs: int
) -> bool:
    """Whether the first map for these two towers should be fitted now.

    That is: the towers do not share a space, no map joins them yet, nothing waits to be embedded by either, and at least ``pairs``
    products may have both words and a picture. Cheap enough for every round of the feeder.
    """
    if share_a_space(text.card, image.card) or _joined_already(spaces, text, image, maps):
        return False
    ready = []
    for name, model in ((TEXT, text.card.name), (IMAGE, image.card.name)):
        states = [status.states.get(space.key, {}) for space in versions_of(spaces, name) if space.model == model]
        if not states or states[-1].get(State.PENDING, 0):
            return False
        ready.append(states[-1].get(State.READY, 0))
    return min(ready) >= pairs and maps.refused() != ready


def fit_alignment(engine: Engine, text: TextEncoder, image: ImageEncoder, maps: MapShelf, *, pairs: int) -> Space | None:
    """Fit a map on what is embedded now and add it as the next version of ``cross``. ``None`` when another process is fitting.

    Raises:
        EncoderError: the towers share a space and need no map, or fewer than ``pairs`` products have words and an embedded picture.
    """
    if share_a_space(text.card, image.card):
        raise EncoderError(
            f"{image.card.name!r} already shares a space with {text.card.name!r}: words find its pictures without a map.",
            field="image_encoder",
            value=image.card.name,
        )
    maps.lock_path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(maps.lock_path, timeout=0):
            return _fit(engine, text, image, maps, pairs)
    except Timeout:
        return None


def fit_first_alignment(
    engine: Engine, text: TextEncoder, image: ImageEncoder, maps: MapShelf, *, pairs: int, settle: float = SETTLE_SECONDS
) -> Space | None:
    """``fit_alignment`` if it is due and nothing was written for ``settle`` seconds; ``None`` otherwise.

    ``None`` also when there are too few pairs, which is remembered until more is embedded.
    """
    before = engine.status()
    if not alignment_due(before, engine.spaces(), text, image, maps, pairs):
        return None
    time.sleep(settle)
    status, spaces = engine.status(), engine.spaces()
    if status.seq != before.seq or not alignment_due(status, spaces, text, image, maps, pairs):
        return None
    try:
        return fit_alignment(engine, text, image, maps, pairs=pairs)
    except EncoderError as err:
        _log.info("no picture map yet: %s", err)
        counts = [status.states[versions_of(spaces, name)[-1].key].get(State.READY, 0) for name in (TEXT, IMAGE)]
        maps.refuse(counts)
        return None


def _joined_already(spaces: tuple[Space, ...], text: TextEncoder, image: ImageEncoder, maps: MapShelf) -> bool:
    asked_by_text = [space for space in versions_of(spaces, CROSS) if space.query_models.get("text") == text.card.name]
    return any(maps.image_model(space.model) == image.card.name for space in asked_by_text)


def _fit(engine: Engine, text: TextEncoder, image: ImageEncoder, maps: MapShelf, pairs: int) -> Space:
    found = heapq.nsmallest(MAX_PAIRS, _pairs(engine, image.card.name), key=lambda pair: _order(pair.group))
    if len(found) < pairs:
        raise EncoderError(
            f"Only {len(found)} products have words and an embedded picture; a map needs {pairs}.",
            field="align_pairs",
            value=pairs,
            remedy="Load more products with pictures, wait until they are embedded, or lower align_pairs.",
        )
    outputs = engine.tower_outputs(image.card.name, [pair.picture for pair in found])
    alignment = fit(
        np.stack([outputs[pair.picture] for pair in found]),
        _targets(engine, text, found),
        [pair.group for pair in found],
        image_model=image.card.name,
        text_model=text.card.name,
    )
    return _publish(engine, alignment, maps)


def _publish(engine: Engine, alignment: AlignmentMap, maps: MapShelf) -> Space:
    versions = versions_of(engine.spaces(), CROSS)
    version = maps.free_version(versions[-1].version if versions else 0)
    maps.put(map_name(version), alignment)
    space = Space(CROSS, version, alignment.dim, "image", map_name(version), {"text": alignment.text_model})
    engine.add_space(space)
    return space


def _pairs(engine: Engine, image_model: str) -> Iterator[_Pair]:
    """Every product with words for its picture and a picture with tower outputs, read page by page."""
    key = next((space.key for space in reversed(versions_of(engine.spaces(), IMAGE)) if space.model == image_model), "")
    page: list[tuple[Mapping[str, Any], str, tuple[str, ...]]] = []

    def usable() -> Iterator[_Pair]:
        known = engine.tower_outputs(image_model, [content_hash for _, _, hashes in page for content_hash in hashes])
        for body, group, hashes in page:
            picture = next((content_hash for content_hash in hashes if content_hash in known), None)
            if picture is not None:
                yield _Pair(body, group, picture)

    for document in scan_all(engine):
        entry = document.ledger.get(key)
        if entry is not None and entry.state is State.READY and pair_texts(document.body):
            page.append((document.body, group_of(document), entry.parts))
        if len(page) == 500:
            yield from usable()
            page.clear()
    yield from usable()


def _targets(engine: Engine, text: TextEncoder, pairs: list[_Pair]) -> FloatMatrix:
    """Where each pair's picture belongs, ``(n, dim)``; kept like tower outputs, so that a refit encodes only new words."""
    model = f"{text.card.name}#pair"
    hashes = [_words_hash(pair.body) for pair in pairs]
    known = engine.tower_outputs(model, hashes)
    missing = {content_hash: pair.body for content_hash, pair in zip(hashes, pairs, strict=True) if content_hash not in known}
    names = list(missing)
    remembering = _Remembering(text)
    for start in range(0, len(names), _BATCH):
        batch = names[start : start + _BATCH]
        fresh = dict(zip(batch, pair_targets([missing[name] for name in batch], remembering), strict=True))
        engine.save_tower_outputs(model, fresh)
        known |= fresh
    return np.stack([known[content_hash] for content_hash in hashes])


class _Remembering:
    """A text tower that encodes each text once: categories and colours come back in product after product."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._known: dict[str, FloatVector] = {}

    @property
    def card(self) -> ModelCard:
        return self._encoder.card

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return self._encoder.encode_queries(texts)

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        self._known |= zip(new, self._encoder.encode_documents(new), strict=True)
        return np.stack([self._known[text] for text in texts])


def _words_hash(body: Mapping[str, Any]) -> str:
    return hashlib.blake2b(orjson.dumps(pair_texts(body)), digest_size=16).hexdigest()


def _order(group: str) -> str:
    """The order in which groups are sampled; reversed, because the end of the same digest decides the fold."""
    return hashlib.md5(group.encode(), usedforsecurity=False).hexdigest()[::-1]
