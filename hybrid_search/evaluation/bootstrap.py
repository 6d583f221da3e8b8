"""How sure a mean, or a difference of means over the same queries, is: the percentile bootstrap over queries (Efron 1979; Sakai, SIGIR 2006)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000


def interval(values: npt.NDArray[np.float64], *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Bounds of the mean of ``values`` ``(n,)``. For a paired comparison give the differences per query: both systems keep their queries together.

    The same ``seed`` draws the same samples. One value has no spread and gives itself twice; no value at all gives two NaN.
    """
    if len(values) == 0:
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, 1_000):  # a thousand samples at a time keep the index matrix small
        drawn = random.integers(0, len(values), (min(1_000, RESAMPLES - start), len(values)))
        means[start : start + len(drawn)] = values[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
