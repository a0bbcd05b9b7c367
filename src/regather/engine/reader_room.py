"""Who holds which pieces in a store with a limit, and whether there is room for what comes.

What a reader holds has room, and is not dropped. A reader takes as much as there is room for. Who
gets nothing waits in a queue, and holds nothing while it waits, so those before it go on. Pieces
that are held in the background give way.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from regather.engine.room_sizes import ReaderShare
from regather.model import Layout
from regather.planner import Planner
from regather.store.memory import MemoryStore

_Put = Callable[[int, memoryview, bytes], "memoryview | None"]
_AGAIN_SECONDS = 0.005
ROOM_SECONDS = 0.05
"""How long who waits for room sleeps: room also comes free, untold, when others have copied."""


class PieceUnavailable(LookupError):
    """No source has a piece, and it cannot be computed."""

    def __init__(self, number: int, *, corrupt: bool) -> None:
        super().__init__(number)
        self.number = number
        self.corrupt = corrupt
        """Whether wrong bytes, rather than absent sources, are why."""


class Reader:
    """One demand, and the pieces that it holds."""

    def __init__(self, number: int, *, background: bool = False) -> None:
        self.number = number
        """Of its demand in the planner."""
        self.background = background
        self.held: dict[int, None] = {}
        self.wanted: list[int] = []
        """What was asked for, held or not; in the background only."""
        self.failed: dict[int, bool] = {}
        """Held pieces that cannot be had, and whether wrong bytes are why."""
        self.turn = threading.Event()
        """Set when there may be room for it."""


class ReaderRoom:
    """A PieceStore over another one, whose readers take a part of it.

    For the engine and any thread: has, read, place, wait. All else under the engine's lock.
    """

    def __init__(
        self,
        layout: Layout,
        store: MemoryStore,
        share: ReaderShare,
        planner: Planner,
        release: Callable[[Reader, Iterable[int]], object],
    ) -> None:
        """``release`` releases pieces, and calls ``free``."""
        self._layout = layout
        self._store = store
        self._planner = planner
        self._share = share
        self._held = 0
        """Bytes of the pieces that readers hold."""
        self.lock: threading.Condition
        """The engine's."""
        self._placing: set[int] = set()
        store.is_needed = self._is_needed
        self.has = store.has
        self.read = store.read
        self.wait = store.wait
        self._release = release
        self._holders: dict[int, list[Reader]] = {}
        self._background: dict[int, Reader] = {}
        """Those that hold pieces in the background, the one that asked last at the end."""
        self._queue: deque[Reader] = deque()

    @property
    def waited_for(self) -> bool:
        """Whether a reader waits for room."""
        return bool(self._queue)

    @property
    def in_use(self) -> bool:
        """Whether a reader holds a piece, or waits for room."""
        return bool(self._holders or self._queue)

    def take(self, reader: Reader, numbers: Sequence[int]) -> int:
        """Hold as many pieces, in order, as there is room for; return how many."""
        if self._queue and self._queue[0] is not reader:
            return 0
        taken = 0
        for number in numbers:
            holders = self._holders.get(number)
            if holders is None:
                if not self._has_room(number, reader):
                    break
                holders = self._holders[number] = []
            holders.append(reader)
            reader.held[number] = None
            taken += 1
        if reader.background and taken:
            self._background.pop(reader.number, None)
            self._background[reader.number] = reader
        if taken:
            self.leave(reader)
        return taken

    def _has_room(self, number: int, reader: Reader) -> bool:
        length = self._length(number)
        while not self._share.take(length, self._held):
            if reader.background or not self._background:
                return False
            other = self._background.pop(next(iter(self._background)))
            other.wanted = []
            self._release(other, list(other.held))
        if not self._store.reserve(number):
            self._share.give_back(length)
            return False
        self._held += length
        return True

    def free(self, reader: Reader, numbers: Iterable[int]) -> list[int]:
        """Hold pieces no more; return which of them it held."""
        freed = [number for number in numbers if number in reader.held]
        for number in freed:
            del reader.held[number]
            reader.failed.pop(number, None)
            holders = self._holders[number]
            holders.remove(reader)
            if not holders:
                del self._holders[number]
                self._held -= self._length(number)
                self._share.give_back(self._length(number))
                if number not in self._placing:
                    self._store.cancel(number)
        if freed:
            self._wake()
        return freed

    def place(self, number: int, data: memoryview, digest: bytes) -> None:
        """Take in a piece, unless nobody wants it and there is no room."""
        self._put(number, self._store.place, data, digest)

    def adopt(self, number: int, data: memoryview, digest: bytes) -> memoryview | None:
        """The same, with its memory; see PieceStore.adopt."""
        return self._put(number, self._store.adopt, data, digest)

    def _put(self, number: int, put: _Put, data: memoryview, digest: bytes) -> memoryview | None:
        while True:
            with self.lock:
                if room := self._store.reserve(number):
                    self._placing.add(number)
                elif not self._is_wanted(number):
                    return None
            if room:
                break
            time.sleep(_AGAIN_SECONDS)  # others copy what is in the way
        try:
            return put(number, data, digest)
        finally:
            with self.lock:
                self._placing.discard(number)
                if number not in self._holders:
                    self._store.cancel(number)

    def _is_wanted(self, number: int) -> bool:
        place = self._layout.locate(number)
        return number in self._holders or self._planner.is_wanted(*place)

    def _is_needed(self, number: int) -> bool:
        place = self._layout.locate(number)
        return number in self._holders or self._planner.is_needed(*place)

    def fail(self, number: int, *, corrupt: bool) -> None:
        """A piece cannot be had."""
        for reader in self._holders.get(number, ()):
            reader.failed[number] = corrupt

    def queue(self, reader: Reader) -> None:
        """Wait for room; ``turn`` is set when there may be some."""
        reader.turn.clear()
        if reader not in self._queue:
            self._queue.append(reader)

    def leave(self, reader: Reader) -> None:
        """Wait for room no more."""
        if reader in self._queue:
            self._queue.remove(reader)
            self._wake()

    def _wake(self) -> None:
        if self._queue:
            self._queue[0].turn.set()

    def _length(self, number: int) -> int:
        return self._layout.length(*self._layout.locate(number))


def runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Numbers as spans of those that follow each other, in the order given."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1] = found[-1][0], number + 1
        else:
            found.append((number, number + 1))
    return found
