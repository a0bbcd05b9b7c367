"""Decodes rows while a download goes on: reads what is in place, computes what is missing.

Parity pieces wait in memory, as far as a budget allows, else in the destination behind the end of
the file. Data pieces are read back from it, mostly out of the system's cache, in strips that stay
in the processor's. What comes out is verified like any received piece before it is placed.
Memory: the budget, and for each of the few threads that compute at a time one piece a missing
fragment and a few strips.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

from regather.digest import new_hasher
from regather.model import Layout
from regather.store import AnyDestination

_MOST_THREADS = 4
_KEPT_BYTES = 32 << 20
"""Most parity that waits in memory. A killed client has to fetch it again."""
_OnRow = Callable[[int, int, bool], None]


class _Scratch:
    """Buffers to compute one row at a time in, made once: new memory costs as much as decoding."""

    def __init__(self) -> None:
        self._made: list[memoryview] = []
        self._inputs: list[memoryview] = []

    def made(self, count: int, size: int) -> list[memoryview]:
        """``count`` buffers of ``size`` bytes for the pieces that come out."""
        self._made = _grown(self._made, count, size)
        return [view[:size] for view in self._made[:count]]

    def inputs(self, count: int, size: int) -> list[memoryview]:
        """``count`` buffers of ``size`` bytes for strips of the pieces that go in."""
        self._inputs = _grown(self._inputs, count, size)
        return [view[:size] for view in self._inputs[:count]]


def _grown(have: list[memoryview], count: int, size: int) -> list[memoryview]:
    if len(have) >= count and all(len(view) >= size for view in have):
        return have
    return [memoryview(bytearray(size)) for _ in range(max(count, len(have)))]


class Decoder:
    """Computes rows: in the threads that receive, or in its own where none of them is about to."""

    def __init__(
        self,
        layout: Layout,
        destination: AnyDestination,
        on_row: _OnRow,
        on_error: Callable[[BaseException], None],
    ) -> None:
        """``on_row`` is told (set, row, whether it came out right) in a decoding thread."""
        self._layout = layout
        self._destination = destination
        self._on_row = on_row
        self._on_error = on_error
        self._orders: queue.SimpleQueue[tuple[int, int, tuple[int, ...], tuple[int, ...]] | None]
        self._orders = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._stopping = False
        self._kept: dict[tuple[int, int], memoryview] = {}
        self._room = _KEPT_BYTES // max(layout.largest_piece, 1)
        self._free: list[memoryview] = []
        self._computing = 0
        self._most = min(_MOST_THREADS, os.cpu_count() or 1)
        self._scratch: list[_Scratch] = []

    def keep(self, fragment: int, row: int, buffer: memoryview, length: int) -> memoryview | None:
        """Keep a verified parity piece until its row is computed; None: no room.

        The piece is the start of ``buffer``, which is kept itself, for a copy costs as much as
        decoding. What comes back is another one of the same size, to go on with.
        """
        with self._lock:
            if self._free:
                other = self._free.pop()
            elif self._room > 0:
                self._room -= 1
                other = memoryview(bytearray(self._layout.largest_piece))
            else:
                return None
        self._kept[fragment, row] = buffer[:length]
        return other

    def _release(self, fragments: tuple[int, ...], row: int) -> None:
        """The row is through: its buffers are free for others."""
        with self._lock:
            for fragment in fragments:
                view = self._kept.pop((fragment, row), None)
                if view is not None:
                    self._free.append(memoryview(view.obj))

    def submit(
        self,
        number: int,
        row: int,
        make: tuple[int, ...],
        parity: tuple[int, ...],
        *,
        by_caller: bool,
    ) -> None:
        """Compute the pieces of ``make`` in a row, soon, with these parity pieces.

        ``by_caller`` promises that a thread which receives calls ``catch_up`` next. What comes in
        can so never run ahead of what is computed, and no parity has to be put aside on disk.
        """
        if by_caller:
            self._orders.put((number, row, make, parity))
            return
        with self._lock:
            if len(self._threads) < self._most:
                name = f"regather-decode-{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
        self._orders.put((number, row, make, parity))

    def catch_up(self) -> None:
        """Compute what waits, in this thread, unless enough others are at it."""
        while not self._stopping and not self._orders.empty():
            with self._lock:
                if self._computing >= self._most:
                    return  # whoever ends looks again
                self._computing += 1
            try:
                order = self._orders.get_nowait()
                if order is None:  # meant for one of the threads
                    self._orders.put(None)
                    return
                self._carry_out(*order)
            except queue.Empty:
                pass
            finally:
                with self._lock:
                    self._computing -= 1

    def stop(self) -> None:
        """End the threads as soon as their rows are through."""
        self._stopping = True
        for _ in self._threads:
            self._orders.put(None)

    def join(self, timeout: float) -> None:
        """Wait for the threads, ``timeout`` seconds each at most."""
        for thread in self._threads:
            thread.join(timeout)

    def _work(self) -> None:
        try:
            while (order := self._orders.get()) is not None and not self._stopping:
                self._carry_out(*order)
        except BaseException as error:
            self._on_error(error)

    def _carry_out(
        self, number: int, row: int, make: tuple[int, ...], parity: tuple[int, ...]
    ) -> None:
        with self._lock:
            scratch = self._scratch.pop() if self._scratch else _Scratch()
        right = self._decode(number, row, make, parity, scratch)
        with self._lock:
            self._scratch.append(scratch)
        self._release(self._layout.sets[number].parity, row)
        self._on_row(number, row, right)

    def _decode(
        self,
        number: int,
        row: int,
        make: tuple[int, ...],
        parity: tuple[int, ...],
        scratch: _Scratch,
    ) -> bool:
        from regather.erasure import codec_for, strip_size  # most downloads never need it

        layout = self._layout
        erasure_set = layout.sets[number]
        k = len(erasure_set.data)
        codec = codec_for(k, len(erasure_set.parity))
        members = (*erasure_set.data, *erasure_set.parity)
        have = tuple(n for n, f in enumerate(members) if f in parity or (n < k and f not in make))
        want = tuple(n for n, f in enumerate(erasure_set.data) if f in make)
        length = layout.length(parity[0], row)
        made = scratch.made(len(want), length)
        strip = strip_size(k, length)
        inputs = scratch.inputs(len(have), strip)
        kept = [self._kept.get((members[n], row)) for n in have]
        lengths = [layout.length(members[n], row) for n in have]
        hashers = [new_hasher() for _ in want]
        sizes = [layout.length(members[n], row) for n in want]
        for start in range(0, length, strip):
            stop = min(start + strip, length)
            views = [
                here[start:stop] if here is not None else view[: stop - start]
                for here, view in zip(kept, inputs, strict=True)
            ]
            for n, here, own, view in zip(have, kept, lengths, views, strict=True):
                if here is None:
                    self._read(members[n], row, own, start, view)
            out = [buffer[start:stop] for buffer in made]
            codec.decode(have, views, want, out)
            for hasher, size, view in zip(hashers, sizes, out, strict=True):
                hasher.update(view[: max(0, size - start)])
        right = True
        for n, hasher, size, buffer in zip(want, hashers, sizes, made, strict=True):
            fragment, digest = members[n], hasher.digest()
            if digest != layout.hash_of(fragment, row):
                right = False
                continue
            self._destination.place(
                layout.number(fragment, row), layout.offset(fragment, row), buffer[:size], digest
            )
        return right

    def _read(self, fragment: int, row: int, length: int, start: int, view: memoryview) -> None:
        """Fill ``view`` with a strip of a piece in place, and zeros behind its end."""
        count = max(0, min(length - start, len(view)))
        if count:
            offset = self._layout.offset(fragment, row) + start
            self._destination.read(offset, view[:count])
        view[count:] = bytes(len(view) - count)
