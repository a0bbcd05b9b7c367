"""What is measured, and what came out."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

MIB = 2**20
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one command: seconds and bytes."""

    wall: float
    cpu: float
    """User and system time of the command and of the children it waited for."""
    peak_rss: int
    output: str = ""
    problem: str = ""
    """Why the run does not count; empty where it does."""


@dataclass(frozen=True, slots=True)
class Row:
    """One command that is measured."""

    name: str
    """What ``--only`` takes."""
    label: str
    """What a reader sees."""
    command: tuple[str, ...]
    size: int
    """The bytes it brings from one place to another."""
    prepare: Callable[[], None]
    """Called before each run: the state every run starts from."""
    check: Callable[[], str]
    """Called after each run: says what is wrong with the output, or nothing."""
    variant: str = ""
    """Rows of one name are ways to use one tool: only the fastest is shown, with this note."""


@dataclass(slots=True)
class Result:
    """What the runs of one row took."""

    name: str
    label: str
    size: int = 0
    samples: list[Sample] = field(default_factory=list)
    problem: str = ""
    """``WRONG: …`` or ``FAILED: …``; empty where the row counts."""

    @property
    def ok(self) -> bool:
        """Whether the row counts."""
        return bool(self.samples) and not self.problem

    @property
    def wall(self) -> float:
        """Median of the seconds on the clock."""
        return statistics.median(sample.wall for sample in self.samples)

    @property
    def cpu(self) -> float:
        """Median of the processor seconds."""
        return statistics.median(sample.cpu for sample in self.samples)

    @property
    def peak_rss(self) -> float:
        """Median of the peak memory, in bytes."""
        return statistics.median(sample.peak_rss for sample in self.samples)


@dataclass(slots=True)
class Section:
    """One table of the report, with the figures that goals are held against."""

    title: str
    headers: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    """Measured figures by the name of their goal (see bench.goals)."""
