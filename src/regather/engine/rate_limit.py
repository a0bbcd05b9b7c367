"""A shared limit on bytes a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_CATCH_UP_SECONDS = 1.0
"""Time without enough bytes, at the start or in a stall, that may be made good afterwards."""
_GULP_SECONDS = 0.01
_LEAST_GULP = 16 << 10
_LOOK_SECONDS = 0.25
"""How long whoever waits does not look whether it is cancelled."""


class RateLimiter:
    """Tells each caller how long to wait so that all together keep to a rate.

    Since its start never more than the rate times the time is let through, but for one gulp; and
    no less either while callers want bytes: what they lost by waking late, or before the first
    byte came, is made good, a second's worth at most.
    """

    def __init__(
        self,
        rate: float,
        since: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``rate`` is in bytes a second and counts from ``since``, now by default.

        ``clock`` tells seconds and never goes back.
        """
        self.rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = clock() if since is None else since

    def gulp(self, most: int) -> int:
        """How many bytes to ask for at a time, for an even flow; at least 1."""
        return min(most, max(_LEAST_GULP, int(self.rate * _GULP_SECONDS)))

    def take(self, size: int) -> float:
        """Set ``size`` bytes aside for the caller; return the seconds to wait before their use."""
        with self._lock:
            now = self._clock()
            start = max(self._free_at, now - _CATCH_UP_SECONDS)
            self._free_at = start + size / self.rate
            return max(0.0, start - now)

    def receive(
        self,
        receive: Callable[[memoryview], int],
        into: memoryview,
        cancelled: Callable[[], bool],
    ) -> int:
        """Call ``receive`` when it is time to, or return 0 if ``cancelled`` before that."""
        count = 0
        until = time.monotonic() + self.take(len(into))
        try:
            while not (over := cancelled()) and (left := until - time.monotonic()) > 0:
                time.sleep(min(left, _LOOK_SECONDS))
            if not over:
                count = receive(into)
        finally:
            self.give_back(len(into) - count)
        return count

    def give_back(self, size: int) -> None:
        """Of what was set aside, ``size`` bytes did not come: others may have them."""
        with self._lock:
            self._free_at -= size / self.rate
