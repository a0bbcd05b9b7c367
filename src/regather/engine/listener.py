"""What the engine tells whoever serves demands that come and go."""

from __future__ import annotations

from typing import Protocol

from regather.planner import Event, Unavailable


class Listener(Protocol):
    """Who serves demands that come and go. All is called under the engine's lock."""

    in_memory: bool = True
    """Whether parity waits in memory alone, as the store is no place for it."""

    def settled(self, event: Event) -> Event:
        """What the planner is to hear, for some pieces may not have been kept."""
        ...

    def decided(self) -> None:
        """An event was taken in, and all is ordered that it leads to."""
        return

    def is_for_later(self, number: int) -> bool:
        """Whether a piece that nobody wants now will be wanted soon. It is then held back."""
        return False

    def unavailable(self, action: Unavailable) -> None:
        """Pieces cannot be had."""
        ...

    def failed(self, error: BaseException) -> None:
        """Nothing comes any more."""
        ...
