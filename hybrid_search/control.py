"""What may change while everything runs: one versioned document in the engine, the same for all processes.

``ControlReader`` polls it about every second and keeps the last known one when it cannot be read.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hybrid_search.errors import ConflictError, EngineError, QueryError
from hybrid_search.schema import TEXT_FIELDS
from hybrid_search.waiting import Reading, turn

Weight = Annotated[float, Field(ge=0, le=1_000, allow_inf_nan=False)]

LEG_NAMES = ("bm25", "text", "cross", "image")
"""Keyword match; words → text vectors; words → picture vectors; pictures → picture vectors."""

WRITTEN_BY_COMMANDS = ("active_spaces", "previous_spaces", "prepared_spaces", "encoders", "backfill_per_second")
"""Members that ``hybrid-search spaces`` writes: whoever replaces the document without naming them keeps them, or weights would undo a cut-over."""

EDIT_TRIES = 20
"""Times that an edit of the document starts over because somebody else wrote."""

_AMOUNT = r"-?\d{1,9}%?"
_SHOULD_MATCH = rf"^({_AMOUNT}|\d{{1,9}}<{_AMOUNT}( +\d{{1,9}}<{_AMOUNT})*)$"


def _only(value: dict[str, float], known: tuple[str, ...], what: str) -> dict[str, float]:
    for name in value:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}: use {', '.join(known)}")
    return value


class Control(BaseModel):
    """The document. Every field's description is its reference documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field_weights: dict[str, Weight] = Field(
        default={"title": 0.25, "brand": 0.75, "category": 0.25, "all": 1.0},
        description="BM25 weight of each text field; fields left out are not searched.",
    )
    minimum_should_match: str = Field(
        "1",
        max_length=64,
        pattern=_SHOULD_MATCH,
        description="How many of the query's words a keyword match must have, in Lucene's syntax.",
    )
    fusion: Literal["min_max", "rrf"] = Field("min_max", description="How the legs' candidates become one ranking.")
    weights: dict[str, Weight] = Field(
        default={"bm25": 0.5, "text": 0.5, "cross": 0.5, "image": 1.5},
        description="Weight of each leg; a leg at 0 is not asked. Only their ratios count.",
    )
    text_factor_by_words: tuple[Weight, ...] = Field(
        (0.18, 0.18, 0.43, 1.0),
        max_length=20,
        description="Factor on the text leg's weight for queries of one, two, … words; the last one goes for longer and for Chinese ones.",
    )

    @field_validator("field_weights")
    @classmethod
    def _known_fields(cls, value: dict[str, float]) -> dict[str, float]:
        return _only(value, TEXT_FIELDS, "field")

    @field_validator("weights")
    @classmethod
    def _known_legs(cls, value: dict[str, float]) -> dict[str, float]:
        return _only(value, LEG_NAMES, "leg")

    candidates: int = Field(200, ge=10, le=1_000, description="Candidates asked of each leg.")
    active_spaces: dict[str, str] = Field(
        default_factory=dict,
        description='Space key in use by space name, as in {"text": "text_1"}. A name listed is pinned: only `spaces cutover` and `rollback`'
        " move it. A name left out uses the newest complete version by itself.",
    )
    previous_spaces: dict[str, str] = Field(
        default_factory=dict, description="What `spaces rollback` returns to, by space name; written by `spaces cutover`."
    )
    prepared_spaces: tuple[str, ...] = Field(
        (), description="Space keys whose query models every API process loads now, ahead of a cut-over; written by `spaces cutover`."
    )
    encoders: dict[str, str] = Field(
        default_factory=dict,
        description="Encoder, in the form of the setting text_encoder, by model name: how processes make a model that their settings do not name.",
    )
    backfill_per_second: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Products of a backfill that are embedded per second at most; 0 is no limit. Live changes are never held back.",
    )


