"""The ledger inside a stored product: what becomes of its entries, as pure functions. The rules are the embedded engine's.

An entry exists per space *field* (``layout``): a space that was dropped and made again has another field and finds no old entry.
A product that has a space's part and no entry in its field is pending in it as a backfill: that is how a new space needs no write to
any product. Such an *implicit* entry becomes an explicit one with the first thing that happens to it.

All transitions take a ``Ledger`` and give the one that follows, or the very same object where nothing changes; ``difference`` turns
two of them into what is to be written. ``spaces`` are always the known spaces by space field. A process may know fewer spaces than
there are (somebody adds one right now): entries of unknown fields follow the product's content too, and are never thrown away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hybrid_search.engines.attempts import WORKER_DIED, RetryPolicy
from hybrid_search.engines.cluster.layout import ALONE, LEDGER, NEXT_BACKFILL, NEXT_LIVE, OWN, PARTS, STATES, nested_path
from hybrid_search.types import FailureWrite, LedgerEntry, Part, Priority, Space, State

Parts = Mapping[Part, tuple[str, ...]]
"""Content hashes of a product by part; a part it does not have is left out."""
Spaces = Mapping[str, Space]
"""Known spaces by space field, in order of creation."""
Path = tuple[str, ...]
"""Keys from the top of the stored document down."""


@dataclass(frozen=True, slots=True)
class Change:
    """What to do to one stored document: ``create`` it, ``delete`` it, or set and remove values at paths (removals first)."""

    set: Mapping[Path, Any] = field(default_factory=dict)
    remove: Sequence[Path] = ()
    create: Mapping[str, Any] | None = None
    delete: bool = False

    def joined(self, other: Change) -> Change:
        """Both at once."""
        return Change({**self.set, **other.set}, (*self.remove, *other.remove), self.create or other.create, self.delete or other.delete)


@dataclass(frozen=True, slots=True)
class Entry:
    """One product in one space.

    ``parts`` are the hashes of the content it is about, ``not_before`` the time before which it is not tried again, ``alone`` whether
    the product must be the only one of its chunk. ``counted`` is the running chunk that has counted this attempt already ("" for none).
    """

    state: State
    part: Part
    parts: tuple[str, ...]
    model: str
    priority: Priority
    attempts: int = 0
    error: str | None = None
    updated: float = 0.0
    not_before: float = 0.0
    alone: bool = False
    counted: str = ""

    @property
    def pending(self) -> bool:
        return self.state is State.PENDING


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one product: its parts, and its explicit entries by space field."""

    parts: Parts = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)

    def at(self, space_field: str, space: Space) -> Entry | None:
        """The entry in a space, explicit or implicit; ``None`` where the product does not have its part."""
        entry = self.entries.get(space_field)
        if entry is not None or space.part not in self.parts:
            return entry
        return Entry(State.PENDING, space.part, self.parts[space.part], space.model, Priority.BACKFILL)

    def complete(self, spaces: Spaces) -> Ledger:
        """With the implicit entries of ``spaces`` made explicit."""
        missing = {key: entry for key, space in spaces.items() if key not in self.entries and (entry := self.at(key, space)) is not None}
        return self._with(missing)

    def due(self, spaces: Spaces, now: float) -> Priority | None:
        """At which priority the product may be chunked now; ``None`` where it waits for nothing that is due."""
        found = [self.at(key, space) for key, space in spaces.items()]
        due = {entry.priority for entry in found if entry is not None and entry.pending and entry.not_before <= now}
        return next((priority for priority in Priority if priority in due), None)

    @property
    def alone(self) -> bool:
        """Whether the product must come alone, for all its spaces."""
        return any(entry.alone for entry in self.entries.values() if entry.pending)

    def _with(self, entries: Mapping[str, Entry]) -> Ledger:
        """The same object where all ``entries`` are as they were."""
        changed = {key: entry for key, entry in entries.items() if self.entries.get(key) != entry}
        return replace(self, entries={**self.entries, **changed}) if changed else self


# --- what happens to a ledger ----------------------------------------------------------------------------------------


def content_put(ledger: Ledger, parts: Parts, spaces: Spaces, *, priority: Priority, now: float) -> Ledger:
    """The product was put with these ``parts`` (an empty ``Ledger()`` stands for a new product).

    Entries of changed parts become pending with attempts at 0, those that wait as live ones stay live; entries of parts that are gone
    are removed. Old vectors stay until the new ones are written, unless their part is gone.
    """
    parts = {part: tuple(hashes) for part, hashes in parts.items() if hashes}
    if ledger.parts == parts:
        return ledger
    before = {**{key: entry for key, space in spaces.items() if (entry := ledger.at(key, space)) is not None}, **ledger.entries}
    entries: dict[str, Entry] = {}
    for key, old in before.items():
        wanted = parts.get(old.part)
        if wanted is None:
            continue
        if old.parts == wanted:
            if key in ledger.entries:
                entries[key] = old
            continue
        stays_live = old.pending and old.priority is Priority.LIVE
        entries[key] = Entry(State.PENDING, old.part, wanted, old.model, Priority.LIVE if stays_live else priority, updated=now)
    for key, space in spaces.items():
        if key not in before and space.part in parts:
            entries[key] = Entry(State.PENDING, space.part, parts[space.part], space.model, priority, updated=now)
    return Ledger(parts, entries)


