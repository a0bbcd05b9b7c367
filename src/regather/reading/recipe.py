"""How a file was opened: all that it takes to open it again, in this process or another."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from regather.engine.rate_limit import RateLimiter
from regather.engine.session import Session
from regather.engine.worker_pool import most_requests
from regather.errors import UsageError
from regather.sources.download_target import DownloadTarget
from regather.sources.settings import Settings, transport_options
from regather.transport import is_url, open_connection

if TYPE_CHECKING:
    from regather.engine.observer import Observer
    from regather.engine.shared_room import SharedRoom
    from regather.store.cached_file import CachedFile

_Session = TypeVar("_Session", bound=Session)
CACHE_SIZE = 64 << 20
READ_AHEAD = 32 << 20
_AHEAD_PIECES = 64
_FLIGHT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a file is read from, and how. It pickles.

    It has the hashes of the pieces in it, so it needs no manifest and means the same bytes
    for ever; and it has the settings as they were given, tokens among them. What was found in the
    environment, in ~/.netrc and in files that the settings name is looked up again.
    """

    target: DownloadTarget
    settings: Settings
    cache_size: int = CACHE_SIZE
    read_ahead: int = READ_AHEAD

    def __post_init__(self) -> None:
        if self.cache_size < 0 or self.read_ahead < 0:
            raise UsageError("cache_size and read_ahead must not be negative")
        # Whoever changes the folder, or reads in another process, means the same places.
        sources = tuple(
            s if is_url(s.url) else replace(s, url=os.path.join(os.path.abspath(s.url), ""))
            for s in self.target.sources
        )
        # Of a packed folder, the list of what is in it may be long, and is not needed here.
        target = replace(self.target, sources=sources, folder=None)
        object.__setattr__(self, "target", target)

    @property
    def most_ahead(self) -> int:
        """Bytes to fetch ahead at most."""
        piece_size = self.target.layout.piece_size
        return min(self.read_ahead, self.cache_size // 2, _AHEAD_PIECES * piece_size)

    def session(self) -> Session:
        """Threads, connections and a store of pieces of their own. Raises UsageError."""
        return self.session_of(Session)

    def session_of(
        self,
        kind: type[_Session],
        cache: CachedFile | None = None,
        cdn_loop: Callable[[], str] | None = None,
        observer: Observer | None = None,
        shared: SharedRoom | None = None,
    ) -> _Session:
        """The same of another kind, over a disk cache, in shared memory. Raises UsageError."""
        layout = self.target.layout
        options = replace(transport_options(self.settings), cdn_loop=cdn_loop)
        rate = self.settings.limit_rate
        return kind(
            layout,
            self.target.sources,
            lambda url: open_connection(url, options),
            connections=self.settings.connections,
            retries=self.settings.retries,
            max_requests=most_requests(layout, _FLIGHT_BYTES),
            memory=self.cache_size,
            limiter=RateLimiter(rate) if rate else None,
            cache=cache,
            observer=observer,
            shared=shared,
        )
