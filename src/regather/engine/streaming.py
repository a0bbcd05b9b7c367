"""A session with one reader, that reads a file in order and has all the room."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from regather.engine.session import Session
from regather.planner import Planner
from regather.store.base import PieceMissing


class StreamingSession(Session):
    """Verified pieces of one file, one after the other. Close it."""

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

        for _ in self._fetch(numbers, take, waits, self._most):
            yield piece
