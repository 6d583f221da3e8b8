"""Which embedding spaces a shop has: one per tower, and ``cross`` where words meet pictures through a fitted map."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from hybrid_search.control import ControlStore, edit_control
from hybrid_search.encoders.base import ModelCard
from hybrid_search.engines.base import Vectors
from hybrid_search.errors import ConflictError
from hybrid_search.types import Space

TEXT, IMAGE, CROSS = "text", "image", "cross"


def share_a_space(text: ModelCard, image: ModelCard) -> bool:
    """Whether both towers are one model (CLIP's are), so that words find pictures without a map."""
    return (text.name, text.dim) == (image.name, image.dim)


def default_spaces(text: ModelCard, image: ModelCard) -> tuple[Space, ...]:
    """Words meet words, pictures meet pictures; towers of one pair also let words meet pictures. Version 1 of each."""
    asked = {"image": image.name}
    if share_a_space(text, image):
        asked["text"] = text.name
    return (
        Space(TEXT, 1, text.dim, "text", text.name, {"text": text.name}),
        Space(IMAGE, 1, image.dim, "image", image.name, asked),
    )


def ensure_spaces(engine: Vectors, text: ModelCard, image: ModelCard, *, pinned: Collection[str] = ()) -> tuple[Space, ...]:
    """Create what is missing of the default spaces: a model that no version of a space has gets the next version. Returns all spaces.

    Older versions stay until somebody drops them: they answer until the new one is complete. A name in ``pinned`` that has a version gets
    no other. Safe when several processes call it at once.
    """
    for wanted in default_spaces(text, image):
        versions = versions_of(engine.spaces(), wanted.name)
        if not any(_alike(space, wanted) for space in versions) and not (versions and wanted.name in pinned):
            add_version(engine, wanted)
    return engine.spaces()


def add_version(engine: Vectors, wanted: Space) -> Space:
    """Create the next version of ``wanted.name``; an equal newest version made by somebody else meanwhile is taken instead."""
    while True:
        versions = versions_of(engine.spaces(), wanted.name)
        if versions and _alike(versions[-1], wanted):
            return versions[-1]
        fresh = replace(wanted, version=versions[-1].version + 1 if versions else 1)
        try:
            engine.add_space(fresh)
        except ConflictError:  # somebody else was first with this version
            continue
        return fresh


def remember_encoders(store: ControlStore, specs: Mapping[str, str]) -> None:
    """Note in the control document how each model is made, by name, so that processes with other settings can make it too.

    A model whose spec is its name needs no note.
    """
    news = {model: spec for model, spec in specs.items() if model != spec}
    if news:
        edit_control(store, lambda body: body.update(encoders={**body.get("encoders", {}), **news}))


def versions_of(spaces: Sequence[Space], name: str) -> list[Space]:
    """The versions of one space, oldest first."""
    return sorted((space for space in spaces if space.name == name), key=lambda space: space.version)


def _alike(one: Space, other: Space) -> bool:
    return replace(one, version=0, query_models=dict(one.query_models)) == replace(other, version=0, query_models=dict(other.query_models))
