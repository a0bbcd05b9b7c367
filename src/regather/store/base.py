"""Where verified pieces go, and where they are read again: what every such place can do."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from regather.errors import RegatherError, StorageError, is_disk_full
from regather.model import Layout
from regather.units import format_size

if TYPE_CHECKING:
    from concurrent.futures import Future

    from regather.store.journal import Journal


class PieceMissing(LookupError):
    """The piece is not in the store, or what was there proved wrong: it has to be fetched."""


class PieceStore(Protocol):
    """Verified pieces of one file, by their running number. For any thread."""

    def has(self, number: int) -> bool:
        """Whether the piece is there. A store with a limit may drop it at the next moment."""

    def read(self, number: int, at: int, into: memoryview) -> None:
        """Fill ``into`` with the bytes of the piece from ``at`` on.

        Raises PieceMissing where the piece is not there, StorageError where it cannot be read.
        """

    def place(self, number: int, data: memoryview, digest: bytes) -> None:
        """Take in a whole piece that was verified; ``digest`` is its hash. Raises StorageError."""

    def adopt(self, number: int, data: memoryview, digest: bytes) -> memoryview | None:
        """Place a piece, and keep its memory: nobody may write there any more.

        Returns memory to go on with, as much of it or none; None where ``data`` was not kept.
        """

    def wait(self, number: int) -> Future[None]:
        """A future that is done when the piece is there, and cancelled when the store is closed."""


class StoredPieces:
    """Which pieces are there, and who waits for one: the half of a PieceStore that all share."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._here = bytearray(layout.piece_count)
        self._waiting: dict[int, list[Future[None]]] = {}
        self._waiting_lock = threading.RLock()  # a store may be closed by the garbage collector
        self._closed = False

    def has(self, number: int) -> bool:
        """Whether the piece is there."""
        return bool(self._here[number])

    def snapshot(self) -> bytes:
        """By number, 1 for each piece that is there now, else 0."""
        return bytes(self._here)

    @abstractmethod
    def read(self, number: int, at: int, into: memoryview) -> None:
        """See PieceStore.read."""

    def whole(self, number: int) -> memoryview:
        """All bytes of a piece. Raises as ``read`` does."""
        piece = memoryview(bytearray(self.layout.length_of(number)))
        self.read(number, 0, piece)
        return piece

    def wait(self, number: int) -> Future[None]:
        """See PieceStore.wait."""
        from concurrent.futures import Future  # costs more than all else here

        future: Future[None] = Future()
        with self._waiting_lock:
            self._waiting.setdefault(number, []).append(future)
        if self._closed:
            self.cancel_waiting()
        elif self.has(number):  # looked at last: a piece that comes meanwhile is not overlooked
            self.notify(number)
        return future

    def arrived(self, number: int) -> None:
        """The piece is there from now on: whoever waits for it goes on."""
        self._here[number] = True
        self.notify(number)

    def notify(self, number: int) -> None:
        """Complete the futures of those that wait for a piece that is there."""
        if self._waiting:
            with self._waiting_lock:
                futures = self._waiting.pop(number, [])
            for future in futures:
                if future.set_running_or_notify_cancel():
                    future.set_result(None)

    def gone(self, number: int) -> None:
        """The piece is not there any longer."""
        self._here[number] = False

    def give_up(self, number: int) -> None:
        """The piece does not come: the futures of those that wait for it are cancelled."""
        with self._waiting_lock:
            _cancel(self._waiting.pop(number, []))

    def cancel_waiting(self) -> None:
        """No piece comes any longer: the futures of all that are waited for are cancelled."""
        self._closed = True
        with self._waiting_lock:
            _cancel([future for some in self._waiting.values() for future in some])
            self._waiting.clear()


def _cancel(futures: Iterable[Future[None]]) -> None:
    for future in futures:
        future.cancel()
        future.set_running_or_notify_cancel()


class PartialDownload(StoredPieces):
    """What a download fills: a PieceStore that becomes a file or folder, and can be resumed."""

    _journal: Journal
    part: Path
    """Where all is kept until it is whole."""
    count: int | None = None
    """How many files of a folder are wanted; None for a single file."""
    content: int | None = None
    """The bytes of these files."""
    lasting = True
    """Whether a later run can go on with it."""
    resumed = False
    """Whether there is something to look at: of an earlier run, or files that may be right."""

    def __init__(self, path: Path, layout: Layout, *, force: bool) -> None:
        super().__init__(layout)
        self.path = path
        self._force = force
        self.pieces: Collection[int] = range(layout.data_pieces)
        """The numbers of the pieces that are wanted; of a folder, as ``recover`` finds out."""

    def adopt(self, number: int, data: memoryview, digest: bytes) -> memoryview | None:
        """Write one verified piece, which leaves its memory alone; see PieceStore.adopt."""
        self.place(number, data, digest)
        return None

    def place(self, number: int, data: memoryview, digest: bytes) -> None:
        """Write one verified piece where it belongs and claim it; see PieceStore.place."""
        try:
            self._write(self.layout.offset_of(number), data)
            self._journal.record(number, digest)
        except OSError as error:
            raise self._trouble(error) from error
        self.arrived(number)

    def read(self, number: int, at: int, into: memoryview) -> None:
        """Read back what was placed; see PieceStore.read."""
        if not self.has(number):
            raise PieceMissing(number)
        try:
            self._read(self.layout.offset_of(number) + at, into)
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> RegatherError:
        """The error to raise for one of the system."""
        if isinstance(error, BlockingIOError):
            return StorageError(
                f"{self.path}: another process is downloading to it", help="wait for it or stop it"
            )
        if is_disk_full(error):
            return StorageError(
                f"{self.path}: not enough space for {format_size(self.layout.size)} "
                f"({(error.strerror or '').lower()})",
                help="free some space or choose another folder with -o, then run the same "
                "command again",
            )
        return self._other_trouble(error)

    @abstractmethod
    def _other_trouble(self, error: OSError) -> RegatherError:
        """The same where it is neither a full disk nor another process."""

    @abstractmethod
    def _write(self, offset: int, data: memoryview) -> None:
        """Write what stands at ``offset`` in the file. Raises OSError."""

    @abstractmethod
    def _read(self, offset: int, into: memoryview) -> None:
        """Read what stands at ``offset`` in the file. Raises OSError."""
