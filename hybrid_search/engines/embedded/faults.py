"""What SQLite's errors mean to a user: one table from its result codes to a message and a remedy."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid_search.errors import EngineUnavailable

_KEPT = "Nothing that was acknowledged is lost."

_MEANINGS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: ("The disk that holds {path} is full.", f"Free some space and try again. {_KEPT}"),
    sqlite3.SQLITE_IOERR: (
        "{path} cannot be read or written ({detail}).",
        f"Check free space, quota, file size limit and the health of its disk, then try again. {_KEPT}",
    ),
    sqlite3.SQLITE_READONLY: (
        "{path} may not be written ({detail}).",
        "Give this user write permission on the folder, or choose another `home`.",
    ),
    sqlite3.SQLITE_PERM: ("{path} may not be opened ({detail}).", "Give this user permission on the folder, or choose another `home`."),
    sqlite3.SQLITE_CANTOPEN: (
        "{path} cannot be opened ({detail}).",
        "Check that the folder exists, is a folder and may be written by this user, or choose another `home`.",
    ),
    sqlite3.SQLITE_NOTADB: ("{path} is not a database.", "Move the file away or choose another `home`."),
    sqlite3.SQLITE_CORRUPT: ("{path} is damaged ({detail}).", "Restore it from a backup, or move it away and load the catalogue again."),
    sqlite3.SQLITE_BUSY: (
        "{path} is locked by another process for too long.",
        "Try again; if it stays, look for a stuck process on this folder.",
    ),
    sqlite3.SQLITE_LOCKED: ("{path} is locked by another statement.", "Try again."),
    sqlite3.SQLITE_NOMEM: ("No memory is left for {path}.", "Free some memory and try again."),
    sqlite3.SQLITE_TOOBIG: ("A value is too large for {path}.", "Shorten the product's texts or leave out some of its pictures."),
}


def explained(error: sqlite3.Error, path: Path) -> EngineUnavailable | None:
    """The user's view of ``error`` on the file ``path``; ``None`` where it is a fault of our own (a wrong statement)."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or (code & 0xFF) not in _MEANINGS:
        return None
    message, remedy = _MEANINGS[code & 0xFF]
    return EngineUnavailable(message.format(path=path, detail=error), field="home", value=str(path), remedy=remedy)


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Turn SQLite's errors on ``path`` inside the block into ``EngineUnavailable`` with a remedy."""
    try:
        yield
    except sqlite3.Error as err:
        meant = explained(err, path)
        if meant is None:
            raise
        raise meant from err
