"""Bootstrap intervals, against scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hybrid_search.evaluation.bootstrap import interval


def test_it_is_the_percentile_bootstrap() -> None:
    values = np.random.default_rng(3).normal(0.1, 0.4, 80)
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, random_state=1).confidence_interval
    low, high = interval(values)
    assert low == pytest.approx(expected.low, abs=0.005)
    assert high == pytest.approx(expected.high, abs=0.005)


def test_the_same_every_time() -> None:
    values = np.linspace(0, 1, 30)
    assert interval(values) == interval(values)


def test_no_spread_and_no_values() -> None:
    assert interval(np.full(10, 0.25)) == (0.25, 0.25)
    assert all(math.isnan(bound) for bound in interval(np.array([])))
