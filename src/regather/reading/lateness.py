"""Whether a request for a read is late: silent, or clearly slower than another way would be."""

from __future__ import annotations

import math

from regather.model import Layout
from regather.planner.pace import STALL_SECONDS
from regather.reading.holders import Holders
from regather.reading.rows import Rows
from regather.reading.wants import Request

_PATIENT_LATENCIES = 4
"""A source is silent after ``STALL_SECONDS`` and so many of its latencies."""
_OVERTAKEN = 2.0
_MARGIN = 0.5
"""Late: another source would take less than the time left, less these seconds, by this factor."""
_GUESS = 3.0
"""A source of unknown rate is taken to be this many times faster than one that crawls."""
_JUDGED_AFTER = 0.25
"""Seconds from the answer before the rate of a request tells something."""


def patience(left: float) -> float:
    """How long another way may take that is clearly faster than one that takes ``left`` seconds.

    Not above zero where that one takes too little for any to be.
    """
    return (left - _MARGIN) / _OVERTAKEN


class Lateness:
    """Judges requests in flight; ``now`` is in seconds."""

    def __init__(self, layout: Layout, holders: Holders, rows: Rows) -> None:
        self._layout = layout
        self._holders = holders
        self._rows = rows

    def silent(self, request: Request, now: float) -> bool:
        """Whether nothing has come for too long."""
        latency = self._holders.health[request.source].latency
        return now - request.moved > STALL_SECONDS + _PATIENT_LATENCIES * latency

    def overtaken(self, request: Request, now: float) -> bool:
        """Whether others would bring clearly earlier what is left of a request."""
        seconds = now - request.answered
        if request.answered < 0 or seconds < _JUDGED_AFTER or not request.received:
            return False
        layout = self._layout
        first, last = layout.span(request.fragment, request.pos, request.end)
        size = last - first - request.partial
        left = size * seconds / request.received
        if left < _MARGIN:
            return False

        def guess(source: int) -> float:
            known = self._holders.rates[source]
            return self._holders.seconds(source, size) if known else left / _GUESS

        others = self._holders.sound(request.fragment, request.pos, now)
        least = min((guess(s) for s in others if s != request.source), default=math.inf)
        if least == math.inf:
            least = self._rows.without(request, now, guess)
        return patience(left) > least
