"""Decodes rows while a download goes on: reads what is in place, computes what is missing.

Pieces of rows that are likely to be computed wait in memory, as far as two budgets allow. Parity
without room waits in the destination, behind the end of the file; data is in place there anyway.
Both are read back in strips that stay in the processor's cache. What comes out is verified like
any received piece before it is placed. Memory: the budgets, and for each of the few threads that
compute at a time one piece a missing fragment and a few strips.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from regather.engine.row_buffers import RowBuffers
from regather.model import Layout
from regather.tasks import Thread, join_all

if TYPE_CHECKING:
    from regather.store.base import PieceStore

_MOST_THREADS = 4
_PARITY_BYTES, _DATA_BYTES = 40 << 20, 24 << 20
"""Most that waits in memory. Without room, parity is written and read back, data only read.

A killed client has to fetch parity again.
"""
_MOST_WAITING = 3
"""Rows that wait while threads go on receiving."""
_Order = tuple[int, int, tuple[int, ...], tuple[int, ...]]
"""Set, row, fragments to make, parity to make them with."""
_OnRow = Callable[[int, int, bool | None], None]


class _Scratch:
    """Buffers to compute one row at a time in, made once."""

    def __init__(self) -> None:
        self.made: list[memoryview] = []
        self.strips: list[memoryview] = []


class Decoder:
    """Computes rows: in the threads that receive, or in its own where none of them is about to."""

    def __init__(
        self,
        layout: Layout,
        destination: PieceStore,
        on_row: _OnRow,
        on_error: Callable[[BaseException], None],
        is_through: Callable[[int, int], bool],
        *,
        in_memory: bool = False,
    ) -> None:
        """``on_row`` is told (set, row, whether it came out right) in a decoding thread.

        None: something of it was not kept, as nobody wants the row. ``is_through`` tells whether a
        data fragment's piece is in place, or nobody wants it. With ``in_memory`` the store is no
        place to put parity.
        """
        self._layout = layout
        self._destination = destination
        self._on_row = on_row
        self._on_error = on_error
        self._is_through = is_through
        self._orders: deque[_Order] = deque()
        self._ordered: set[tuple[int, int]] = set()
        """Sets and rows that are being computed, or will be: their pieces stay."""
        self._threads: list[Thread] = []
        self._lock = threading.RLock()
        self._turn = threading.Condition(self._lock)
        self._stopping = False
        size = max(layout.largest_piece, 1)
        self.parity = RowBuffers(_PARITY_BYTES // size, size, self._through, grows=in_memory)
        """Pieces that are nowhere else, until their row is computed."""
        room = 0 if in_memory else _DATA_BYTES // size
        self.data = RowBuffers(room, size, self._through)
        """Pieces that are in place, and need so not be read back."""
        self._computing = 0
        self._taken_at = 0.0
        self._scratch: list[_Scratch] = []
        self.most_threads = min(_MOST_THREADS, os.cpu_count() or 1)

    def _through(self, fragment: int, row: int) -> bool:
        layout = self._layout
        number = layout.set_of[fragment]
        return (number, row) not in self._ordered and all(
            self._is_through(f, row) for f in layout.sets[number].data if row < layout.pieces_of(f)
        )

    def submit(
        self,
        number: int,
        row: int,
        make: tuple[int, ...],
        parity: tuple[int, ...],
        *,
        by_callers: bool,
    ) -> None:
        """Compute the pieces of ``make`` in a row, soon, with these parity pieces.

        ``by_callers`` promises that threads which receive, this one among them, call ``catch_up``
        soon. What comes in can so never run ahead of what is computed.
        """
        if not self._orders:
            self._taken_at = time.monotonic()
        self._ordered.add((number, row))
        self._orders.append((number, row, make, parity))
        if not by_callers:
            self._drain()

    def catch_up(self, *, most: int, leave: int = 0, last: bool = False) -> None:
        """Compute up to ``most`` rows in this thread, unless enough others are at it.

        ``leave`` rows stay for others. Who is behind the others leaves some, so that those ahead
        compute meanwhile and all sources stay abreast; else the one behind, which completes each
        row, would compute it as well, and more and more pieces would wait for its own.
        ``last`` where this thread may not come again for long: nothing that waits relies on it.
        """
        while most > 0 and (count := len(self._orders)) > leave:
            # What comes in must not run ahead of what is computed: then wait for a turn.
            if not self._compute_one(wait=count > _MOST_WAITING):
                break
            most -= 1
        if last and self._orders:
            self._drain()

    @property
    def waiting(self) -> bool:
        """Whether there are rows to compute."""
        return bool(self._orders)

    def look_after(self, seconds: float) -> None:
        """Compute what waits, in other threads, where none was computed for ``seconds``."""
        if self._orders and time.monotonic() - self._taken_at > seconds:
            self._drain()

    def stop(self) -> None:
        """End the threads as soon as their rows are through."""
        with self._turn:
            self._stopping = True
            self._turn.notify_all()

    def join(self, timeout: float) -> None:
        """Wait for the threads, ``timeout`` seconds at most."""
        join_all(self._threads, timeout)

    def _drain(self) -> None:
        """Compute all that waits, in threads of their own that end with it."""
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if len(self._threads) < self.most_threads and not self._stopping:
                thread = Thread(self._work, name="regather-decode", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _work(self) -> None:
        try:
            while self._compute_one(wait=True):
                pass
        except BaseException as error:
            self._on_error(error)

    def _compute_one(self, *, wait: bool = False) -> bool:
        """Compute the row that waits longest; False where there is none, or enough are at it.

        With ``wait``, be the next one where enough are at it.
        """
        with self._turn:
            while (
                wait
                and self._orders
                and not self._stopping
                and self._computing >= self.most_threads
            ):
                self._turn.wait()
            if self._stopping or not self._orders or self._computing >= self.most_threads:
                return False
            self._computing += 1
            order = self._orders.popleft()
            self._taken_at = time.monotonic()
        try:
            self._carry_out(*order)
        finally:
            with self._turn:
                self._computing -= 1
                # All of them: whoever finds nothing left to compute has to go on receiving.
                self._turn.notify_all()
        return True

    def _carry_out(
        self, number: int, row: int, make: tuple[int, ...], parity: tuple[int, ...]
    ) -> None:
        with self._lock:
            scratch = self._scratch.pop() if self._scratch else _Scratch()
        right: bool | None
        try:
            right = self._decode(number, row, make, parity, scratch)
        except LookupError:  # PieceMissing, of the store: importing it costs time
            right = None
        erasure_set = self._layout.sets[number]
        self.parity.release(erasure_set.parity, row)
        self.data.release(erasure_set.data, row)
        with self._lock:
            if self.parity.in_use:
                self._scratch.append(scratch)
            else:
                self._scratch.clear()
        self._ordered.discard((number, row))
        self._on_row(number, row, right)

    def _decode(
        self,
        number: int,
        row: int,
        make: tuple[int, ...],
        parity: tuple[int, ...],
        scratch: _Scratch,
    ) -> bool | None:
        # Most downloads never need it.
        from regather.coding.rows import compute_row, grown

        layout = self._layout
        data = [f for f in layout.sets[number].data if f not in make]
        length = layout.length(parity[0], row)
        scratch.made = grown(scratch.made, len(make), length)
        out = {f: view[:length] for f, view in zip(make, scratch.made, strict=False)}
        kept = ((f, self._kept(f, row, length)) for f in (*data, *parity))
        whole = {f: view for f, view in kept if view is not None}

        def read(fragment: int, start: int, into: memoryview) -> None:
            self._destination.read(layout.number(fragment, row), start, into)

        digests = compute_row(
            layout,
            number,
            row,
            (*data, *parity),
            make,
            read,
            out,
            whole=whole,
            buffers=scratch.strips,
        )
        for f, digest in digests.items():
            view = out[f][: layout.length(f, row)]
            self._destination.place(layout.number(f, row), view, digest)
        if len(digests) < len(make):
            return False
        # A store with a limit does not keep what nobody wants any more.
        return all(self._destination.has(layout.number(f, row)) for f in make) or None

    def _kept(self, fragment: int, row: int, length: int) -> memoryview | None:
        view = self.parity.get(fragment, row) or self.data.get(fragment, row)
        return view if view is not None and len(view) == length else None
