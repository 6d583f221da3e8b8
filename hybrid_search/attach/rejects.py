"""The documents of a foreign index that are no products: listed by id until they are read again and accepted, or gone."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

import orjson

from hybrid_search.catalog.rows import Reject

MOST_LISTED = 10_000
"""Documents that are listed, at most; the file is written whole."""


class RejectList:
    """A file of JSON Lines with id, field, value and reason, ordered by id; there is none without rejects."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listed: dict[str, Reject] = {}
        self._changed = False
        try:
            lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        except (FileNotFoundError, orjson.JSONDecodeError):
            return
        self._listed = {line["id"]: Reject(0, line["field"], line["value"], line["reason"], line["id"]) for line in lines}

    def __len__(self) -> int:
        return len(self._listed)

    def add(self, rejects: Iterable[Reject]) -> None:
        for reject in rejects:
            if self._listed.get(reject.id) != reject and (reject.id in self._listed or len(self._listed) < MOST_LISTED):
                self._listed[reject.id] = reject
                self._changed = True

    def remove(self, ids: Iterable[str]) -> None:
        """Take accepted documents from the list."""
        for id_ in ids:
            self._changed |= self._listed.pop(id_, None) is not None

    def keep(self, ids: Collection[str]) -> None:
        """Take from the list what is not among ``ids``."""
        self.remove([id_ for id_ in self._listed if id_ not in ids])

    def write(self) -> None:
        """Replace the file in one step, where something changed. Raises ``OSError``."""
        if not self._changed:
            return
        if self._listed:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self.path.with_suffix(f".{os.getpid()}.part")
            lines = (
                {"id": one.id, "field": one.field, "value": one.value, "reason": one.reason} for _, one in sorted(self._listed.items())
            )
            part.write_bytes(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
            part.replace(self.path)
        else:
            self.path.unlink(missing_ok=True)
        self._changed = False
