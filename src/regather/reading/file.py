"""A file that is hosted in fragments, as a binary file object."""

from __future__ import annotations

import io
import os
import threading
import weakref
from bisect import bisect_right
from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING

from regather.engine.reader_room import PieceUnavailable
from regather.engine.session import Session
from regather.reading.ahead import ReadAhead
from regather.reading.notices import Notices
from regather.reading.opened import forsake, opened
from regather.reading.oserrors import as_os_errors
from regather.reading.position import Position
from regather.reading.recipe import Recipe

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PEEK = 8 << 10
"""Bytes that peek() shows at most: it is there for readline()."""


class RemoteFile(io.BufferedIOBase):
    """A hosted file, open for reading. It downloads only the data that is read, and verifies it.

    ``regather.open`` creates it. In addition to the methods of binary files, ``pread``,
    ``pread_into`` and ``read_ranges`` read at any place without moving the position. Threads can
    use all methods at the same time. If data is not available, a read raises
    NotEnoughSourcesError or VerificationError, which are also OSErrors. It can be tried again.

    The file can be pickled, and used in a child process after a fork. It then has the same
    position, but its own threads, connections and cache, created at the first read.
    """

    def __init__(self, recipe: Recipe, position: int = 0) -> None:
        target = recipe.target
        self._recipe = recipe
        self._layout = layout = target.layout
        self._live: Session | None = None
        self._ahead = ReadAhead(layout.piece_size, recipe.most_ahead)
        # Empty fragments share their offset with the next one and have no pieces.
        self._positions = [f for f in range(layout.data_count) if layout.fragments[f].size]
        self._offsets = [layout.fragments[f].offset for f in self._positions]
        self._lock = threading.Lock()
        self._position = Position(position, layout.size)
        self.name = target.name
        """The file's own name."""
        self.mode = "rb"
        self.digest = target.digest
        """Its identity, as ``regather info`` prints it."""
        self.size = layout.size
        """Bytes."""
        _files.add(self)

    def __repr__(self) -> str:
        return f"<regather.RemoteFile {self.name!r}{' (closed)' if self.closed else ''}>"

    # -- in another process ---------------------------------------------------------------

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        self._check_open()
        return type(self), (self._recipe, self._position.at)

    @property
    def _session(self) -> Session:
        """What fetches the pieces: made when it is first needed."""
        with self._lock:
            if self._live is None:
                self._check_open()
                self._live = opened(self._recipe.session())
            return self._live

    def _forked(self) -> None:
        """In a child process: have nothing in common with the file in the parent."""
        self._lock = threading.Lock()
        self._position = Position(self._position.at, self.size)
        parents, self._live = self._live, None
        if parents is not None:
            forsake(parents)

    # -- what was cost --------------------------------------------------------------------

    @property
    def received(self) -> int:
        """Bytes received from all sources so far: whole pieces, wanted or not."""
        return sum(tally.received for tally in self._live.tallies) if self._live else 0

    # -- reading elsewhere ----------------------------------------------------------------

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each (start, stop), in the order given; cut off at the end of the file.

        All missing pieces are downloaded at the same time, each of them once.
        """
        self._check_open()
        spans = [_span(start, stop, self.size) for start, stop in ranges]
        out = [bytearray(stop - start) for start, stop in spans]
        self._fill(
            [(start, memoryview(buffer)) for (start, _), buffer in zip(spans, out, strict=True)]
        )
        return [bytes(buffer) for buffer in out]

    def pread(self, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes at ``offset``; fewer only at the end of the file."""
        return self.read_ranges([(offset, offset + size)])[0]

    def pread_into(self, buffer: WriteableBuffer, offset: int) -> int:
        """Fill a buffer from ``offset`` on; returns how many bytes there were."""
        self._check_open()
        view = _bytes_of(buffer)
        start, stop = _span(offset, offset + len(view), self.size)
        self._fill([(start, view[: stop - start])])
        return stop - start

    def _fill(self, views: Sequence[tuple[int, memoryview]]) -> None:
        """Fill each view with the bytes of the file from its offset on."""
        parts: dict[int, list[tuple[int, memoryview]]] = {}
        for start, view in views:
            for number in self._numbers(start, start + len(view)):
                place = self._layout.locate(number)
                offset, length = self._layout.offset(*place), self._layout.length(*place)
                first, last = max(start, offset), min(start + len(view), offset + length)
                part = first - offset, view[first - start : last - start]
                parts.setdefault(number, []).append(part)
        with as_os_errors():
            session = self._session
            notices = Notices(self._recipe.target, session)
            try:
                session.read(dict(sorted(parts.items())), notices.waits, self._next(views))
            except PieceUnavailable as error:
                raise notices.missing(error.number, corrupt=error.corrupt) from None

    def _next(self, views: Sequence[tuple[int, memoryview]]) -> tuple[int, list[int]] | None:
        """The stream of reads that this is in, and the pieces that will probably be read next."""
        if len(views) != 1 or not len(views[0][1]):
            return None
        start, view = views[0]
        stop = start + len(view)
        with self._lock:
            stream, more = self._ahead.after(start, stop)
        return stream, self._numbers(stop, min(stop + more, self.size))

    def _numbers(self, start: int, stop: int) -> list[int]:
        """The running numbers of the pieces that hold bytes ``start`` up to ``stop``."""
        numbers: list[int] = []
        at = bisect_right(self._offsets, start) - 1
        while start < stop:
            position = self._positions[at]
            fragment = self._layout.fragments[position]
            first = (start - fragment.offset) // self._layout.piece_size
            end = min(stop, fragment.offset + fragment.size)
            last = -(-(end - fragment.offset) // self._layout.piece_size)
            number = self._layout.number(position, 0)
            numbers.extend(range(number + first, number + last))
            start = end
            at += 1
        return numbers

    # -- io.BufferedIOBase ----------------------------------------------------------------

    def readable(self) -> bool:
        """Whether it can be read: always, until it is closed."""
        self._check_open()
        return True

    def seekable(self) -> bool:
        """Whether it can be read anywhere: always, until it is closed."""
        self._check_open()
        return True

    def tell(self) -> int:
        """The position, in bytes."""
        self._check_open()
        return self._position.at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position; returns it. Behind the end there is nothing to read."""
        self._check_open()
        return self._position.seek(index(offset), index(whence))

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to ``size`` bytes, fewer only at the end; without it, the rest of the file."""
        self._check_open()
        size = self.size if size is None else index(size)
        start, count = self._position.take(self.size if size < 0 else size)
        try:
            return self.pread(count, start) if count else b""
        except BaseException:
            self._position.at = start
            raise

    def read1(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes, without it up to the end of the piece."""
        if size < 0:
            size = self._layout.piece_size
        return self.read(size)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer as far as there are bytes; returns how many."""
        self._check_open()
        try:
            view = _bytes_of(buffer)
        except (TypeError, ValueError):  # no buffer, or one that Python cannot describe
            return super().readinto(buffer)
        start, count = self._position.take(len(view))
        try:
            return self.pread_into(view[:count], start) if count else 0
        except BaseException:
            self._position.at = start
            raise

    def readinto1(self, buffer: WriteableBuffer, /) -> int:
        """The same as ``readinto``."""
        return self.readinto(buffer)

    def peek(self, size: int = 0, /) -> bytes:
        """Some bytes from the position on, without moving it; none only at the end."""
        self._check_open()
        return self.pread(_PEEK, self._position.at)

    def close(self) -> None:
        """Break off what is under way, and free everything."""
        if not self.closed:
            try:
                if self._live is not None:
                    self._live.close()
            finally:
                super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")


def _bytes_of(buffer: WriteableBuffer) -> memoryview:
    """A buffer as bytes. Raises TypeError or ValueError where that cannot be."""
    view = memoryview(buffer)
    if view.readonly:
        raise TypeError("a buffer to read into must be writable")
    return view.cast("B") if view.nbytes else memoryview(bytearray())


def _span(start: int, stop: int, size: int) -> tuple[int, int]:
    """A range within a file of ``size`` bytes. Raises ValueError for one before its beginning."""
    if start < 0:
        raise ValueError(f"negative offset: {start}")
    start = min(start, size)
    return start, max(start, min(stop, size))


# -- after a fork -----------------------------------------------------------------------------

_files: weakref.WeakSet[RemoteFile] = weakref.WeakSet()


def _in_child() -> None:
    for file in list(_files):
        file._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
