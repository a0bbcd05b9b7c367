"""A shared limit on bytes a second."""

from __future__ import annotations

import threading
import time


class RateLimiter:
    """Tells each caller how long to wait so that all together keep to a rate."""

    def __init__(self, rate: float) -> None:
        """``rate`` is in bytes a second."""
        self.rate = rate
        self._lock = threading.Lock()
        self._due = time.monotonic()

    def take(self, size: int) -> float:
        """Account for ``size`` bytes; return the seconds to wait before going on."""
        with self._lock:
            now = time.monotonic()
            # Time that was not used is not saved up for a burst, save for one short tick.
            self._due = max(self._due, now - 0.05) + size / self.rate
            return max(0.0, self._due - now)