def vectors_written(
    ledger: Ledger, space_field: str, space: Space, *, parts: Sequence[str], error: str | None, now: float, again: bool = False
) -> Ledger:
    """Vectors made from ``parts`` arrived: ready. The same ledger (write nothing) where the content moved on or the entry is ready already.

    ``again`` takes vectors for a ready entry too.
    """
    entry = ledger.at(space_field, space)
    if entry is None or entry.parts != tuple(parts) or (entry.state is State.READY and not again):
        return ledger
    ready = Entry(State.READY, entry.part, entry.parts, entry.model, entry.priority, error=error, updated=now)
    return ledger._with({space_field: ready})


def failure_counted(ledger: Ledger, space_field: str, space: Space, failure: FailureWrite, *, policy: RetryPolicy, now: float) -> Ledger:
    """A try failed: pending again, alone, after a pause, or ``failed``. The same ledger where the content moved on or is settled.

    A postponed try counts nothing: pending again after its own pause, alone only if it was before.
    """
    entry = ledger.at(space_field, space)
    if entry is None or not entry.pending or entry.parts != failure.parts:
        return ledger
    if failure.postpone is not None:
        attempts = entry.attempts - bool(entry.counted)
        waiting = replace(entry, attempts=attempts, counted="", error=failure.error, updated=now, not_before=now + failure.postpone)
        return ledger._with({space_field: waiting})
    attempts = entry.attempts + (0 if entry.counted else 1)
    last = failure.final or attempts >= policy.max_attempts
    tried = replace(
        entry,
        state=State.FAILED if last else State.PENDING,
        attempts=attempts,
        error=failure.error,
        updated=now,
        not_before=0.0 if last else now + policy.wait(attempts),
        alone=True,
        counted="",
    )
    return ledger._with({space_field: tried})


def attempt_started(ledger: Ledger, spaces: Spaces, *, chunk: str) -> Ledger:
    """A chunk of this product alone was started: everything pending of it counts an attempt. A second time it changes nothing.

    An attempt that a dead chunk left counted is not counted twice.
    """
    complete = ledger.complete(spaces)
    return complete._with(
        {
            key: replace(entry, attempts=entry.attempts + (0 if entry.counted else 1), counted=chunk)
            for key, entry in complete.entries.items()
            if entry.pending
        }
    )


def attempt_taken_back(ledger: Ledger, *, chunk: str) -> Ledger:
    """The chunk was closed without a failure or a death: what it counted does not count."""
    return ledger._with(
        {key: replace(entry, attempts=entry.attempts - 1, counted="") for key, entry in ledger.entries.items() if entry.counted == chunk}
    )


def buried(ledger: Ledger, spaces: Spaces, *, chunk: str, max_attempts: int, now: float) -> Ledger:
    """The worker of the chunk died: what it left unfinished comes alone, and fails once it has used up its attempts alone."""
    complete = ledger.complete(spaces)
    left: dict[str, Entry] = {}
    for key, entry in complete.entries.items():
        if not entry.pending:
            continue
        counted = entry.counted == chunk
        if counted and entry.attempts >= max_attempts:
            left[key] = replace(entry, state=State.FAILED, error=WORKER_DIED, updated=now, counted="")
        elif counted or not entry.alone:
            left[key] = replace(entry, alone=True, updated=now, counted="" if counted else entry.counted)
    return complete._with(left)


def retried(ledger: Ledger, spaces: Spaces, *, priority: Priority, now: float) -> Ledger:
    """Failed entries of ``spaces`` start anew; those that had to come alone still do."""
    return ledger._with(
        {
            key: replace(entry, state=State.PENDING, attempts=0, error=None, updated=now, not_before=0.0, priority=priority)
            for key, entry in ledger.entries.items()
            if key in spaces and entry.state is State.FAILED
        }
    )


def requeued(ledger: Ledger, spaces: Spaces, *, parts: Parts, named: Collection[str], now: float) -> Ledger:
    """Brought to the content that the product has: entries of other hashes and those of ``named`` fields are a backfill with attempts at 0.

    Entries of parts that the product does not have are removed; vectors stay until new ones are written, unless their part is gone.
    """
    parts = {part: tuple(hashes) for part, hashes in parts.items() if hashes}
    entries: dict[str, Entry] = {}
    for key, old in ledger.entries.items():
        wanted = parts.get(old.part)
        if wanted is None:
            continue
        moved = old.parts != wanted or key in named
        model = spaces[key].model if key in spaces else old.model
        entries[key] = Entry(State.PENDING, old.part, wanted, model, Priority.BACKFILL, updated=now) if moved else old
    return ledger if (parts, entries) == (ledger.parts, ledger.entries) else Ledger(parts, entries)


