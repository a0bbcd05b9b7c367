"""What a source can send over time: a rate that changes in steps, and outages."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple


class Mode(Enum):
    """Whether a source answers."""

    UP = "sends"
    DOWN = "refuses"
    FROZEN = "takes requests, sends nothing"


class Step(NamedTuple):
    """From ``time`` (seconds) on: ``rate`` in bytes a second, 0 unless UP."""

    time: float
    rate: float
    mode: Mode


class Span(NamedTuple):
    """Seconds ``start`` to ``end`` in which ``rate`` bytes a second can arrive."""

    start: float
    end: float
    rate: float


class Supply:
    """Steps, made as far as somebody looks: they may go on for ever."""

    __slots__ = ("_more", "_steps")

    def __init__(self, steps: Iterable[Step]) -> None:
        """``steps`` are in order of time, the first at 0."""
        self._steps: list[Step] = []
        self._more: Iterator[Step] | None = iter(steps)

    def step(self, number: int) -> Step | None:
        """The step with this number; None behind the last one."""
        while len(self._steps) <= number and self._more is not None:
            following = next(self._more, None)
            if following is None:
                self._more = None
            else:
                self._steps.append(following)
        return self._steps[number] if number < len(self._steps) else None

    def spans(self, until: float, first_byte: float, ceiling: float = math.inf) -> Iterator[Span]:
        """When bytes can arrive before ``until``, at ``ceiling`` bytes a second at most.

        After it came (back) UP from DOWN, nothing arrives for ``first_byte`` seconds: requests
        must be sent anew. After FROZEN, requests in flight go on at once.
        """
        number, opens = 0, first_byte
        while (step := self.step(number)) is not None and step.time < until:
            number += 1
            following = self.step(number)
            if step.mode is Mode.DOWN:
                opens = (math.inf if following is None else following.time) + first_byte
            elif step.mode is Mode.UP:
                start = max(step.time, opens)
                end = until if following is None else min(following.time, until)
                if start < end:
                    yield Span(start, end, min(step.rate, ceiling))


class Absence(NamedTuple):
    """Seconds ``start`` to ``end`` without a source."""

    start: float
    end: float
    silent: bool


def flapping(up: float, down: float, silent: bool, rng: random.Random) -> Iterator[Absence]:
    """Absences for ever: exponentially distributed, with these means in seconds."""
    now = 0.0
    while True:
        start = now + rng.expovariate(1 / up)
        now = start + rng.expovariate(1 / down)
        yield Absence(start, now, silent)


def factors(every: float, spread: float, rng: random.Random) -> Iterator[tuple[float, float]]:
    """(time, factor) for ever: every so many seconds a factor within ``spread`` of 1."""
    number = 0
    while True:
        yield number * every, rng.uniform(1 - spread, 1 + spread)
        number += 1


def supply_of(
    rate: float,
    absences: Iterable[Absence] = (),
    varying: Iterable[tuple[float, float]] = (),
) -> Supply:
    """A usual ``rate`` in bytes a second, with ordered absences and (time, factor) pairs."""
    return Supply(_steps(rate, absences, varying))


def _steps(
    rate: float, absences: Iterable[Absence], varying: Iterable[tuple[float, float]]
) -> Iterator[Step]:
    # Both may be endless; a change of the rate and one of the mode are told apart by the type.
    changes = heapq.merge(_modes(absences), _factors(varying), key=lambda change: change[0])
    factor, mode, now = 1.0, Mode.UP, 0.0
    for time, change in changes:
        if time > now:
            yield Step(now, rate * factor if mode is Mode.UP else 0.0, mode)
            now = time
        if isinstance(change, Mode):
            mode = change
        else:
            factor = change
    yield Step(now, rate * factor if mode is Mode.UP else 0.0, mode)


def _modes(absences: Iterable[Absence]) -> Iterator[tuple[float, Mode | float]]:
    for absence in absences:
        yield absence.start, Mode.FROZEN if absence.silent else Mode.DOWN
        if absence.end < math.inf:
            yield absence.end, Mode.UP


def _factors(varying: Iterable[tuple[float, float]]) -> Iterator[tuple[float, Mode | float]]:
    yield from varying
