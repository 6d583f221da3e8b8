"""A throw-away index of an evaluation set: chosen fields only, vectors by the product's own towers, gone when the evaluation is over."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hybrid_search.catalog.images import ImageIntake, ImageLimits
from hybrid_search.console import progress
from hybrid_search.control import ControlReader
from hybrid_search.encoders.base import ImageEncoder, TextEncoder
from hybrid_search.encoders.passage import passage
from hybrid_search.engines.base import Engine, ProductWrite
from hybrid_search.errors import CatalogError, ImageError, SettingsError
from hybrid_search.evaluation.engines import ENGINES
from hybrid_search.evaluation.fields import reduced
from hybrid_search.evaluation.maps import Pairs, Projection, foreign_projection, own_projection
from hybrid_search.evaluation.sets import EvaluationSet
from hybrid_search.evaluation.settling import settle
from hybrid_search.indexing.parts import part_hashes
from hybrid_search.indexing.spaces import CROSS, default_spaces
from hybrid_search.product import Product
from hybrid_search.query.parts import Encoders, SearchParts, SpaceReader
from hybrid_search.types import FloatMatrix, Part, Space, VectorWrite

PartsOf = Mapping[str, Mapping[Part, tuple[str, ...]]]
"""Content hashes of each product's parts, by id."""

_BATCH = 64
_REFRESH = 600.0
_LONGEST_QUERY = 100_000


