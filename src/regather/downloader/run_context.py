"""What the downloads of one call have in common: settings, who is told, what stops them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from msgspec import Struct

from regather.downloader.report import Progress
from regather.engine.rate_limit import RateLimiter
from regather.sources.settings import Settings
from regather.transport import TransportOptions

OnProgress = Callable[[Progress], None]


class RunContext(Struct, frozen=True):
    """How to download. Shared by threads."""

    settings: Settings
    options: TransportOptions
    began: float
    """On the clock of ``time.monotonic``."""
    on_progress: OnProgress | None = None
    stop: threading.Event | None = None
    limiter: RateLimiter | None = None

    @property
    def stopped(self) -> bool:
        """Whether the caller asked to stop."""
        return self.stop is not None and self.stop.is_set()
