"""How many connections to a source are worth while: hill climbing on what they bring together.

One more connection, or a quarter more, is tried at times when what the source brings is steady. It
is kept where the source then brings clearly more, and given up where it does not. More at once
would make those that are there lose packets. A source whose pieces take long is tried with one less
in the same way, because pieces that come side by side come late, and the end of a download waits
for them.
"""

from __future__ import annotations

WINDOW = 0.5
"""Seconds for which is measured, at least; longer on long paths, where connections start slowly."""
_WINDOW_LATENCIES = 3
_STEP = 4
"""One connection more, or one for so many that there are."""
_ENOUGH = 0.4
"""A connection is worth while where it brings this share of what an equal one would."""
_HOLD = 10.0
_LONG_PATH_HOLD = 5.0
_HOLD_CAP = 120.0
"""Seconds until the first trial, and until the next one after one that failed; twice as long each
time. A new connection starts too fast where the path is full already, and all lose packets."""
_STEADY = 1.25
"""A source that brings more than so many times what it did before is still getting faster."""
_SLOW_PIECE = 2.0
"""Seconds for a piece above which fewer connections are tried."""


class HillClimb:
    """The search for one source. ``connections`` is what is worth while, or on trial."""

    connections: int
    received: int = 0
    """Bytes since ``since``."""
    since: float = 0.0
    """When the measurement began, or begins."""
    _trying: int = 0
    _base: float = 0.0
    """Bytes a second before the trial."""
    _before: float = 0.0
    """Bytes a second in the measurement before, with the same connections; 0: there was none."""
    _next: float = 0.0
    _hold: float = _HOLD
    _by_one: bool = False
    """Whether several more were too many: then one more may still pay."""

    def __init__(self, connections: int = 1) -> None:
        self.connections = connections

    def begin(self, now: float, latency: float, *, long_path: bool) -> None:
        """The first answer has come."""
        self._next = now + (_LONG_PATH_HOLD if long_path else _HOLD)
        self.restart(now, latency)

    def restart(self, now: float, latency: float = 0.0) -> None:
        """Measure anew: what was counted does not tell of the present connections."""
        self.received = 0
        self.since = now + 2 * latency

    def give_one_up(self, now: float) -> None:
        """One connection is too many for certain: no trial tells more."""
        self.connections = max(1, self.connections - 1)
        self._trying = 0
        self.restart(now)

    def over(self, now: float, latency: float) -> bool:
        """Whether enough was measured to judge."""
        seconds = now - self.since
        return seconds >= WINDOW and seconds >= _WINDOW_LATENCIES * latency

    def judge(
        self, now: float, latency: float, limit: int, piece_seconds: float, *, more: bool
    ) -> None:
        """End a measurement: keep or give up what was tried, and try the next.

        ``piece_seconds`` is what a piece takes on one connection; ``more`` tells whether a further
        connection could be of use at all.
        """
        speed = self.received / (now - self.since)
        had, tried = self.connections, self._trying
        paid = tried != 0 and self._paid(speed)
        if paid:
            self._hold = _HOLD
            self._by_one = self._by_one and tried == 1
        elif tried > 1:
            self.connections -= tried
            self._by_one = True
        elif tried:
            self.connections -= tried
            self._by_one = False
            self._next = now + self._hold
            self._hold = min(2 * self._hold, _HOLD_CAP)
        # Only what is steady tells whether a change pays: connections start slowly.
        steady = 0 < speed <= _STEADY * self._before
        self._trying = 0
        if (paid or steady) and now >= self._next:
            if piece_seconds > _SLOW_PIECE and self.connections > 1:
                self._trying = -1
            elif more and self.connections < limit:
                step = 1 if self._by_one else max(1, self.connections // _STEP)
                self._trying = min(step, limit - self.connections)
        self._base = speed
        self._before = 0.0 if tried or self._trying else speed
        self.connections += self._trying
        self.restart(now, latency if self.connections != had else 0.0)

    def _paid(self, speed: float) -> bool:
        """Whether what was tried is worth while, at so many bytes a second."""
        up = self._trying > 0
        change = speed - self._base if up else self._base - speed
        # What equal connections would have brought: so many shares of the larger number.
        most = max(self.connections, self.connections - self._trying)
        share = max(speed, self._base) / most * abs(self._trying)
        return (change >= _ENOUGH * share) == up
