"""What a running server knows of itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aiohttp import web

from regather.server.tallies import Family, RequestTallies, single


def _none() -> int:
    return 0


@dataclass
class ServerState:
    """Counters, the requests being answered, and whether the server is about to end."""

    started: float = field(default_factory=time.monotonic)
    """By the monotonic clock."""
    requests: int = 0
    """Requests met so far, those for the server's own addresses aside."""
    bytes_sent: int = 0
    """Bytes sent out of files."""
    active: dict[asyncio.Task[object], web.BaseRequest] = field(default_factory=dict)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    count_connections: Callable[[], int] = _none
    tallies: RequestTallies = field(default_factory=RequestTallies)

    def families(self) -> Iterator[Family]:
        """See Tallied."""
        yield from self.tallies.families()
        yield Family(
            "regather_http_connections",
            "gauge",
            "Connections that are open now.",
            single(self.count_connections()),
        )

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @contextlib.contextmanager
    def answering(self, request: web.BaseRequest) -> Iterator[int]:
        """Hold a request as active in the ``with`` body; gives its number, from 0."""
        task = asyncio.current_task()
        assert task is not None
        number = self.requests
        self.requests += 1
        self.active[task] = request
        try:
            yield number
        finally:
            del self.active[task]
