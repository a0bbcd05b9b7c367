"""What the downloads of one call have in common: settings, who is told, what stops them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from regather.downloader.report import Progress
from regather.engine.rate_limit import RateLimiter
from regather.sources.settings import Settings
from regather.transport import TransportOptions

if TYPE_CHECKING:
    from regather.downloader.live import LiveDownload
    from regather.downloader.progress import ProgressReporter
    from regather.sources.download_target import DownloadTarget
    from regather.store.base import StoredPieces

OnProgress = Callable[[Progress], None]


class Watcher(Protocol):
    """Shows people what downloads do."""

    def watch(
        self, target: DownloadTarget, destination: StoredPieces, reporter: ProgressReporter
    ) -> LiveDownload:
        """A download begins: what it calls as it goes on."""
        ...


class RunContext(Struct, frozen=True):
    """How to download. Shared by threads."""

    settings: Settings
    options: TransportOptions
    began: float
    """On the clock of ``time.monotonic``."""
    on_progress: OnProgress | None = None
    stop: threading.Event | None = None
    limiter: RateLimiter | None = None
    watcher: Watcher | None = None

    @property
    def stopped(self) -> bool:
        """Whether the caller asked to stop."""
        return self.stop is not None and self.stop.is_set()
