"""Small settings for tests of the simulator."""

from __future__ import annotations

import math

from bench.simulate.setting import Setting, SourceModel, layout_of
from bench.simulate.supply import Absence, supply_of
from hypothesis import strategies as st

from regather.model import Layout
from regather.planner import Options

MIB = 1 << 20
ALL = frozenset(range(1000))


def source(
    rate: float,
    *,
    holds: frozenset[int] = ALL,
    absences: tuple[Absence, ...] = (),
    varying: tuple[tuple[float, float], ...] = (),
    rtt: float = 0.0,
    bottleneck: int = -1,
) -> SourceModel:
    """A source without any delay but ``rtt``, twice that on a new connection."""
    return SourceModel(
        supply_of(rate, absences, varying), holds, rtt=rtt, connect=rtt, bottleneck=bottleneck
    )


@st.composite
def settings(draw: st.DrawFn) -> Setting:
    """Up to four sources and four data fragments, with outages, bottlenecks and parity."""
    count = draw(st.integers(1, 4), "fragments")
    sizes = draw(st.lists(st.integers(1, 3 * MIB), min_size=count, max_size=count), "sizes")
    parity = draw(st.integers(0, 2), "parity")
    layout = layout_of(sizes, MIB // 4, parity, draw(st.integers(1, count), "set size"))
    bottlenecks = draw(st.lists(st.sampled_from([5e5, 3e6]), max_size=2), "bottlenecks")
    models = draw(st.lists(_models(layout, len(bottlenecks)), min_size=1, max_size=4), "sources")
    return Setting(
        layout,
        models,
        Options(connections=draw(st.integers(1, 4), "connections")),
        bottlenecks,
        seed=draw(st.integers(0, 99), "seed"),
    )


@st.composite
def _models(draw: st.DrawFn, layout: Layout, bottlenecks: int) -> SourceModel:
    start = draw(st.sampled_from([0.0, 0.3, 1.0, 4.0]))
    length = draw(st.sampled_from([0.1, 0.5, 3.0, math.inf]))
    absence = Absence(start, start + length, draw(st.booleans()))
    absences = (absence,) if draw(st.booleans()) else ()
    varying = draw(st.sampled_from([(), ((0.2, 0.5), (0.9, 2.0)), ((0.5, 0.1),)]))
    rate = draw(st.sampled_from([2e5, 1e6, 7e6]))
    odds = st.sampled_from([0.0, 0.0, 0.0, 0.1, 1.0])
    return SourceModel(
        supply_of(rate, absences, varying),
        draw(st.frozensets(st.integers(0, len(layout.fragments) - 1))),
        known=draw(st.booleans()),
        per_connection=draw(st.sampled_from([math.inf, 3e5])),
        rtt=draw(st.sampled_from([0.0, 0.01, 0.3])),
        connect=draw(st.sampled_from([0.0, 0.1])),
        jitter=draw(st.sampled_from([0.0, 0.05])),
        bottleneck=draw(st.integers(-1, bottlenecks - 1)),
        ranges=draw(st.booleans()),
        detect=draw(st.sampled_from([0.0, 1.0])),
        refuse=draw(odds),
        stall=draw(st.sampled_from([0.0, 0.0, 0.0, 0.1])),
        corrupt=draw(odds),
        max_connections=draw(st.sampled_from([1, 100])),
        retry_after=draw(st.sampled_from([None, 1.0])),
    )
