"""The dictionary of a dictionary-encoded column: what each ``int32`` code stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybrid_search.engines.embedded.product_columns import LEVEL

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Members:
    """Which single values the codes contain: code ``codes[i]`` contains value number ``values[i]``, called ``names[values[i]]``."""

    codes: Codes
    values: Codes
    names: Sequence[str]


class Dictionary:
    """Codes of a field's values, from 1; 0 is no value. Only grows, so that older readers stay right; one writing thread.

    A code stands for all values of a product, joined by ``LEVEL``; in a hierarchy (``paths``) for a path, whose single values are
    its prefixes. As long as no product has several values, codes and single values are the same.
    """

    def __init__(self, *, paths: bool) -> None:
        self.names: list[str] = [""]
        self._paths = paths
        self._codes: dict[str, int] = {"": 0}
        self._singles: dict[str, int] = {}
        self._single_names: list[str] = []
        self._members: Members | None = None
        self._room = (np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32))

    def encode(self, value: str) -> int:
        """The code of a joined value, a new one when it is new."""
        code = self._codes.get(value)
        if code is None:
            code = self._codes[value] = len(self.names)
            self.names.append(value)
            if self._members is not None:
                self._contain([code])
            elif LEVEL in value:
                self._contain(range(1, len(self.names)))
        return code

    def members(self) -> Members | None:
        """``None`` while every code stands for one value, ``names[code]``."""
        return self._members

    def containing(self, values: Sequence[str]) -> list[int]:
        """Codes that contain any of the single values (or paths)."""
        members = self._members
        if members is None:
            return [code for value in values if value and (code := self._codes.get(value))]
        wanted = [number for value in values if (number := self._singles.get(value)) is not None]
        found: list[int] = np.unique(members.codes[np.isin(members.values, wanted)]).tolist()
        return found

    def _contain(self, codes: Sequence[int]) -> None:
        pairs = [(code, single) for code in codes for single in self._parts(self.names[code])]
        for _, single in pairs:
            if single not in self._singles:
                self._singles[single] = len(self._single_names)
                self._single_names.append(single)
        start = len(self._members.codes) if self._members is not None else 0
        end = start + len(pairs)
        if end > len(self._room[0]):
            more = np.zeros(end, dtype=np.int32)
            self._room = (np.concatenate([self._room[0][:start], more]), np.concatenate([self._room[1][:start], more]))
        self._room[0][start:end] = [code for code, _ in pairs]
        self._room[1][start:end] = [self._singles[single] for _, single in pairs]
        self._members = Members(self._room[0][:end], self._room[1][:end], self._single_names)

    def _parts(self, value: str) -> list[str]:
        parts = value.split(LEVEL)
        if self._paths:
            return [LEVEL.join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        return list(dict.fromkeys(parts))
