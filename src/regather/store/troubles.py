"""What a disk cache has done, and what its disk could not do: counted, and told once."""

from __future__ import annotations

import time
from collections import Counter

from regather.logs import Logger

_QUIET_SECONDS = 60.0
"""How long a trouble must not have shown for the next one to be told again."""
_log = Logger("regather.cache")


class Tally:
    """What a cache has done."""

    def __init__(self) -> None:
        self.evicted_bytes: Counter[str] = Counter()
        """By reason: size, free_space, corrupt."""
        self.stored_bytes = 0
        self.dropped_bytes = 0
        """Offered, and not stored."""
        self.write_errors: Counter[int] = Counter()
        """By errno."""


class Troubles:
    """Logs each kind of trouble once, and again when it comes back."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._seen: dict[str, float] = {}
        """By kind, when it was last there."""

    def tell(self, kind: str, what: str) -> None:
        """Something is wrong, still or again."""
        now = time.monotonic()
        last = self._seen.get(kind)
        self._seen[kind] = now
        if last is None or now - last > _QUIET_SECONDS:
            _log.warning("cache %s: %s", self._where, what)
