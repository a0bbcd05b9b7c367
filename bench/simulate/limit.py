"""The fluid limit: the least time in which any scheduler could have had the file.

docs/simulation.md derives it. In short: bytes of a fragment flow from sources that hold it, within
what each can have sent by time T; the least T for which that is possible is found by bisection
over the moments at which some rate changes, and by one linear programme between two of them.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass

from scipy.optimize import linprog
from scipy.sparse import csr_array

from bench.simulate.setting import Setting, SourceModel
from bench.simulate.supply import Span
from regather.model import Layout

_UNIT = float(1 << 20)
"""Bytes in the programme's unit: its tolerances are absolute."""
_NEVER = 1e7
"""Seconds after which nothing is waited for."""


@dataclass(frozen=True, slots=True)
class _Class:
    """Sources that hold the same fragments and share the same bottleneck, if any."""

    members: list[SourceModel]
    bottleneck: int


@dataclass(frozen=True, slots=True)
class _Need:
    """Bytes wanted of groups of fragments: (bytes at most, classes of sources that hold them)."""

    bytes: int
    groups: tuple[tuple[int, tuple[int, ...]], ...]


def fluid_limit(setting: Setting, share: float = 1.0) -> float:
    """Seconds that any scheduler needs at least; inf where the file cannot be had at all.

    With a ``share`` below 1: until so much of it can be there, whichever bytes those are.
    """
    if not setting.layout.size:
        return 0.0
    classes = _classes(setting)
    needs = _needs(setting.layout, classes)
    if needs is None:
        return math.inf
    high = _by_capacity(setting, classes)
    while high < math.inf:
        problem = _Problem(setting, classes, needs, high, share)
        if problem.solve(high, high) is not None:
            break
        high = high * 1.5 if high < _NEVER else math.inf
    else:
        return math.inf
    moments = problem.moments
    # The first moment by which all can be there; the limit lies between the one before and it.
    # Where rates are constant, that is nearly always the last one.
    if len(moments) > 1 and not problem.possible(moments[-2]):
        return problem.solve(moments[-2], high) or high
    at = bisect_left(range(len(moments)), True, key=lambda n: problem.possible(moments[n]))
    before = moments[at - 1] if at else 0.0
    found = problem.solve(before, moments[at])
    return moments[at] if found is None else found


def _by_capacity(setting: Setting, classes: list[_Class]) -> float:
    """A time by which all sources together can have sent the file; where to begin. Or inf."""
    high = 1.0
    while high < _NEVER:
        able = sum(_linear(spans, high, high)[0] for spans in _spans(setting, classes, high))
        if able * _UNIT > setting.layout.size:
            return high * 1.05
        high *= 1.2
    return math.inf


def _spans(setting: Setting, classes: list[_Class], until: float) -> list[list[Span]]:
    """When every class of sources can send, up to a time."""
    connections = setting.options.connections
    return [
        [
            span
            for model in cls.members
            for span in model.supply.spans(
                until,
                model.rtt + model.connect,
                model.per_connection * min(connections, model.max_connections),
            )
        ]
        for cls in classes
    ]


def _classes(setting: Setting) -> list[_Class]:
    found: dict[tuple[frozenset[int], int], _Class] = {}
    for model in setting.sources:
        if not model.hopeless and model.holds:
            key = model.holds, model.bottleneck
            found.setdefault(key, _Class([], model.bottleneck)).members.append(model)
    return list(found.values())


def _needs(layout: Layout, classes: list[_Class]) -> list[_Need] | None:
    """What is wanted, like with like; None where some of it is nowhere."""
    holders: list[list[int]] = [[] for _ in layout.fragments]
    for number, cls in enumerate(classes):
        for fragment in cls.members[0].holds:
            holders[fragment].append(number)
    counted: Counter[tuple[int, tuple[tuple[int, ...], ...]]] = Counter()
    for (wanted, members), height in _bands(layout).items():
        held = tuple(sorted(tuple(holders[f]) for f in members))
        if sum(map(bool, held)) < wanted:
            return None
        counted[wanted, held] += height
    return [
        _Need(
            wanted * height,
            tuple((count * height, who) for who, count in Counter(held).items() if who),
        )
        for (wanted, held), height in counted.items()
    ]


def _bands(layout: Layout) -> Counter[tuple[int, tuple[int, ...]]]:
    """Rows of bytes of which any so many of some fragments are wanted, and how many rows.

    Data fragments of a set may differ in length: beyond the end of the shorter ones a row needs
    as many fragments fewer.
    """
    bands: Counter[tuple[int, tuple[int, ...]]] = Counter()
    for fragment in range(layout.data_count):
        if layout.set_of[fragment] < 0 and layout.fragments[fragment].size:
            bands[1, (fragment,)] += layout.fragments[fragment].size
    for members in layout.sets:
        below = 0
        for edge in sorted({layout.fragments[f].size for f in members.data} - {0}):
            data = tuple(f for f in members.data if layout.fragments[f].size >= edge)
            bands[len(data), data + members.parity] += edge - below
            below = edge
    return bands