def without(ledger: Ledger, fields: Collection[str]) -> Ledger:
    """Less the entries of ``fields``, which were dropped."""
    left = {key: entry for key, entry in ledger.entries.items() if key not in fields}
    return ledger if len(left) == len(ledger.entries) else replace(ledger, entries=left)


def states_changed(before: Ledger, after: Ledger, state: State) -> int:
    """How many entries left ``state``."""
    return sum(
        entry.state is state and (now := after.entries.get(key)) is not None and now.state is not state
        for key, entry in before.entries.items()
    )


# --- to and from a stored product ------------------------------------------------------------------------------------


def read_ledger(source: Mapping[str, Any]) -> Ledger:
    """The ledger of a stored product (an empty one where nothing was added to it yet)."""
    own = source.get(OWN) or {}
    parts: Parts = {part: tuple(hashes) for part, hashes in (own.get(_key(PARTS)) or {}).items()}
    return Ledger(parts, {key: _entry(stored) for key, stored in (own.get(_key(LEDGER)) or {}).items()})


def stored_ledger(ledger: Ledger) -> dict[str, Any]:
    """What stands under ``hybrid`` of a stored product for this ledger: parts, entries and the fields that are searched."""
    stored: dict[str, Any] = {_key(PARTS): {part: list(hashes) for part, hashes in sorted(ledger.parts.items())}}
    if ledger.entries:
        stored[_key(LEDGER)] = {key: _stored(entry) for key, entry in sorted(ledger.entries.items())}
    return stored | summary(ledger)


def summary(ledger: Ledger) -> dict[str, Any]:
    """The fields by which products are found in their states, without ``hybrid.``; a field that would be empty is left out."""
    found: dict[str, Any] = {}
    for state, name in STATES.items():
        if keys := sorted(key for key, entry in ledger.entries.items() if entry.state == state):
            found[_key(name)] = keys
    for priority, name in ((Priority.LIVE, NEXT_LIVE), (Priority.BACKFILL, NEXT_BACKFILL)):
        times = [entry.not_before for entry in ledger.entries.values() if entry.pending and entry.priority is priority]
        if times:
            found[_key(name)] = min(times)
    if ledger.alone:
        found[_key(ALONE)] = True
    return found


def difference(before: Ledger, after: Ledger) -> Change:
    """What to write for a ledger that changed, the vectors that go with it included: those of removed entries and of ones that failed now.

    ``hybrid.vec_<field>`` is removed as a whole, so nobody has to read it.
    """
    old, new = stored_ledger(before), stored_ledger(after)
    old_entries, new_entries = old.pop(_key(LEDGER), {}), new.pop(_key(LEDGER), {})
    put: dict[Path, Any] = {(OWN, key): value for key, value in new.items() if old.get(key) != value}
    put |= {(OWN, _key(LEDGER), key): value for key, value in new_entries.items() if old_entries.get(key) != value}
    remove: list[Path] = [(OWN, key) for key in old if key not in new]
    remove += [(OWN, _key(LEDGER), key) for key in old_entries if key not in new_entries]
    remove += [tuple(nested_path(key).split(".")) for key in _without_vectors(before, after)]
    return Change(put, tuple(remove))


def _without_vectors(before: Ledger, after: Ledger) -> Iterable[str]:
    for key, entry in before.entries.items():
        now = after.entries.get(key)
        if now is None or (now.state is State.FAILED and entry.state is not State.FAILED):
            yield key


def ledger_entries(ledger: Ledger, spaces: Spaces) -> dict[str, LedgerEntry]:
    """The ledger for readers, by space key in its order; implicit entries included, those of unknown fields not."""
    found = {space.key: entry for key, space in spaces.items() if (entry := ledger.at(key, space)) is not None}
    return {
        key: LedgerEntry(key, entry.state, entry.model, entry.parts, entry.attempts, entry.error, entry.updated)
        for key, entry in sorted(found.items())
    }


def _key(path: str) -> str:
    """The name of a field under ``hybrid``."""
    return path.removeprefix(f"{OWN}.")


def _stored(entry: Entry) -> dict[str, Any]:
    stored: dict[str, Any] = {
        "state": entry.state.value,
        "part": entry.part,
        "parts": list(entry.parts),
        "model": entry.model,
        "priority": entry.priority.value,
        "updated": entry.updated,
    }
    optional = {
        "attempts": entry.attempts,
        "error": entry.error,
        "not_before": entry.not_before,
        "alone": entry.alone,
        "counted": entry.counted,
    }
    return stored | {key: value for key, value in optional.items() if value}


def _entry(stored: Mapping[str, Any]) -> Entry:
    part: Part = stored["part"]
    return Entry(
        State(stored["state"]),
        part,
        tuple(stored["parts"]),
        stored["model"],
        Priority(stored["priority"]),
        attempts=stored.get("attempts", 0),
        error=stored.get("error"),
        updated=stored["updated"],
        not_before=stored.get("not_before", 0.0),
        alone=stored.get("alone", False),
        counted=stored.get("counted", ""),
    )
