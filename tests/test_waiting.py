"""What a request may wait for, shared by all that ask on its behalf."""

from __future__ import annotations

import threading
import time

import pytest

from hybrid_search.waiting import REREAD_SECONDS, at_most, left, rereading, turn, waited


def test_all_news_of_a_request_share_one_wait() -> None:
    with at_most(5.0):
        with at_most(4.0), rereading(True):
            assert left() == REREAD_SECONDS
            waited(0.3)
        with rereading(True):
            assert left() == pytest.approx(REREAD_SECONDS - 0.3)
            waited(0.3)
        with rereading(True):
            assert left() == 0.0
        with rereading(False):
            assert left() == pytest.approx(5.0 - 0.6)
    with at_most(5.0), rereading(True):
        assert left() == REREAD_SECONDS, "another request"
    with rereading(True):
        assert left() is None, "nobody waits"


def test_waiting_for_a_turn_is_taken_from_what_is_left() -> None:
    lock = threading.Lock()
    with lock, at_most(0.3):
        started = time.monotonic()
        with turn(lock, wait=True) as mine:
            assert not mine
        assert time.monotonic() - started >= 0.3
        assert left() == 0.0
