"""Where following a foreign index stands: one small file in the home folder, replaced in one step."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from hybrid_search.errors import ConflictError, EngineUnavailable


@dataclass(slots=True)
class Position:
    """``uuid`` is the index that all of this is about, ``reading`` how its documents are read (``AttachConfig.reading``):
    another index, or another map of its fields, starts from nothing.

    ``full_after`` is how far a first reading has come (the value of its sort field), ``full_done`` that it came to its end;
    ``changed`` is the value of the followed field up to which changes were taken; ``compared`` the time of the last comparison of ids.
    """

    uuid: str = ""
    reading: str = ""
    full_after: Any = None
    full_done: bool = False
    changed: Any = None
    changed_at_start: Any = None
    compared: float = 0.0


class PositionFile:
    """The file of one foreign index, beside the list of its ``rejects``. One process at a time holds both (``hold``)."""

    def __init__(self, home: Path, url: str, index: str) -> None:
        name = hashlib.blake2b(f"{url}\0{index}".encode(), digest_size=6).hexdigest()
        self.path = home / "attach" / f"{name}.json"
        self.rejects = self.path.with_name("rejects.jsonl")

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Raises ``ConflictError`` when another process follows the same index, ``EngineUnavailable`` when the folder cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path.with_suffix(".lock"))
            lock.acquire(timeout=0)
        except Timeout as err:
            raise ConflictError("Another process is following this index.", field="config", remedy="One is enough: stop it first.") from err
        except OSError as err:
            raise EngineUnavailable(
                f"{self.path.parent} cannot be written: {err.strerror}.",
                field="home",
                value=str(self.path.parent),
                remedy="Set home to a folder that can be.",
            ) from err
        try:
            yield
        finally:
            lock.release()

    def read(self, uuid: str, reading: str) -> Position:
        """The position in the index ``uuid`` read as ``reading``; a new one where there is none, or one of another index or reading."""
        try:
            given = orjson.loads(self.path.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return Position(uuid, reading)
        same = isinstance(given, dict) and given.get("uuid") == uuid and given.get("reading") == reading
        return Position(**given) if same else Position(uuid, reading)

    def write(self, position: Position) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(orjson.dumps(asdict(position)))
        part.replace(self.path)
