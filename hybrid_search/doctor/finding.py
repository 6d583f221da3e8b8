"""What one check found."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from hybrid_search.errors import HybridSearchError

Level = Literal["ok", "warn", "fail"]

CLOCKS_APART = 2.0
"""Seconds that two clocks may differ: pauses, ages and versions by time are compared between machines."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``check`` is a stable name (``redis.persistence``), ``found`` what is there, ``remedy`` what to do (empty when all is well)."""

    check: str
    level: Level
    found: str
    remedy: str = ""


Check = Callable[[], Iterable[Finding]]


def run(name: str, check: Check) -> Iterator[Finding]:
    """The findings of ``check``; an error of ours ends it as a failure called ``name``."""
    try:
        yield from check()
    except HybridSearchError as err:
        yield Finding(name, "fail", err.message, err.remedy or "See the message.")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``; a name other than ``localhost`` counts as reachable from others."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def clock(check: str, whose: str, difference: float) -> Finding:
    """A finding about a clock that is ``difference`` seconds ahead of ours."""
    if abs(difference) <= CLOCKS_APART:
        return Finding(check, "ok", f"The clock of {whose} agrees with ours.")
    ahead = "ahead of" if difference > 0 else "behind"
    return Finding(
        check,
        "warn",
        f"The clock of {whose} is {abs(difference):.1f} s {ahead} ours.",
        "Run NTP (chrony, systemd-timesyncd) on every machine.",
    )
