"""A session with one reader, that reads a file in order and has all the room."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from regather.engine.rate_limit import RateLimiter
from regather.engine.session import Session
from regather.engine.tally import SourceTally
from regather.model import Layout, Source
from regather.planner import Planner
from regather.store.base import PieceMissing
from regather.transport import Connection

_WINDOW_BYTES = 48 << 20
_FLIGHT_BYTES = 24 << 20
_MOST_REQUESTS = 24
_WATCH_SECONDS = 0.1


class StreamingSession(Session):
    """Verified pieces of one file, one after the other. Close it."""

    def __init__(
        self,
        layout: Layout,
        sources: Sequence[Source],
        connect: Callable[[str], Connection],
        tallies: Sequence[SourceTally],
        *,
        connections: int,
        retries: int,
        limiter: RateLimiter | None,
        watch: Callable[[], None],
        more: Callable[[Sequence[int]], bool] | None,
    ) -> None:
        """``tallies`` has, by source, its tally; ``watch`` and ``more`` are as in Engine.run."""
        self._watch, self._watch_seconds, self._more = watch, _WATCH_SECONDS, more
        largest = max(layout.largest_piece, 1)
        super().__init__(
            layout,
            sources,
            connect,
            connections=connections,
            retries=retries,
            max_requests=max(2, min(_MOST_REQUESTS, _FLIGHT_BYTES // largest)),
            memory=_WINDOW_BYTES,
            limiter=limiter,
            tallies=tallies,
        )

    @property
    def planner(self) -> Planner:
        """What knows the state of the sources."""
        return self._planner

    def in_order(
        self, numbers: Sequence[int], waits: Callable[[int], object] = lambda number: None
    ) -> Iterator[bytes]:
        """Give pieces in this order; as many as there is room for are fetched meanwhile.

        Raises as ``read`` does.
        """
        self._start()
        piece = b""

        def take(number: int) -> bool:
            nonlocal piece
            try:
                piece = self._store.whole(number)
            except PieceMissing:
                return False
            return True

        for _ in self._fetch(numbers, take, waits, self._sizes.most):
            yield piece
