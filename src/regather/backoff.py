"""How long to wait before the same place is asked again: one policy for all but the planner."""

from __future__ import annotations

import random

from msgspec import Struct

_STRETCH = 0.1
"""How much longer than asked, at most: servers ask all clients to come back at one time."""


class Backoff(Struct, frozen=True):
    """Growing pauses of random length, and what a server asks for. Seconds."""

    first: float = 0.5
    most: float = 10.0
    """The longest pause of our own choice, before it is varied."""
    most_told: float = 300.0
    """The longest that a server may ask us to wait; for longer it is no use to us."""
    spread: float = 0.5
    """Pauses are varied by this share, both ways: else all clients come back at once."""

    def pause(self, attempt: int, told: float | None = None) -> float | None:
        """How long to wait after attempt number ``attempt``, the first being 0.

        ``told`` is the server's Retry-After: never less than that. None: it asks for too much.
        """
        if told is not None and told > self.most_told:
            return None
        return self.wait(attempt, told)

    def wait(self, attempt: int, told: float | None = None) -> float:
        """The same for who asks again all the same, after ``most_told`` seconds at most."""
        told = min(told or 0.0, self.most_told)
        own = min(self.first * 2.0 ** min(attempt, 60), self.most)
        own *= random.uniform(1 - self.spread, 1 + self.spread)
        return max(own, told * random.uniform(1, 1 + _STRETCH))


STORES = Backoff()
"""For publish, check and repair."""

PROBES = Backoff(first=0.3, most=5.0, most_told=60.0)
"""For the small requests before a download."""
