"""What is known of a source: its rate, its failures, when it may be asked again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

_BACKOFF_BASE = 0.25
_BACKOFF_CAP = 10.0
_SMOOTHING = 0.3
"""Weight of the newest measurement in the moving averages."""
PATIENT_LATENCY = 0.02
"""Seconds to the first byte above which one connection cannot fill the path."""
FAST_CONNECTION = 100e6
"""Bytes a second at which a connection is limited by the machine: more of them gain nothing."""
MAX_STRIKES = 2
"""A source that sent this many corrupt pieces is asked only for what nobody else can send."""


@dataclass(slots=True)
class Health:
    """One source, as the planner sees it. Rates are bytes a second of one connection."""

    limit: int
    """Most requests at the same time."""
    allowance: int = 1
    """How many of them are worth while, by what was seen."""
    active: int = 0
    rate: float = 0.0
    """Moving average over pieces; 0 while nothing is known."""
    latency: float = 0.0
    failures: int = 0
    """In a row, since the last good piece."""
    strikes: int = 0
    """Corrupt pieces in all."""
    lies: int = 0
    """Corrupt pieces in a row, since the last good one."""
    retry_at: float = 0.0
    ignores_ranges: bool = False
    absent: set[int] = field(default_factory=set)
    """Fragments that it turned out not to have."""

    @property
    def distrusted(self) -> bool:
        """Whether it sent wrong bytes more than once: the last resort from then on."""
        return self.strikes >= MAX_STRIKES

    def has_slot(self, now: float) -> bool:
        """Whether one more request may go to it now."""
        if now < self.retry_at:
            return False
        # After a failure one request probes before the others follow.
        return self.active < (1 if self.failures or self.distrusted else self.allowance)

    def answered(self, seconds: float) -> None:
        """It began to answer ``seconds`` after the request."""
        self.latency = self._smooth(self.latency, seconds)
        if self.latency > PATIENT_LATENCY:
            self.allowance = self.limit

    def delivered(self, size: int, seconds: float, *, fresh: bool) -> None:
        """One piece of ``size`` bytes took ``seconds`` on one connection; 0: not measured.

        Only a ``fresh`` piece, one that was missing, shows that asking it is worth while: a source
        that ignores ranges sends the old ones again each time.
        """
        if size:
            self.rate = self._smooth(self.rate, size / max(seconds, 1e-6))
        if fresh:
            self.failures = self.lies = 0
        if self.rate < FAST_CONNECTION and self.allowance < self.limit:
            self.allowance += 1

    def lied(self, now: float) -> None:
        """It sent a corrupt piece; lies in a row are asked for ever more slowly."""
        self.strikes += 1
        self.lies += 1
        if self.lies > 1:
            self.retry_at = max(self.retry_at, now + min(0.05 * 2**self.lies, _BACKOFF_CAP))

    def failed(self, now: float, retry_after: float | None, rng: random.Random) -> None:
        """A request failed: wait, longer each time, by a random share to spread the retries."""
        self.failures += 1
        self.allowance = 1
        pause = min(_BACKOFF_BASE * 2 ** (min(self.failures, 16) - 1), _BACKOFF_CAP)
        pause *= rng.uniform(0.5, 1.5)
        self.retry_at = max(self.retry_at, now + max(pause, retry_after or 0.0))

    @staticmethod
    def _smooth(old: float, new: float) -> float:
        return new if old == 0 else old + _SMOOTHING * (new - old)
