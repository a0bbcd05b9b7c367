"""What the engine reports to whoever records what sources do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from regather.transport import RequestFailed


class Observer(Protocol):
    """Records what sources do, for people to watch. Called by any worker; returns at once.

    Sources and fragments are named by position, pieces by their number in the fragment.
    """

    def began(self, in_flight: Callable[[], list[tuple[int, int, int, int]]]) -> None:
        """An engine is made; the function gives its requests: source, fragment, piece, end."""
        ...

    def delivered(self, source: int, fragment: int, piece: int) -> None:
        """A good piece is in place."""
        ...

    def sent_corrupt(self, source: int, fragment: int, piece: int) -> None:
        """A piece came with wrong bytes."""
        ...

    def failed(self, source: int, fragment: int, piece: int, error: RequestFailed) -> None:
        """A request broke off at this piece."""
        ...
