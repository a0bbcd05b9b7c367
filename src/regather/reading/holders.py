"""What is known of the sources, and which one to ask for a piece."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from regather.planner import Health

_CONNECTIONS = ((0.1, 8), (0.02, 4), (0.0, 2))
"""From a latency of so many seconds on, so many connections fill the path of a short transfer."""
SLOWER = 4.0
"""A source this many times slower than the best one is not asked: the best is waited for."""
NEGLIGIBLE = 0.1
"""Seconds that make no difference in this."""
_SMOOTHING = 0.3

Reach = Literal["now", "soon", "no"]
"""Whether a piece can be asked of a sound source now, or of one that is busy, or of none."""


class Holders:
    """The sources, and what each of them is good for."""

    def __init__(
        self,
        holdings: Sequence[frozenset[int] | None],
        connections: int,
        retries: int,
        rng: random.Random,
    ) -> None:
        """``holdings`` has, by source, the fragments (positions) it holds; None: ask it."""
        self.health = [Health(connections) for _ in holdings]
        self.rates = [0.0] * len(holdings)
        """Bytes a second of one request; 0: nothing is known."""
        self.late: Counter[int] = Counter()
        """By source: its requests that are late."""
        self.liars: dict[tuple[int, int], set[int]] = {}
        """By (fragment, piece): who sent it wrong."""
        self.retries = retries
        self._connections = connections
        self._holdings = holdings
        self._rng = rng
        self._of: dict[int, list[int]] = {}
        for health in self.health:
            health.allowance = min(2, connections)

    def of(self, fragment: int) -> list[int]:
        """The sources that may have a fragment."""
        held = self._of.get(fragment)
        if held is None:
            every = enumerate(self._holdings)
            held = [s for s, known in every if known is None or fragment in known]
            self._of[fragment] = held
        return [s for s in held if fragment not in self.health[s].absent]

    def sound(self, fragment: int, piece: int, now: float) -> list[int]:
        """The sources that can be expected to send a piece as it is, at once or a little later."""
        return [
            s
            for s in self._honest(fragment, piece)
            if now >= self.health[s].retry_at and not self.late[s]
        ]

    def _honest(self, fragment: int, piece: int) -> list[int]:
        """The sources that may have a piece, know ranges, and are not known to send it wrong."""
        lied = self.liars.get((fragment, piece), ())
        return [
            s
            for s in self.of(fragment)
            if not (health := self.health[s]).distrusted
            and not health.ignores_ranges
            and s not in lied
        ]

    def seconds(self, source: int, size: int) -> float:
        """How long a request of ``size`` bytes takes there, as far as is known."""
        rate = self.rates[source]
        return self.health[source].latency + (size / rate if rate else 0.0)

    def choose(self, fragment: int, piece: int, size: int, now: float) -> tuple[int, Reach]:
        """The source to ask for a piece of ``size`` bytes; -1 where there is none now."""
        sound = self.sound(fragment, piece, now)
        if not sound:
            return -1, "no"
        costs = {s: self.seconds(s, size) for s in sound}
        free = [s for s in sound if self.health[s].has_slot(now)]
        if not free:
            return -1, "soon"
        order = {s: (costs[s] * (1 + self.health[s].active), self.health[s].active) for s in free}
        best = min(free, key=lambda s: (*order[s], self._rng.random()))
        known = [costs[s] for s in sound if self.rates[s]]
        if self.rates[best] and costs[best] > SLOWER * min(known) + NEGLIGIBLE:
            return -1, "soon"
        return best, "now"

    def last_resort(self, fragment: int, now: float) -> int:
        """A liar, or one that sends whole fragments only, that may be asked now; else -1."""
        for s in self.of(fragment):
            health = self.health[s]
            if now >= health.retry_at and not health.active and self._worth_it(s, now):
                return s
        return -1

    def hopeful(self, fragment: int, now: float) -> bool:
        """Whether some source may bring a fragment yet, be it after a pause."""
        return any(self._worth_it(s, now) for s in self.of(fragment))

    def _worth_it(self, source: int, now: float) -> bool:
        """Whether it is not given up: one that is gets another chance after its pause."""
        return not self._given_up(source) or now >= self.health[source].retry_at

    def _given_up(self, source: int) -> bool:
        health = self.health[source]
        return health.failures > self.retries or health.corrupt_in_row > self.retries

    def steady(self, fragment: int, piece: int) -> bool:
        """Whether some source that is not given up can be expected to send a piece as it is."""
        return any(not self._given_up(s) for s in self._honest(fragment, piece))

    def patience(self, fragment: int) -> int:
        """How many requests for one piece may fail, over all its sources."""
        return (self.retries + 1) * max(1, len(self.of(fragment)))

    def lanes(self, fragment: int, piece: int, now: float) -> int:
        """How many requests at once are worth while for pieces of a fragment; at least 1."""
        return max(1, sum(self.health[s].allowance for s in self.sound(fragment, piece, now)))

    # -- what happened --------------------------------------------------------------------

    def answered(self, source: int, seconds: float, now: float) -> None:
        """It began to answer so many seconds after it was asked."""
        health = self.health[source]
        health.answered(now, seconds)
        most = next(count for least, count in _CONNECTIONS if health.latency >= least)
        health.allowance = min(most, self._connections)

    def paced(self, source: int, size: int, seconds: float) -> None:
        """A request brought ``size`` bytes within so many seconds of its answer."""
        rate = size / max(seconds, 1e-4)
        known = self.rates[source]
        self.rates[source] = known + _SMOOTHING * (rate - known) if known else rate

    def delivered(self, source: int) -> None:
        """It brought a good piece."""
        health = self.health[source]
        health.failures = health.corrupt_in_row = 0

    def failed(self, source: int, now: float, began: float, pause: float | None = None) -> None:
        """A request that began at ``began`` failed; ``pause`` is what the source asks for."""
        self.health[source].failed(now, began, pause, self._rng)

    def corrupt_piece(self, source: int, fragment: int, piece: int, now: float) -> None:
        """It sent a piece wrong."""
        self.health[source].corrupt_piece(now)
        self.liars.setdefault((fragment, piece), set()).add(source)
