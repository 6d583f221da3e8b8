"""Families that are made at scrape time instead of being counted on."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from hybrid_search.telemetry.metrics import BUILD, Spec


def family(spec: Spec, values: Mapping[tuple[str, ...], float]) -> Metric:
    """The family of ``spec`` with a value by label values, in the order of its labels (``()`` where it has none)."""
    make = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
    made = make(spec.name, spec.meaning, labels=tuple(spec.labels))
    for labels, value in values.items():
        made.add_metric(labels, value)
    return made


class BuildInfo(Collector):
    """Which program this is."""

    def __init__(self, engine: str) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        yield family(BUILD, {(version("hybrid-search"), platform.python_version(), self._engine): 1.0})
