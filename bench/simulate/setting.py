"""A scenario made concrete: one layout, and every source with its figures drawn by the seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from msgspec import UnsetType

from bench.simulate.scenario import Scenario, SourceTable, rate_of, share_of, size_of
from bench.simulate.supply import Absence, Supply, factors, flapping, supply_of
from regather.coding.placement import spread
from regather.model import Fragment, FragmentIndex, Layout
from regather.planner import Options


@dataclass(slots=True)
class SourceModel:
    """One source. Rates are bytes a second, times seconds, odds by request or piece."""

    supply: Supply
    holds: frozenset[int]
    """Positions of the fragments that it has."""
    known: bool = True
    """Whether the planner is told; else it must find out."""
    per_connection: float = math.inf
    rtt: float = 0.02
    """From a request to the first byte of its answer."""
    connect: float = 0.0
    """What a new connection adds to that."""
    jitter: float = 0.0
    """Most that an answer is late by."""
    bottleneck: int = -1
    ranges: bool = True
    detect: float = 0.0
    """How long its death goes unnoticed by requests in flight."""
    refuse: float = 0.0
    stall: float = 0.0
    corrupt: float = 0.0
    max_connections: int = 1 << 30
    retry_after: float | None = None

    @property
    def hopeless(self) -> bool:
        """Whether no good byte can ever come from it."""
        return 1.0 in (self.refuse, self.stall, self.corrupt)


@dataclass(slots=True)
class Setting:
    """All that one run depends on, the planner apart."""

    layout: Layout
    sources: list[SourceModel]
    options: Options = field(default_factory=Options)
    bottlenecks: list[float] = field(default_factory=list)
    """Bytes a second."""
    timeout: float = 15.0
    connect_timeout: float = 5.0
    decode: float = 0.001
    seed: int = 0


def layout_of(
    sizes: list[int], piece_size: int = 1 << 20, parity: int = 0, set_size: int = 0
) -> Layout:
    """A layout of fragments of the given sizes, and their parity, without hashes."""
    fragments: list[Fragment] = []
    offset = 0
    set_size = set_size or len(sizes)
    for n, size in enumerate(sizes):
        number = n // set_size + 1 if parity else 0
        fragments.append(
            Fragment(FragmentIndex(n + 1), f"file_fragment_{n + 1}.dat", offset, size, set=number)
        )
        offset += size
    total = offset
    for first in range(0, len(sizes) if parity else 0, set_size):
        longest = max(sizes[first : first + set_size])
        for n in range(parity):
            index, number = len(fragments) + 1, first // set_size + 1
            name = f"file_parity_{number}_{n + 1}.dat"
            fragments.append(
                Fragment(FragmentIndex(index), name, offset, longest, kind="parity", set=number)
            )
            offset += longest
    return Layout(total, piece_size, tuple(fragments))


def build(scenario: Scenario, seed: int, whole_time: Callable[[Setting], float]) -> Setting:
    """Draw everything that ``seed`` decides.

    ``whole_time`` tells how long the file takes at least: outages at a share of the file happen at
    that share of the time that it would take without them.
    """
    setting = _build(scenario, seed, None)
    if any(isinstance(o.at, str) for table in scenario.source for o in table.outages):
        setting = _build(scenario, seed, whole_time(setting))
    return setting


def _build(scenario: Scenario, seed: int, whole: float | None) -> Setting:
    file = scenario.file
    size, count = size_of(file.size), file.fragments
    each, more = divmod(size, count)
    sizes = [each + (n < more) for n in range(count)]
    layout = layout_of(sizes, size_of(file.piece_size), file.parity, file.set_size)
    tables = [table for table in scenario.source for _ in range(table.count)]
    names = [table.name for table in scenario.bottleneck]
    everything = frozenset(range(len(layout.fragments)))
    placed = [everything] * len(tables)
    if file.replicas:
        holds: list[set[int]] = [set() for _ in tables]
        for fragment, places in enumerate(spread(layout, len(tables), file.replicas)):
            for place in places:
                holds[place].add(fragment)
        placed = [frozenset(h) for h in holds]
    sources = [
        _source(table, number, seed, whole, placed[number], everything, names)
        for number, table in enumerate(tables)
    ]
    planner, engine = scenario.planner, scenario.engine
    return Setting(
        layout,
        sources,
        Options(planner.connections, planner.max_requests, planner.retries),
        [rate_of(table.bandwidth) for table in scenario.bottleneck],
        engine.timeout,
        engine.connect_timeout,
        engine.decode,
        seed,
    )


def _source(
    table: SourceTable,
    number: int,
    seed: int,
    whole: float | None,
    placed: frozenset[int],
    everything: frozenset[int],
    bottlenecks: list[str],
) -> SourceModel:
    # A generator for each purpose: what one draws must not shift what another does.
    def rng(purpose: str) -> random.Random:
        return random.Random(f"{seed}/{number}/{purpose}")

    figures = rng("figures")
    if isinstance(table.bandwidth, tuple):
        low, high = map(rate_of, table.bandwidth)
        rate = math.exp(figures.uniform(math.log(low), math.log(high)))
    else:
        rate = rate_of(table.bandwidth)
    rtt = figures.uniform(*table.rtt) if isinstance(table.rtt, tuple) else table.rtt
    if isinstance(table.holds, tuple):
        placed = frozenset(f - 1 for f in table.holds)
    elif not isinstance(table.holds, UnsetType):
        placed = frozenset(figures.sample(sorted(everything), round(table.holds * len(everything))))
    varying = table.varying
    limit = table.max_connections
    cap = table.per_connection
    return SourceModel(
        supply_of(
            rate,
            _absences(table, whole, rng("outages")),
            ()
            if isinstance(varying, UnsetType)
            else factors(varying.every, varying.spread, rng("rates")),
        ),
        placed,
        table.known,
        math.inf if isinstance(cap, UnsetType) else rate_of(cap),
        rtt,
        rtt * table.connect_rtts,
        table.jitter,
        bottlenecks.index(table.bottleneck) if table.bottleneck else -1,
        table.ranges,
        table.detect,
        table.refuse,
        table.stall,
        table.corrupt,
        1 << 30 if isinstance(limit, UnsetType) else limit,
        None if isinstance(table.retry_after, UnsetType) else table.retry_after,
    )


def _absences(table: SourceTable, whole: float | None, rng: random.Random) -> Iterable[Absence]:
    if not isinstance(table.flapping, UnsetType):
        return flapping(table.flapping.up, table.flapping.down, table.flapping.silent, rng)
    found: list[Absence] = []
    for outage in table.outages:
        end = math.inf if isinstance(outage.until, UnsetType) else outage.until
        if not isinstance(outage.at, str):
            found.append(Absence(outage.at, end, outage.silent))
        elif whole is not None:
            found.append(Absence(share_of(outage.at) * whole, end, outage.silent))
    return found