@dataclass(frozen=True, slots=True)
class Towers:
    """The two encoders of an evaluation."""

    text: TextEncoder
    image: ImageEncoder


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An index to search. ``spaces`` are those that hold vectors, by name; ``notes`` say what was left out and why."""

    parts: SearchParts
    spaces: Mapping[str, Space]
    product_ids: tuple[str, ...]
    has_words: bool
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Builder:
    engine: Engine
    towers: Towers
    intake: ImageIntake
    quiet: bool
    notes: list[str] = field(default_factory=list)


@contextmanager
def built_index(
    evaluation: EvaluationSet,
    fields: Sequence[str],
    towers: Towers,
    *,
    engine: str,
    fit_on: Sequence[Product] | None = None,
    quiet: bool = False,
) -> Iterator[BuiltIndex]:
    """Index a set in an engine of its own that is deleted at the end.

    Args:
        evaluation: the set.
        fields: what reaches the index (``hybrid_search.evaluation.fields``).
        towers: the encoders.
        engine: a key of ``ENGINES``.
        fit_on: another catalogue's products that the map from pictures to words is fitted on, instead of this one's own.
        quiet: no progress bars.

    Raises:
        SettingsError: unknown engine.
        EncoderError: a model cannot be loaded, or ``fit_on`` has too few pairs.
    """
    if engine not in ENGINES:
        raise SettingsError(f"Unknown engine {engine!r}.", field="engine", value=engine, remedy=f"Use one of: {', '.join(ENGINES)}.")
    roots = {Path(image).parent for product in (*evaluation.products, *(fit_on or ())) for image in product.images if image.startswith("/")}
    intake = ImageIntake(ImageLimits(roots=(evaluation.folder, *sorted(roots))))
    with ENGINES[engine]() as opened:
        yield _build(_Builder(opened, towers, intake, quiet), evaluation, fields, fit_on)


def _build(builder: _Builder, evaluation: EvaluationSet, fields: Sequence[str], fit_on: Sequence[Product] | None) -> BuiltIndex:
    engine, towers = builder.engine, builder.towers
    products = [reduced(product, fields) for product in evaluation.products]
    writes = [ProductWrite(product, part_hashes(product, builder.intake)) for product in products]
    with _bar(builder, "indexing words", len(writes)) as advance:
        for start in range(0, len(writes), 1_000):
            engine.put(writes[start : start + 1_000])
            advance(min(start + 1_000, len(writes)))
    parts_of = {write.product.id: write.parts for write in writes}
    texts = [product for product in products if "text" in parts_of[product.id]]
    spaces = {space.name: space for space in default_spaces(towers.text.card, towers.image.card)}
    held: dict[str, Space] = {}
    if texts:
        held["text"] = _add_space(engine, spaces["text"])
        _write_texts(builder, spaces["text"], texts, parts_of)
    pictures = _picture_features(builder, products)
    if pictures:
        held["image"] = _add_space(engine, spaces["image"])
        _write(engine, spaces["image"], pictures, parts_of)
        projection = _projection(builder, evaluation.products, pictures, fit_on)
        if projection is not None:
            text = towers.text.card
            held[CROSS] = _add_space(engine, Space(CROSS, 1, text.dim, "image", "alignment:1", {"text": text.name}))
            whole = {product.id: product for product in evaluation.products}
            _write(engine, held[CROSS], {id_: projection(rows, whole[id_]) for id_, rows in pictures.items()}, parts_of)
    engine.refresh(_REFRESH)
    settle(engine)
    return BuiltIndex(_search_parts(builder), held, tuple(p.id for p in products), bool(texts), tuple(builder.notes))


def _search_parts(builder: _Builder) -> SearchParts:
    text, image = builder.towers.text, builder.towers.image
    return SearchParts(
        engine=builder.engine,
        control=ControlReader(builder.engine),
        spaces=SpaceReader(builder.engine),
        encoders=Encoders({text.card.name: text}, {image.card.name: image}),
        intake=builder.intake,
        secret=secrets.token_bytes(32),
        max_query_chars=_LONGEST_QUERY,
        timeout=None,
    )


def _add_space(engine: Engine, space: Space) -> Space:
    engine.add_space(space)
    return space


def _write_texts(builder: _Builder, space: Space, products: Sequence[Product], parts_of: PartsOf) -> None:
    with _bar(builder, "encoding words", len(products)) as advance:
        for start in range(0, len(products), _BATCH):
            batch = products[start : start + _BATCH]
            rows = builder.towers.text.encode_documents([passage(product.body()) for product in batch])
            builder.engine.write_vectors(
                [VectorWrite(p.id, space.key, parts_of[p.id]["text"], row[None, :]) for p, row in zip(batch, rows, strict=True)]
            )
            advance(start + len(batch))


def _picture_features(builder: _Builder, products: Sequence[Product]) -> dict[str, FloatMatrix]:
    """``(m, dim)`` by product id for those with at least one picture that can be read."""
    features: dict[str, FloatMatrix] = {}
    unreadable = 0
    shown = [product for product in products if product.images]
    with _bar(builder, "encoding pictures", len(shown)) as advance:
        for start in range(0, len(shown), _BATCH):
            owners, images = [], []
            for product in shown[start : start + _BATCH]:
                for reference in product.images:
                    try:
                        images.append(builder.intake.load(reference, min_side=builder.towers.image.card.image_size))
                        owners.append(product.id)
                    except ImageError:
                        unreadable += 1
            rows = builder.towers.image.encode_documents(images)
            for id_ in dict.fromkeys(owners):
                features[id_] = rows[[owner == id_ for owner in owners]]
            advance(min(start + _BATCH, len(shown)))
    if unreadable:
        builder.notes.append(f"{unreadable} pictures could not be read and are left out")
    return features


def _projection(
    builder: _Builder, products: Sequence[Product], pictures: Mapping[str, FloatMatrix], fit_on: Sequence[Product] | None
) -> Projection | None:
    image_model = builder.towers.image.card.name
    if fit_on is not None:
        return foreign_projection(_pairs(fit_on, _picture_features(builder, fit_on)), builder.towers.text, image_model)
    own = own_projection(_pairs(products, pictures), builder.towers.text, image_model)
    if own is None:
        builder.notes.append(
            "too few products with picture and words to learn from: words cannot meet pictures (--fit-on takes another catalogue)"
        )
    return own


def _pairs(products: Sequence[Product], pictures: Mapping[str, FloatMatrix]) -> Pairs:
    """Raises ``CatalogError`` when there is no picture at all."""
    kept = [product for product in products if product.id in pictures]
    if not kept:
        raise CatalogError("The catalogue to fit on has no picture that can be read.", field="fit_on", remedy="Name one with pictures.")
    return Pairs(kept, np.stack([pictures[product.id][0] for product in kept]))


def _write(engine: Engine, space: Space, vectors: Mapping[str, FloatMatrix], parts_of: PartsOf) -> None:
    items = [VectorWrite(id_, space.key, parts_of[id_]["image"], rows) for id_, rows in vectors.items()]
    for start in range(0, len(items), 500):
        engine.write_vectors(items[start : start + 500])


@contextmanager
def _bar(builder: _Builder, title: str, total: int) -> Iterator[Callable[[int], None]]:
    with progress(title, total, quiet=builder.quiet or total == 0) as advance:
        yield advance
