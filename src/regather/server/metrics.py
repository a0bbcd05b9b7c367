"""Tallies in the text formats of Prometheus; imported when the first client asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from regather.server.tallies import BOUNDS, Family, Histogram, Tallied

_BOUND_NAMES = (*map(repr, BOUNDS), "+Inf")


class Exposition:
    """All that some tallies count, and what the process uses."""

    def __init__(self, tallied: Sequence[Tallied]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Families(tallied))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def encode(self, accept: str) -> tuple[bytes, str]:
        """The document in the format that an Accept header prefers, and its type."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type


class _Families(Collector):
    def __init__(self, tallied: Sequence[Tallied]) -> None:
        self._tallied = tallied

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are known only when they are collected."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All values as they are now."""
        for one in self._tallied:
            yield from map(_metric, one.families())


def _metric(family: Family) -> Metric:
    labels = family.labels
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=labels)
        for values, counted in family.samples.items():
            assert isinstance(counted, Histogram)
            buckets = zip(_BOUND_NAMES, accumulate(counted.counts), strict=True)
            histogram.add_metric(values, list(buckets), counted.total)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=labels)
    for values, value in family.samples.items():
        assert not isinstance(value, Histogram)
        metric.add_metric(values, value)
    return metric
