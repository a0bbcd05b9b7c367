"""The hash of a whole file, taken while it is downloaded.

A hash like SHA-256 needs the bytes in order, and a download brings them in any order. So a thread
of its own follows the front: the piece up to which all is in place. It reads what was written a
moment ago, from the page cache, and little is left to do when the last piece comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from regather.checksum import Checksum
from regather.digest import new_hasher
from regather.model import Layout
from regather.tasks import Thread, join_all

if TYPE_CHECKING:
    from regather.store import AnyDestination

_STEP = 1 << 20
_LOOK_SECONDS = 0.02
"""How often to look whether the front has moved."""
_JOIN_SECONDS = 10.0


class InOrderHasher:
    """Hashes the file in order, as far as it is there. Call stop() in any case."""

    def __init__(
        self,
        layout: Layout,
        destination: AnyDestination,
        checksums: Sequence[Checksum],
        is_done: Callable[[int, int], bool],
    ) -> None:
        """``is_done`` tells of a (fragment, piece) whether it is in place, for good."""
        self._layout = layout
        self._destination = destination
        self._checksums = checksums
        self._is_done = is_done
        self._hashers = [new_hasher(c.algorithm) for c in checksums]
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._thread = Thread(self._work, name="regather-hasher", daemon=True)
        self._thread.start()

    def finish(self, watch: Callable[[], None]) -> list[Checksum]:
        """Wait for the rest of a file that is whole; return what it hashes to.

        ``watch`` is called about ten times a second; what it raises ends the wait. Raises
        StorageError where the disk fails.
        """
        while self._thread.is_alive():
            self._thread.join(0.1)
            watch()
        if self._error is not None:
            raise self._error
        return [
            Checksum(c.algorithm, hasher.digest(), c.origin)
            for c, hasher in zip(self._checksums, self._hashers, strict=True)
        ]

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        join_all([self._thread], _JOIN_SECONDS)

    def _work(self) -> None:
        try:
            buffer = memoryview(bytearray(min(_STEP, max(self._layout.largest_piece, 1))))
            for number in range(self._layout.data_pieces):
                fragment, piece = self._layout.locate(number)
                while not self._is_done(fragment, piece):
                    if self._ended.wait(_LOOK_SECONDS):
                        return
                if not self._take(fragment, piece, buffer):
                    return
        except BaseException as error:
            self._error = error

    def _take(self, fragment: int, piece: int, buffer: memoryview) -> bool:
        """Hash one piece; False where it was stopped meanwhile."""
        number = self._layout.number(fragment, piece)
        at, end = 0, self._layout.length(fragment, piece)
        while at < end:
            if self._ended.is_set():
                return False
            view = buffer[: min(len(buffer), end - at)]
            self._destination.read(number, at, view)
            for hasher in self._hashers:
                hasher.update(view)
            at += len(view)
        return True
