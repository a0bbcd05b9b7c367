"""How many connections to a source are worth while: hill climbing on what they bring together.

Twice as many are tried as long as the source then brings clearly more, after that one more at
times; what does not pay is given up. A source whose pieces take long is tried with one less in the
same way, because pieces that come side by side come late, and the end of a download waits for them.
"""

from __future__ import annotations

from dataclasses import dataclass

_WINDOW = 0.5
"""Seconds for which is measured, at least; longer on long paths, where connections start slowly."""
_WINDOW_LATENCIES = 4
_ENOUGH = 0.4
"""A connection is worth while where it brings this share of what an equal one would."""
_HOLD = 5.0
_HOLD_CAP = 60.0
"""Seconds until the next trial after one that failed; twice as long each time."""
_SLOW_PIECE = 2.0
"""Seconds for a piece above which fewer connections are tried."""


@dataclass(slots=True)
class Climb:
    """The search for one source. ``connections`` is what is worth while, or on trial."""

    connections: int = 1
    received: int = 0
    """Bytes since ``since``."""
    since: float = 0.0
    """When the measurement began, or begins."""
    _trying: int = 0
    _base: float = 0.0
    """Bytes a second before the trial."""
    _doubling: bool = True
    """Until something did not pay."""
    _next: float = 0.0
    _hold: float = _HOLD

    def restart(self, now: float, latency: float = 0.0) -> None:
        """Measure anew: what was counted does not tell of the present connections."""
        self.received = 0
        self.since = now + 2 * latency

    def over(self, now: float, latency: float) -> bool:
        """Whether enough was measured to judge."""
        return now - self.since >= max(_WINDOW, _WINDOW_LATENCIES * latency)

    def judge(
        self, now: float, latency: float, limit: int, piece_seconds: float, *, more: bool
    ) -> None:
        """End a measurement: keep or give up what was tried, and try the next.

        ``piece_seconds`` is what a piece takes on one connection; ``more`` tells whether a further
        connection could be of use at all.
        """
        speed = self.received / (now - self.since)
        if self._trying:
            before = self.connections - self._trying
            change = speed - self._base if self._trying > 0 else self._base - speed
            # What equal connections would have brought: so many shares of the larger number.
            share = max(speed, self._base) / max(before, self.connections) * abs(self._trying)
            if (change >= _ENOUGH * share) == (self._trying > 0):
                self._hold = _HOLD
            else:
                self.connections = before
                self._doubling = False
                self._next = now + self._hold
                self._hold = min(2 * self._hold, _HOLD_CAP)
        self._trying = 0
        if now >= self._next:
            if piece_seconds > _SLOW_PIECE and self.connections > 1:
                self._trying = -1
            elif more and self.connections < limit:
                room = limit - self.connections
                self._trying = min(self.connections, room) if self._doubling else 1
        self._base = speed
        self.connections += self._trying
        self.restart(now, latency)
