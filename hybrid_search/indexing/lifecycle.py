"""The life of a version of a space: added, filled, cut over to, rolled back from, dropped.

The engine's ledger does the work (a new space makes its products pending, every later change makes them pending in all versions); the
control document says which version answers. A cut-over has two steps, so that no query waits for a model: first every API process loads
the new version's query models (``prepared_spaces``), then the name is pinned to it (``active_spaces``), which each process sees within a
second. What was pinned before is remembered for the way back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hybrid_search.control import Control, edit_control, parse_control
from hybrid_search.encoders.base import ModelCard
from hybrid_search.engines.base import Engine
from hybrid_search.engines.presence import Presence, Roster
from hybrid_search.errors import ConflictError, NotFoundError
from hybrid_search.indexing.coverage import ENOUGH, NAMED, Coverage, coverage, failed_in
from hybrid_search.indexing.spaces import IMAGE, TEXT, share_a_space, versions_of
from hybrid_search.types import Space

PREPARE_SECONDS = 120.0
"""How long a cut-over waits for API processes to load a model."""
TAKE_SECONDS = 10.0
"""How long it then waits for them to say that they have switched."""
_LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class Switch:
    """What a cut-over or a rollback did. Times in seconds: until all ``processes`` had loaded the models, and from the switch until all
    said that they answer with ``now``; ``late`` are those that did not say so in time."""

    name: str
    before: str | None
    now: str
    processes: int
    prepare_seconds: float
    take_seconds: float
    late: tuple[str, ...] = ()


def wanted_space(spec_cards: tuple[ModelCard | None, ModelCard | None], part: str) -> Space:
    """The space (version 0) that an encoder fills with ``part``: ``spec_cards`` are its text and its image side, where it has them.

    Towers of one pair let words ask the picture space too.
    """
    text, image = spec_cards
    if part == "text":
        assert text is not None
        return Space(TEXT, 0, text.dim, "text", text.name, {"text": text.name})
    assert image is not None
    asked = {"image": image.name}
    if text is not None and share_a_space(text, image):
        asked["text"] = text.name
    return Space(IMAGE, 0, image.dim, "image", image.name, asked)


def add(engine: Engine, wanted: Space, spec: str, active: Mapping[str, str]) -> Space:
    """Make the next version of ``wanted.name``, noting how its model is made. From now on changes are written to both.

    The name is pinned to what answers now (``active``, keys by name), so that only a cut-over moves it.

    Raises ``ConflictError`` where the newest version is by the same model.
    """
    versions = versions_of(engine.spaces(), wanted.name)
    if versions and replace(versions[-1], version=0, query_models=dict(versions[-1].query_models)) == wanted:
        raise ConflictError(
            f"{versions[-1].key} is already by {wanted.model!r}.",
            field="model",
            value=wanted.model,
            remedy=f"Fill it with `hybrid-search spaces backfill {versions[-1].key}`, or drop it first.",
        )

    def change(body: dict[str, Any]) -> None:
        if wanted.name in active:
            body["active_spaces"] = {wanted.name: active[wanted.name], **body.get("active_spaces", {})}
        if spec != wanted.model:
            body["encoders"] = {**body.get("encoders", {}), wanted.model: spec}

    edit_control(engine, change)  # first: a worker must be able to make the model when it finds the first product
    version = versions[-1].version + 1 if versions else 1
    fresh = replace(wanted, version=version)
    engine.add_space(fresh)
    return fresh


def check_coverage(engine: Engine, key: str, *, at_least: float = ENOUGH) -> Coverage:
    """The coverage gate. Raises ``ConflictError`` that names failed products when it is not passed."""
    found = coverage(engine.status(), key)
    if not found.enough(at_least):
        names = [failure.product_id for failure in failed_in(engine, key)]
        listed = f" Failed: {', '.join(names)}{' …' if found.failed > NAMED else ''}." if names else ""
        raise ConflictError(
            f"{key} has vectors for {found.ready} of {found.total} products ({found.share:.2%}), not for {at_least:.1%}: "
            f"{found.pending} pending, {found.failed} failed.{listed}",
            field="space",
            value=key,
            remedy="Wait for the backfill, mend the failures (`hybrid-search failures`), or force it with --force.",
        )
    return found


def rollback_target(engine: Engine, name: str) -> Space:
    """The version that a rollback of ``name`` returns to.

    Raises:
        NotFoundError: there is no space of that name, or no cut-over of it is remembered.
        ConflictError: the version was dropped since.
    """
    spaces = engine.spaces()
    if not versions_of(spaces, name):
        known = ", ".join(dict.fromkeys(space.name for space in spaces)) or "none"
        raise NotFoundError(f"There is no space named {name!r}.", field="name", value=name, remedy=f"Names: {known}.")
    key = stored_control(engine).previous_spaces.get(name)
    if key is None:
        raise NotFoundError(f"No cut-over of {name!r} is remembered.", field="name", value=name, remedy="See `hybrid-search spaces list`.")
    for space in spaces:
        if space.key == key:
            return space
    raise ConflictError(
        f"{key} was dropped: there is nothing to roll back to.",
        field="name",
        value=name,
        remedy="Add its model again with `hybrid-search spaces add`; what its towers computed is kept.",
    )


def switch(
    engine: Engine,
    target: Space,
    before: str | None,
    *,
    prepare_seconds: float = PREPARE_SECONDS,
    take_seconds: float = TAKE_SECONDS,
    on_wait: Callable[[int, int], None] = lambda done, total: None,
) -> Switch:
    """Make ``target`` answer for its name in every API process; ``before`` is what answers now and is remembered.

    ``on_wait(done, total)`` is called while processes load the model. Nothing is switched when one of them cannot.

    Raises:
        ConflictError: a process cannot; named with its reason.
        NotFoundError: the target was dropped meanwhile.
    """
    roster = Roster(engine)
    started = time.monotonic()
    processes = _prepare(engine, roster, target, prepare_seconds, on_wait)
    prepared = time.monotonic()
    engine.refresh()  # what was written last is searchable before it is searched
    find(engine, target.key)  # nobody dropped it while the models were loaded

    def take(body: dict[str, Any]) -> None:
        body["active_spaces"] = {**body.get("active_spaces", {}), target.name: target.key}
        body["prepared_spaces"] = [key for key in body.get("prepared_spaces", ()) if key != target.key]
        if before is not None and before != target.key:
            body["previous_spaces"] = {**body.get("previous_spaces", {}), target.name: before}

    version, _ = edit_control(engine, take)
    switched = time.monotonic()
    late = _wait_until_taken(roster, target, version, switched + take_seconds)
    return Switch(target.name, before, target.key, processes, prepared - started, time.monotonic() - switched, late)


def drop(engine: Engine, key: str, active: Mapping[str, str], *, roster: Roster | None = None) -> None:
    """Remove a version that nothing answers with. ``active`` are the keys in use by name.

    What its towers computed is kept: the same model added again is filled without them.

    Raises:
        NotFoundError: there is no such space.
        ConflictError: it answers queries, here or in a running API process, or it is the only version of its name.
    """
    target = find(engine, key)
    if active.get(target.name) == key:
        raise ConflictError(f"{key} answers queries.", field="space", value=key, remedy="Cut over to another version, or roll back, first.")
    asked_by = [p.process for p in (roster or Roster(engine)).present("api") if key in p.active.values()]
    if asked_by:
        raise ConflictError(
            f"{key} still answers queries in {', '.join(asked_by)}.",
            field="space",
            value=key,
            remedy="Wait until that process has the model of the version in use, or restart it with its encoder in the settings.",
        )
    if len(versions_of(engine.spaces(), target.name)) == 1:
        raise ConflictError(f"{key} is the only version of {target.name!r}.", field="space", value=key, remedy="Add another version first.")
    engine.drop_space(key)
    models = {model for space in engine.spaces() for model in (space.model, *space.query_models.values())}

    def forget(body: dict[str, Any]) -> None:
        for member in ("previous_spaces", "active_spaces"):
            if member in body:
                body[member] = {name: kept for name, kept in body[member].items() if kept != key}
        if "prepared_spaces" in body:
            body["prepared_spaces"] = [kept for kept in body["prepared_spaces"] if kept != key]
        if "encoders" in body and target.model not in models:
            body["encoders"] = {model: spec for model, spec in body["encoders"].items() if model != target.model}

    edit_control(engine, forget)


def find(engine: Engine, key: str) -> Space:
    """The space with this key. Raises ``NotFoundError`` that lists those there are."""
    spaces = engine.spaces()
    for space in spaces:
        if space.key == key:
            return space
    known = ", ".join(space.key for space in spaces) or "none"
    raise NotFoundError(f"There is no space {key!r}.", field="space", value=key, remedy=f"Existing spaces: {known}.")


def unserved(engine: Engine, *, roster: Roster | None = None) -> dict[str, str]:
    """Spaces whose products nobody can embed now, with the reason, by key: no worker is there, or none has the model."""
    workers = (roster or Roster(engine)).present("worker")
    served = {key for worker in workers for key in worker.serves}
    lacking = {key: reason for worker in workers for key, reason in worker.faults.items()}
    nobody = "no worker is running" if not workers else "no worker has looked at it yet"
    return {space.key: lacking.get(space.key, nobody) for space in engine.spaces() if space.key not in served}


def stored_control(engine: Engine) -> Control:
    """The control document as it is now. Raises ``QueryError`` when it is wrong."""
    return parse_control(engine.read_control()[1])


def _prepare(engine: Engine, roster: Roster, target: Space, seconds: float, on_wait: Callable[[int, int], None]) -> int:
    """Have every API process load the target's query models; returns how many there are."""

    def ask(body: dict[str, Any]) -> None:
        body["prepared_spaces"] = sorted({*body.get("prepared_spaces", ()), target.key})

    def take_back(body: dict[str, Any]) -> None:
        body["prepared_spaces"] = [key for key in body.get("prepared_spaces", ()) if key != target.key]

    version, _ = edit_control(engine, ask)
    deadline = time.monotonic() + seconds
    try:
        while True:
            present = roster.present("api")
            waiting = [p for p in present if p.control_version < version or target.key not in p.prepared]
            on_wait(len(present) - len(waiting), len(present))
            if not waiting:
                return len(present)
            refusing = [p for p in waiting if p.control_version >= version and target.key in p.faults]
            if refusing or time.monotonic() > deadline:
                raise _unprepared(target, refusing or waiting)
            time.sleep(_LOOK_EVERY)
    except BaseException:
        edit_control(engine, take_back)
        raise


def _unprepared(target: Space, waiting: list[Presence]) -> ConflictError:
    reasons = "; ".join(f"{p.process}: {p.faults.get(target.key, 'has not loaded it in time')}" for p in waiting)
    return ConflictError(
        f"{len(waiting)} API processes cannot encode queries for {target.key}: {reasons}",
        field="space",
        value=target.key,
        remedy="Nothing was switched. Give those machines the model, then try again.",
    )


def _wait_until_taken(roster: Roster, target: Space, version: int, deadline: float) -> tuple[str, ...]:
    """Names of the processes that have not said in time that they answer with ``target``."""
    while True:
        late = tuple(p.process for p in roster.present("api") if p.control_version < version or p.active.get(target.name) != target.key)
        if not late or time.monotonic() > deadline:
            return late
        time.sleep(_LOOK_EVERY)
