"""From an understood request to the legs that answer it: which are asked, with what vector, at what weight."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL.Image import Image

from hybrid_search.control import Control
from hybrid_search.errors import EncoderError, EngineError, ImageError, NotFoundError, QueryError
from hybrid_search.query.parts import SearchParts
from hybrid_search.query.request import ImageInput, SearchRequest
from hybrid_search.query.understand import Understood
from hybrid_search.query.weigh import weigh
from hybrid_search.telemetry.searching import encoding, leg_left_out
from hybrid_search.types import AllLeg, FloatMatrix, FloatVector, KeywordLeg, Leg, Space, VectorLeg


@dataclass(frozen=True, slots=True)
class PlannedLegs:
    """The legs to ask and the weight of each that was meant to be asked, before shares; ``degraded`` says ``leg: reason`` for those that cannot be."""

    legs: tuple[Leg, ...]
    weights: Mapping[str, float]
    degraded: tuple[str, ...]


def plan_legs(understood: Understood, request: SearchRequest, control: Control, parts: SearchParts) -> PlannedLegs:
    """Choose the legs and make their query vectors.

    An encoder that fails costs its leg and is told in ``degraded``: this is the one place where such a failure becomes a smaller
    answer. Raises ``QueryError`` for a picture that cannot be read and ``NotFoundError`` for an unknown product: those are the
    asker's to mend.
    """
    k = control.candidates
    if understood.asks_for_everything:
        return PlannedLegs((AllLeg("all", parts.max_window),), {"all": 1.0}, ())
    spaces = leg_spaces(parts.spaces.active(control.active_spaces))
    weights = weigh(understood, control, request.weights)
    makers = _vector_makers(understood, request, spaces, parts)
    legs: list[Leg] = []
    asked: dict[str, float] = {}
    degraded: list[str] = []
    if understood.text and weights.get("bm25", 0.0) > 0:
        legs.append(KeywordLeg("bm25", understood.text, control.field_weights, control.minimum_should_match, k))
        asked["bm25"] = weights["bm25"]
    for name, make in makers.items():
        if weights.get(name, 0.0) <= 0:
            continue
        asked[name] = weights[name]
        try:
            with encoding(name):
                vector = make()
        except (EncoderError, EngineError) as err:
            leg_left_out(name, "encoder" if isinstance(err, EncoderError) else "engine")
            degraded.append(f"{name}: {err}")
            continue
        if vector is None:
            leg_left_out(name, "not_embedded")
            degraded.append(f"{name}: what was given is not embedded yet.")
        else:
            legs.append(VectorLeg(name, spaces[name].key, vector, k))
    return PlannedLegs(tuple(legs), asked, tuple(degraded))


def leg_spaces(active: Mapping[str, Space]) -> dict[str, Space]:
    """The space that each vector leg asks, by leg name. Where one pair of towers made the pictures' vectors and can encode words, ``cross``
    asks them there: a map (the space ``cross``) is for towers that do not understand each other."""
    spaces = dict(active)
    if "image" in spaces and "text" in spaces["image"].query_models:
        spaces["cross"] = spaces["image"]
    return spaces


def _vector_makers(
    understood: Understood, request: SearchRequest, spaces: Mapping[str, Space], parts: SearchParts
) -> dict[str, Callable[[], FloatVector | None]]:
    """By leg name, what makes its query vector; ``None`` from a maker means that the product it is taken from has none (yet)."""
    makers: dict[str, Callable[[], FloatVector | None]] = {}
    if understood.like is not None:
        (document,) = parts.engine.fetch([understood.like])
        if document is None:
            raise NotFoundError(
                f"No product {understood.like!r}.", field="like", value=understood.like, remedy="Give the id of an indexed product."
            )
        for name in ("text", "image"):
            if name in spaces and spaces[name].key in document.ledger:  # else it has no words, or no picture, to be alike in
                makers[name] = _stored_vector(parts, spaces[name], understood.like)
    if understood.text:
        for name, space in spaces.items():
            if name in ("text", "cross") and "text" in space.query_models:
                makers[name] = _text_vector(parts, space.query_models["text"], understood.text)
    if request.images and "image" in spaces:
        side = image_side(parts, spaces["image"])
        images = [read_image(image, parts, min_side=side) for image in request.images if image.product_id is None]
        product_ids = [image.product_id for image in request.images if image.product_id is not None]
        for product_id, document in zip(product_ids, parts.engine.fetch(product_ids), strict=True):
            if document is None:
                raise NotFoundError(
                    f"No product {product_id!r}.", field="images.product_id", value=product_id, remedy="Give the id of an indexed product."
                )
        makers["image"] = _image_vector(parts, spaces["image"], images, product_ids)
    return makers


def _text_vector(parts: SearchParts, model: str, text: str) -> Callable[[], FloatVector]:
    return lambda: parts.query_vector(model, text)


def _stored_vector(parts: SearchParts, space: Space, product_id: str) -> Callable[[], FloatVector | None]:
    def make() -> FloatVector | None:
        (vectors,) = parts.engine.read_vectors(space.key, [product_id])
        return None if vectors is None or len(vectors) == 0 else mean_direction(vectors)

    return make


def _image_vector(parts: SearchParts, space: Space, images: list[Image], product_ids: list[str]) -> Callable[[], FloatVector | None]:
    def make() -> FloatVector | None:
        rows = []
        if images:
            rows.append(parts.encoders.image_encoder(space.query_models["image"]).encode_queries(images))
        rows.extend(v for v in parts.engine.read_vectors(space.key, product_ids) if v is not None and len(v))
        return mean_direction(np.concatenate(rows)) if rows else None

    return make


def mean_direction(vectors: FloatMatrix) -> FloatVector:
    """The L2-normalised mean of ``(n, dim)`` vectors; the first of them where they cancel out."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    norm = float(np.linalg.norm(mean))
    return np.asarray(mean / norm if norm > 1e-6 else vectors[0], dtype=np.float32)


def image_side(parts: SearchParts, space: Space) -> int:
    """The shortest side in pixels that the space's query model needs; 0 (whole pictures) when this process does not have it."""
    try:
        return parts.encoders.image_encoder(space.query_models.get("image", "")).card.image_size
    except EncoderError:  # told by the leg that lacks it
        return 0


def read_image(image: ImageInput, parts: SearchParts, *, min_side: int) -> Image:
    """The decoded picture of a request, as ``ImageIntake.decode`` scales it. Raises ``QueryError`` with the intake's reason."""
    try:
        if image.base64 is not None:
            return parts.intake.decode(base64.b64decode(image.base64, validate=True), min_side=min_side)
        return parts.intake.load(str(image.url), min_side=min_side)
    except ValueError as err:  # binascii.Error, and text that is not ASCII
        raise QueryError(
            "images: base64 is malformed.", field="images", value=str(image.base64)[:40], remedy="Send standard base64."
        ) from err
    except ImageError as err:
        raise QueryError(
            f"images: {err.message} ({err.reason})", field="images", value=err.value, remedy=err.remedy or "Send another picture."
        ) from err
