"""Runs of a scenario over its seeds, and the figures that come of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.simulate.limit import fluid_limit
from bench.simulate.scenario import Scenario
from bench.simulate.setting import build
from bench.simulate.world import Stuck, World
from regather.errors import UsageError
from regather.planner import Finished

TAIL = 0.05
"""Share of the file that is its tail."""
Watch = Callable[[World], None]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one scenario."""

    seed: int
    limit: float
    """The fluid limit, in seconds."""
    makespan: float
    in_vain: float
    """Bytes that were received and not needed, as a share of the file."""
    tail: float
    """Share of the time that the last 5 % of the file took."""
    least_tail: float
    """The same, where all sources bring what they can from the beginning: of the fluid limit."""
    requests: int
    decisions: int
    """Events that the planner handled and actions that it gave."""
    planner_seconds: float
    simulator_seconds: float
    """Processor time outside the planner."""
    problem: str = ""
    """Why the run does not count; empty where the file came whole."""

    @property
    def ratio(self) -> float:
        """Makespan over the fluid limit."""
        return self.makespan / self.limit if self.limit else 1.0


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with the bound that it is held against."""

    what: str
    worst: float
    bound: float

    @property
    def kept(self) -> bool:
        """Whether the worst run keeps the bound."""
        return self.worst <= self.bound


@dataclass(slots=True)
class Result:
    """All runs of one scenario."""

    name: str
    scenario: Scenario
    runs: list[Run]

    def median(self, figure: Callable[[Run], float]) -> float:
        """The median over the seeds."""
        return statistics.median(map(figure, self.runs))

    def worst(self, figure: Callable[[Run], float]) -> float:
        """The largest over the seeds."""
        return max(map(figure, self.runs))

    @property
    def problems(self) -> list[str]:
        """Runs that did not end well."""
        return [f"seed {run.seed}: {run.problem}" for run in self.runs if run.problem]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """What is held against the scenario's bounds."""
        bounds = self.scenario.bounds
        return (
            Figure("makespan", self.worst(lambda r: r.ratio), self.scenario.makespan_bound),
            Figure("in vain", self.worst(lambda r: r.in_vain), bounds.in_vain),
            Figure("tail", self.worst(lambda r: r.tail), bounds.tail),
        )

    @property
    def kept(self) -> bool:
        """Whether every run ended well and within the bounds."""
        return not self.problems and all(figure.kept for figure in self.figures)


def run_once(scenario: Scenario, seed: int, where: str, watch: Watch | None = None) -> Run:
    """Run a scenario with one seed. Raises UsageError where its file cannot be had at all."""
    setting = build(scenario, seed, fluid_limit)
    limit = fluid_limit(setting)
    if math.isinf(limit):
        raise UsageError(
            f"{where}: the file cannot be had with seed {seed}",
            help="some fragments are on no source that stays up",
        )
    size = setting.layout.size
    world = World(setting, deadline=1000 + 100 * limit)
    try:
        outcome = world.run(watch)
    except Stuck as stuck:
        return Run(seed, limit, world.now, 0.0, 0.0, 0.0, 0, 0, 0.0, 0.0, str(stuck))
    return Run(
        seed,
        limit,
        outcome.makespan,
        outcome.received / size - 1,
        (outcome.makespan - outcome.tail_began) / (outcome.makespan or 1.0),
        1 - fluid_limit(setting, 1 - TAIL) / limit if limit else 0.0,
        outcome.requests,
        outcome.events + outcome.actions,
        outcome.planner_seconds,
        outcome.total_seconds - outcome.planner_seconds,
        "" if isinstance(outcome.ending, Finished) else "gave up",
    )


def run_all(
    scenario: Scenario,
    path: Path,
    seeds: Sequence[int],
    watch: Callable[[int, World], None] | None = None,
) -> Result:
    """Run a scenario with every seed, or as many as it allows. Raises UsageError."""
    runs: list[Run] = []
    for seed in seeds[: scenario.seeds]:

        def look(world: World, seed: int = seed) -> None:
            if watch is not None:
                watch(seed, world)

        runs.append(run_once(scenario, seed, str(path), look))
    return Result(path.stem, scenario, runs)
