"""A worker's children are killed whatever state its pool is in."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

from workers.stopping import kill_children


def test_a_pool_that_is_not_there_yet_or_any_more_keeps_nobody() -> None:
    beat = subprocess.Popen(["sleep", "60"])
    for pool in (None, SimpleNamespace(_pool=None)):
        kill_children(SimpleNamespace(pool=pool, beat=None))
        kill_children(SimpleNamespace(pool=pool, beat=SimpleNamespace(pid=None)))
    assert beat.poll() is None
    child = subprocess.Popen(["sleep", "60"])
    kill_children(SimpleNamespace(pool=SimpleNamespace(_pool=SimpleNamespace(_pool=[child])), beat=beat))
    assert (child.wait(1), beat.wait(1)) in {(0, 0), (-9, -9)}, "reaped by us, or by the kill"
