"""Who is running: what API processes and workers say of themselves, in one blob of the engine, so that a cut-over knows whom to wait for.

Everybody reads the roster, puts an own line in and writes it back. Two that write at once may lose one line; its owner sees that at its
next look and writes it again. So the roster is right within about a second, which is all that is asked of it.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import orjson

from hybrid_search.engines.base import Blobs
from hybrid_search.errors import HybridSearchError

_log = logging.getLogger(__name__)

BLOB = "processes"
SAID_EVERY = 5.0
"""Seconds between two words of a process that has nothing new to say."""
ALIVE = 15.0
"""Seconds of silence after which a process counts as gone."""
FORGOTTEN = 300.0
"""Seconds of silence after which its line is removed."""


@dataclass(frozen=True, slots=True)
class Presence:
    """One process. ``at`` is when it said so (seconds since 1970).

    ``active`` is the space key that answers by name, ``prepared`` the keys whose query models are loaded, ``serves`` the keys whose
    products it can embed, ``faults`` the reason by key where it lacks a model.
    """

    process: str
    kind: Literal["api", "worker"]
    at: float = 0.0
    control_version: int = 0
    active: Mapping[str, str] = field(default_factory=dict)
    prepared: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)


def process_name() -> str:
    """A name for this process that no other has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


class Roster:
    """The list of processes. ``clock`` tells seconds since 1970; machines may differ by a few seconds."""

    def __init__(self, blobs: Blobs, *, clock: Callable[[], float] = time.time) -> None:
        self._blobs = blobs
        self._now = clock

    def present(self, kind: Literal["api", "worker"], *, within: float = ALIVE) -> list[Presence]:
        """Processes of this kind that said something in the last ``within`` seconds, by name."""
        since = self._now() - within
        return [line for name, line in sorted(self._read().items()) if line.kind == kind and line.at >= since]

    def say(self, presence: Presence) -> bool:
        """Put a process's line in where it is missing, old or other than ``presence``; returns whether it was written."""
        lines, now = self._read(), self._now()
        mine = lines.get(presence.process)
        if mine is not None and now - mine.at < SAID_EVERY and replace(mine, at=presence.at) == presence:
            return False
        self._write(
            {name: line for name, line in lines.items() if now - line.at < FORGOTTEN} | {presence.process: replace(presence, at=now)}
        )
        return True

    def withdraw(self, process: str) -> None:
        """Take a process's line out: it ends."""
        lines = self._read()
        if lines.pop(process, None) is not None:
            self._write(lines)

    def _read(self) -> dict[str, Presence]:
        content = self._blobs.read_blob(BLOB)
        try:
            return {line["process"]: _presence(line) for line in orjson.loads(content or b"[]")}
        except (ValueError, TypeError, KeyError):  # written by another version: each process says its own again
            return {}

    def _write(self, lines: Mapping[str, Presence]) -> None:
        self._blobs.write_blob(BLOB, orjson.dumps([asdict(line) for line in lines.values()]))


class Announcer:
    """Says what ``tell`` gives, whenever it changed and every few seconds, from a thread of its own, until it is closed."""

    def __init__(self, roster: Roster, tell: Callable[[], Presence], *, every: float) -> None:
        self._roster = roster
        self._tell = tell
        self._every = every
        self._stop = threading.Event()
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="announce", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and take the line out; safe to call twice."""
        self._stop.set()
        self._thread.join(5.0)
        if self._said:
            try:
                self._roster.withdraw(self._said)
            except (HybridSearchError, OSError) as err:
                _log.debug("not withdrawn: %s", err)
            self._said = ""

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                presence = self._tell()
                if not self._stop.is_set():
                    self._roster.say(presence)
                    self._said = presence.process
            except (HybridSearchError, OSError) as err:  # the engine is away: what is said next counts
                _log.debug("nothing announced: %s", err)
            self._stop.wait(self._every * random.uniform(0.8, 1.2))  # processes that collided once do not do so again


def _presence(line: Mapping[str, object]) -> Presence:
    values = dict(line) | {name: tuple(line[name]) for name in ("prepared", "serves")}  # type: ignore[arg-type]
    return Presence(**values)  # type: ignore[arg-type]
