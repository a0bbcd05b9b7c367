"""Sends no faster than a given rate."""

from __future__ import annotations

import asyncio
import time

_LATE = 0.05
"""Seconds: a pacer that was called this late catches up; later than that, it had been idle."""


class Pacer:
    """Holds all that pass through it together to ``rate`` bytes a second."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._next = 0.0  # when the bytes promised so far will all be through
        self.step = max(1, min(rate // 50, 1 << 18))
        """Bytes to ask for at a time: about 20 ms worth."""

    async def pass_through(self, count: int) -> None:
        """Return when ``count`` more bytes may be sent."""
        now = time.monotonic()
        if now - self._next > _LATE:
            self._next = now
        self._next += count / self._rate
        if self._next > now:
            await asyncio.sleep(self._next - now)
