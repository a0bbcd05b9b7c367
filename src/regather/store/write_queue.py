"""What waits to be written to the disk cache, and the thread that writes it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from regather.tasks import Thread

if TYPE_CHECKING:
    from regather.store.cached_file import CachedFile

_CLOSE_SECONDS = 10.0


class Order(NamedTuple):
    """A piece to be written."""

    file: CachedFile
    number: int
    data: bytes | memoryview
    digest: bytes


class WriteQueue:
    """Holds so many bytes, and no more: nobody waits for the disk."""

    def __init__(
        self, lock: threading.Condition, most: int, write: Callable[[Order], None]
    ) -> None:
        """``write`` is called in a thread of its own, which starts with the first order."""
        self._lock = lock
        self._most = most
        self._write = write
        self._orders: deque[Order] = deque()
        self.bytes = 0
        """Those that wait, and those that are being written."""
        self._closing = False
        self._thread = Thread(self._work, name="regather-cache", daemon=True)

    def put(self, order: Order) -> bool:
        """Have a piece written, soon; False where too much waits. Under the lock.

        False also where there can be no thread that writes.
        """
        if self._closing or self.bytes + len(order.data) > self._most:
            return False
        if self._thread.ident is None:
            try:
                self._thread.begin()
            except OSError:
                return False
        self._orders.append(order)
        self.bytes += len(order.data)
        self._lock.notify_all()
        return True

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._orders:
                    if self._closing:
                        return
                    self._lock.wait()
                order = self._orders.popleft()
            self._write(order)
            with self._lock:
                self.bytes -= len(order.data)
                self._lock.notify_all()

    def settle(self, most: int) -> None:
        """Wait until so few bytes wait, or it is closed."""
        with self._lock:
            while self.bytes > most and not self._closing:
                self._lock.wait()

    def close(self) -> None:
        """Write what waits, and end the thread; a disk that hangs is not waited for."""
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_SECONDS)
