"""Loading once per process, under threads and after forks; batches."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from hybrid_search.encoders.arrays import batches, by_length, normalised
from hybrid_search.encoders.lazy import PerProcess, threads
from tests.contracts.encoders import in_forked_child


def test_threads_that_come_at_once_share_one_load() -> None:
    loads: list[int] = []
    barrier = threading.Barrier(8)
    slow = threading.Event()

    def load() -> object:
        loads.append(1)
        slow.wait(0.2)
        return object()

    lazy = PerProcess(load)
    got: list[object] = []

    def ask() -> None:
        barrier.wait()
        got.append(lazy.get())

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(loads) == 1
    assert len({id(value) for value in got}) == 1


def test_a_failed_load_is_tried_again() -> None:
    answers: list[Any] = [OSError("gone"), "weights"]

    def load() -> str:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return str(answer)

    lazy = PerProcess(load)
    with pytest.raises(OSError, match="gone"):
        lazy.get()
    assert lazy.get() == "weights"


def test_a_forked_child_loads_its_own_even_when_the_fork_met_a_load() -> None:
    count = 0

    def load() -> int:
        nonlocal count
        count += 1
        return count

    lazy = PerProcess(load)
    assert lazy.get() == 1
    lazy._lock.acquire()  # as another thread would hold it at the moment of the fork
    try:
        child = in_forked_child(lambda items: np.array([[lazy.get()]], dtype=np.float32), [])
    finally:
        lazy._lock.release()
    assert child[0, 0] == 2
    assert lazy.get() == 1


@pytest.mark.parametrize(("given", "expected"), [(None, 1), ("", 1), ("3", 3), ("0", 1), ("many", 1)])
def test_threads_follow_the_environment(monkeypatch: pytest.MonkeyPatch, given: str | None, expected: int) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert threads() == expected


def test_normalised_rows_keep_their_direction_and_zeros_stay() -> None:
    rows = normalised(np.array([[3.0, 4.0], [0.0, 0.0], [1e-30, 0.0]]))
    np.testing.assert_allclose(rows, np.array([[0.6, 0.8], [0, 0], [1, 0]]), atol=1e-7)
    assert rows.dtype == np.float32


def test_batches_cover_everything_once() -> None:
    assert [list(range(10))[part] for part in batches(10, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert list(batches(0, 4)) == []


def test_groups_by_length_keep_to_the_budget() -> None:
    lengths = [5, 100, 7, 6, 5, 300]
    groups = list(by_length(lengths, int, 24))
    assert sorted(i for group in groups for i in group) == list(range(6))
    assert groups == [[0, 4, 3], [2], [1], [5]]  # 3 × 6 fits into 24, 4 × 7 does not; the long ones go alone
