"""How a serving process follows a cut-over without a restart: it loads the query models of spaces that are prepared or in use, in the
background, and says which space it answers with."""

from __future__ import annotations

import logging
import time

from hybrid_search.engines.presence import Announcer, Presence, Roster, process_name
from hybrid_search.errors import EncoderError
from hybrid_search.query.parts import SearchParts
from hybrid_search.types import Space

_log = logging.getLogger(__name__)

LOOK_EVERY = 0.4
"""Seconds between two looks at the control document and the list of spaces (each is read once a second at most)."""
TRY_AGAIN = 20.0
"""Seconds before a model that could not be loaded is tried again."""


class Follower:
    """Runs from its making until ``close``."""

    def __init__(self, parts: SearchParts) -> None:
        self._parts = parts
        self._process = process_name()
        self._failed: dict[str, tuple[float, str]] = {}
        self._announcer = Announcer(Roster(parts.engine), self._look, every=LOOK_EVERY)

    def close(self) -> None:
        """Stop following; safe to call twice."""
        self._announcer.close()

    def _look(self) -> Presence:
        version, control = self._parts.control.current()
        wanted = {*control.prepared_spaces, *control.active_spaces.values()}
        spaces = [space for space in self._parts.spaces.spaces() if space.key in wanted]
        for space in spaces:
            self._prepare(space)
        # Read after the models were loaded: what is said is what the next query gets.
        active = {name: space.key for name, space in self._parts.spaces.active(control.active_spaces).items()}
        ready = tuple(space.key for space in spaces if self._parts.encoders.at_hand(space))
        faults = {key: reason for key, (_, reason) in self._failed.items()}
        return Presence(self._process, "api", control_version=version, active=active, prepared=ready, faults=faults)

    def _prepare(self, space: Space) -> None:
        if self._parts.encoders.at_hand(space):
            self._failed.pop(space.key, None)
            return
        failed = self._failed.get(space.key)
        if failed is not None and time.monotonic() - failed[0] < TRY_AGAIN:
            return
        try:
            self._parts.encoders.prepare(space)
            self._failed.pop(space.key, None)
            _log.info("queries can be encoded for %s", space.key)
        except EncoderError as err:
            self._failed[space.key] = (time.monotonic(), str(err))
            _log.warning("queries cannot be encoded for %s: %s", space.key, err)
