"""Demands and the lines in which they wait for their turn. Data only (see ``fair_turns.py``).

Readers are served by start-time fair queuing: each has a *tag*, which grows by the pieces that it
is given, and the smallest tag is next. Who joins, or comes back, begins at the tag that was served
last. So none starves, however many there are and wherever they read.
"""

from __future__ import annotations

from heapq import heappush

from regather.planner.intervals import IntervalSet


class Demand:
    """What one reader, download or selection wants."""

    __slots__ = ("gone", "held", "number", "reads", "tag", "urgent")

    def __init__(self, number: int) -> None:
        self.number = number
        self.held: dict[int, IntervalSet] = {}
        """By fragment: the pieces that it wants, done or not."""
        self.urgent: dict[int, IntervalSet] = {}
        """By fragment: those of them that it waits for."""
        self.reads = False
        """Whether it ever waited for a piece: its read-ahead takes turns as well."""
        self.tag = 0.0
        self.gone = False
        """Whether it wants nothing any more: lines drop it when its turn comes."""


class Line:
    """Demands that wait for their turn; some may have nothing to wait for any more."""

    __slots__ = ("heap", "waiting")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int]] = []
        """(tag, number) of each; the tag may have grown since."""
        self.waiting: dict[int, Demand] = {}


class ReaderTurns:
    """The lines of all groups of fragments, and which pieces are waited for."""

    __slots__ = ("bulk", "clock", "readers", "urgent")

    def __init__(self) -> None:
        self.urgent: dict[int, list[Demand]] = {}
        """By the running number of a piece that is not done: who waits for it."""
        self.clock = 0.0
        """The tag that was served last."""
        self.readers = 0
        """How many demands wait for pieces, or did; with none there are no turns to take."""
        self.bulk: dict[int, Demand] = {}
        """The demands that never waited for a piece: downloads, selections."""

    def join(self, line: Line, demand: Demand) -> None:
        """A demand waits for its turn, once however often it joins."""
        if demand.number not in line.waiting:
            demand.tag = max(demand.tag, self.clock)
            heappush(line.heap, (demand.tag, demand.number))
        line.waiting[demand.number] = demand

    def move(self, old: Line | None, new: Line) -> None:
        """What waits in a line may be found in another one as well."""
        if old is not None:
            for demand in list(old.waiting.values()):
                if not demand.gone:  # another one may have its number now
                    self.join(new, demand)

    def arrived(self, number: int, fragment: int, piece: int) -> None:
        """Nobody waits for a piece any more: it is there."""
        for demand in self.urgent.pop(number, ()):
            waits = demand.urgent[fragment]
            waits.remove(piece, piece + 1)
            if not waits:
                del demand.urgent[fragment]