class _Problem:
    """Whether, and when, all can be there, up to a time ``until``."""

    def __init__(
        self,
        setting: Setting,
        classes: list[_Class],
        needs: list[_Need],
        until: float,
        share: float,
    ) -> None:
        self._needs = needs
        self._share_wanted = share
        self._classes = classes
        self._bottlenecks = setting.bottlenecks
        self._spans = _spans(setting, classes, until)
        edges = {until}
        for spans in self._spans:
            edges.update(edge for span in spans for edge in (span.start, span.end))
        self.moments = sorted(edges)
        self._known: dict[float, bool] = {}

    def possible(self, moment: float) -> bool:
        """Whether all can be there by then."""
        if moment not in self._known:
            self._known[moment] = self.solve(moment, moment) is not None
        return self._known[moment]

    def solve(self, low: float, high: float) -> float | None:
        """The least time between two moments next to each other (or one) by which all is there."""
        rows = _Rows()
        sent: list[list[int]] = [[] for _ in self._classes]
        wanted: list[int] = []
        for need in self._needs:
            everything: list[int] = []
            for most, who in need.groups:
                mine = [rows.variable() for _ in who]
                everything += mine
                for variable, number in zip(mine, who, strict=True):
                    sent[number].append(variable)
                if most < need.bytes:
                    rows.at_most(dict.fromkeys(mine, 1.0), most / _UNIT)
            if self._share_wanted < 1.0:
                wanted += everything
                rows.at_most(dict.fromkeys(everything, 1.0), need.bytes / _UNIT)
            else:
                rows.at_most(dict.fromkeys(everything, -1.0), -need.bytes / _UNIT)
        if wanted:
            total = sum(need.bytes for need in self._needs) * self._share_wanted
            rows.at_most(dict.fromkeys(wanted, -1.0), -total / _UNIT)
        # The time beyond ``low`` is the one variable that costs.
        time = rows.variable(high - low, cost=1.0)
        for number, spans in enumerate(self._spans):
            if sent[number] and self._classes[number].bottleneck < 0:
                base, slope = _linear(spans, low, high)
                rows.at_most(dict.fromkeys(sent[number], 1.0) | {time: -slope}, base)
        for bottleneck, bandwidth in enumerate(self._bottlenecks):
            self._share(rows, bottleneck, bandwidth / _UNIT, sent, low, high, time)
        found = rows.solve()
        return None if found is None else low + found

    def _share(
        self,
        rows: _Rows,
        bottleneck: int,
        bandwidth: float,
        sent: list[list[int]],
        low: float,
        high: float,
        time: int,
    ) -> None:
        """What sources behind one bottleneck send, by stretches of time without a change."""
        numbers = [n for n, c in enumerate(self._classes) if c.bottleneck == bottleneck and sent[n]]
        edges = {low, high}
        for number in numbers:
            edges.update(
                edge for s in self._spans[number] for edge in (s.start, s.end) if edge < high
            )
        moments = sorted(edges)
        shares: list[list[int]] = [[] for _ in numbers]
        for start, end in zip(moments, moments[1:] or [high], strict=False):
            open_ended = start >= low and high > low
            length = 0.0 if open_ended else end - start
            group: dict[int, float] = {}
            for at, number in enumerate(numbers):
                rate = sum(s.rate for s in self._spans[number] if s.start <= start < s.end) / _UNIT
                if rate and (length or open_ended):
                    share = rows.variable()
                    shares[at].append(share)
                    group[share] = 1.0
                    own = {share: 1.0, time: -rate} if open_ended else {share: 1.0}
                    rows.at_most(own, rate * length)
            if len(group) > 0:
                rows.at_most(group | ({time: -bandwidth} if open_ended else {}), bandwidth * length)
        for at, number in enumerate(numbers):
            rows.at_most(dict.fromkeys(sent[number], 1.0) | dict.fromkeys(shares[at], -1.0), 0.0)


def _linear(spans: list[Span], low: float, high: float) -> tuple[float, float]:
    """What can have come by ``low``, and the rate from there up to ``high``, in units."""
    base = sum(s.rate * (min(s.end, low) - s.start) for s in spans if s.start < low)
    slope = sum(s.rate for s in spans if s.start <= low and s.end >= high) if high > low else 0.0
    return base / _UNIT, slope / _UNIT


class _Rows:
    """A linear programme, built row by row."""

    def __init__(self) -> None:
        self._bounds: list[tuple[float, float | None]] = []
        self._costs: list[float] = []
        self._entries: tuple[list[float], list[int], list[int]] = ([], [], [])
        self._limits: list[float] = []

    def variable(self, most: float | None = None, cost: float = 0.0) -> int:
        self._bounds.append((0.0, most))
        self._costs.append(cost)
        return len(self._bounds) - 1

    def at_most(self, row: dict[int, float], limit: float) -> None:
        values, lines, columns = self._entries
        values += row.values()
        lines += [len(self._limits)] * len(row)
        columns += row
        self._limits.append(limit)

    def solve(self) -> float | None:
        """The least cost; None where it cannot be done."""
        values, lines, columns = self._entries
        matrix = csr_array((values, (lines, columns)), shape=(len(self._limits), len(self._bounds)))
        # The stubs know dense matrices only.
        result = linprog(self._costs, A_ub=matrix, b_ub=self._limits, bounds=self._bounds)  # type: ignore[call-overload]
        return float(result.fun) if result.status == 0 else None
