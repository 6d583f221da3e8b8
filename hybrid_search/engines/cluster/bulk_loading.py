"""Settings of an index while a catalogue is loaded, put back afterwards; a note in the mapping's ``_meta`` survives a crash."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hybrid_search.engines.cluster.transport import Transport

_NOTE = "loading"
_NO_REFRESH = {"refresh_interval": "-1"}


@dataclass(frozen=True, slots=True)
class Loading:
    """A load that has not put the settings back: since when (seconds since 1970), and what they were (``None``: the server's default)."""

    since: float
    before: Mapping[str, Any]


@contextmanager
def bulk_loading(
    transport: Transport, index: str, *, replicas: int | None = None, settings: Mapping[str, Any] = _NO_REFRESH
) -> Iterator[None]:
    """Put ``index`` (an alias of one index, or its name) under ``settings`` while the block runs.

    Afterwards, also after an exception, the settings are as before and everything is searchable. Nothing is lost meanwhile: each
    acknowledged write is in the server's log. A process that dies in the block leaves the note that ``unfinished_loading`` reads and
    ``restore`` ends. Of two loads at once the first to end restores; the other goes on, slower.

    Args:
        replicas: 0 writes no copies on the way; a lost node then loses the index, which is to be loaded anew.
        settings: names below ``index``, flat.
    """
    meta = _meta(transport, index)
    wanted = {**settings, **({} if replicas is None else {"number_of_replicas": replicas})}
    found = _settings(transport, index)
    before = {name: found.get(f"index.{name}") for name in wanted}
    earlier = meta.get(_NOTE, {}).get("before", {})
    _put_meta(transport, index, {**meta, _NOTE: {"since": time.time(), "before": {**before, **earlier}}})
    try:
        _put_settings(transport, index, wanted)
        yield
    finally:
        restore(transport, index)


def unfinished_loading(transport: Transport, index: str) -> Loading | None:
    """The load that is running on ``index``, or that died there."""
    note = _meta(transport, index).get(_NOTE)
    return None if note is None else Loading(note["since"], note["before"])


def restore(transport: Transport, index: str) -> bool:
    """Put the settings back that a load has changed; ``False`` where there is none. Safe to repeat."""
    meta = _meta(transport, index)
    note = meta.get(_NOTE)
    if note is None:
        return False
    _put_settings(transport, index, note["before"])
    _put_meta(transport, index, {name: value for name, value in meta.items() if name != _NOTE})
    transport.request("POST", f"/{index}/_refresh")
    return True


def _meta(transport: Transport, index: str) -> dict[str, Any]:
    (found,) = transport.request("GET", f"/{index}/_mapping").body.values()
    meta: dict[str, Any] = found["mappings"].get("_meta", {})
    return meta


def _put_meta(transport: Transport, index: str, meta: Mapping[str, Any]) -> None:
    transport.request("PUT", f"/{index}/_mapping", {"_meta": meta})


def _settings(transport: Transport, index: str) -> dict[str, Any]:
    (found,) = transport.request("GET", f"/{index}/_settings", params={"flat_settings": "true"}).body.values()
    settings: dict[str, Any] = found["settings"]
    return settings


def _put_settings(transport: Transport, index: str, settings: Mapping[str, Any]) -> None:
    transport.request("PUT", f"/{index}/_settings", {f"index.{name}": value for name, value in settings.items()})