class ControlStore(Protocol):
    """The part of an engine that this module needs."""

    def read_control(self) -> tuple[int, Mapping[str, Any]]: ...

    def write_control(self, body: Mapping[str, Any], *, expected_version: int) -> int: ...


def parse_control(body: Mapping[str, Any]) -> Control:
    """Validate a document. Raises ``QueryError`` that names the field at fault."""
    try:
        return Control.model_validate(dict(body))
    except ValidationError as err:
        first = err.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise QueryError(
            f"control.{name} is wrong: {first['msg']}.", field=name, value=first.get("input"), remedy="See docs/reference/control.md."
        ) from err


def edit_control(store: ControlStore, change: Callable[[dict[str, Any]], None]) -> tuple[int, Control]:
    """Apply ``change`` to the stored body, again where somebody else wrote meanwhile; returns the new version and document.

    Nothing is written where nothing changes. Raises ``QueryError`` for a wrong result, ``ConflictError`` when others write all the time.
    """
    for tries_left in reversed(range(EDIT_TRIES)):
        version, stored = store.read_control()
        body = copy.deepcopy(dict(stored))
        change(body)
        if body == stored:
            return version, parse_control(stored)
        control = parse_control(body)
        try:
            return store.write_control(body, expected_version=version), control
        except ConflictError:
            if not tries_left:
                raise
    raise AssertionError("unreachable")


def replace_control(store: ControlStore, document: Control, *, expected_version: int | None = None) -> tuple[int, Control]:
    """Store what ``document`` sets in place of the stored body; members of ``WRITTEN_BY_COMMANDS`` that it does not set stay.

    Returns the new version and document. Raises ``ConflictError`` where the stored version is not ``expected_version``; without one, an
    edit by somebody else meanwhile is kept in those members and replaced in the others.
    """
    given = document.model_dump(mode="json", exclude_unset=True)

    def change(body: dict[str, Any]) -> None:
        kept = {name: body[name] for name in WRITTEN_BY_COMMANDS if name in body}
        body.clear()
        body.update(kept | given)

    if expected_version is None:
        return edit_control(store, change)
    _, stored = store.read_control()
    body = copy.deepcopy(dict(stored))
    change(body)
    control = parse_control(body)
    # what was read is at that version, or the write is refused
    return store.write_control(body, expected_version=expected_version), control


class ControlReader:
    """The current document, read at most every ``every`` seconds; safe to share between threads.

    A request (``waiting``) never waits longer for a newer document than half a second, and not at all while another thread reads.
    """

    def __init__(self, store: ControlStore, *, every: float = 1.0) -> None:
        self._store = store
        self._every = every
        self._lock = threading.Lock()
        self._due = 0.0
        self._seen: tuple[int, Control] | None = None
        self._reading = Reading()

    @property
    def error(self) -> str | None:
        """Why what is known is old, ``None`` where the last read worked: shown by ``/v1/status``."""
        return self._reading.error

    def current(self) -> tuple[int, Control]:
        """Version and document; never raises, the last known one stands when the engine cannot answer."""
        if time.monotonic() >= self._due or self._seen is None:
            with turn(self._lock, wait=self._seen is None) as mine:  # the first read is waited for
                if mine and (time.monotonic() >= self._due or self._seen is None):
                    self._read()
        return self._seen or (0, Control())

    def read_now(self) -> tuple[int, Control]:
        """The same, read at this moment: for whoever misses something that has just been written."""
        with turn(self._lock, wait=True) as mine:
            if mine:
                self._read()
        return self._seen or (0, Control())

    def _read(self) -> None:
        self._due = time.monotonic() + self._every
        try:
            with self._reading.again(self._seen is not None, EngineError, QueryError):
                version, body = self._store.read_control()
                if self._seen is None or version != self._seen[0]:
                    self._seen = (version, parse_control(body))
        except (EngineError, QueryError):
            self._due = time.monotonic() + self._every  # it may have taken longer than that
