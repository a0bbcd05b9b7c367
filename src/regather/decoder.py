"""Decodes rows while a download goes on: reads what is in place, computes what is missing.

The inputs are read back from the destination, mostly out of the system's cache, in strips that
stay in the processor's; what comes out is verified like any received piece before it is placed.
Memory: one piece a missing fragment and a few strips, for each of the threads.
"""

from __future__ import annotations

import functools
import os
import queue
import threading
from collections.abc import Callable

from regather.digest import new_hasher
from regather.erasure import Codec, make_codec
from regather.model import Layout
from regather.store import Destination

_ROW_STRIPS = 2 << 20
_MOST_STRIP = 256 << 10
_MOST_THREADS = 4
_OnRow = Callable[[int, int, bool], None]


class Decoder:
    """Threads that compute rows; none runs before there is something to do."""

    def __init__(
        self,
        layout: Layout,
        destination: Destination,
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
        self._waiting = 0
        self._lock = threading.Lock()
        self._stopping = False
        self._codec = functools.cache(make_codec)

    def submit(self, number: int, row: int, make: tuple[int, ...], parity: tuple[int, ...]) -> None:
        """Compute the pieces of ``make`` in a row, soon, with these parity pieces."""
        with self._lock:
            self._waiting += 1
            most = min(_MOST_THREADS, os.cpu_count() or 1)
            if self._waiting > len(self._threads) < most:
                name = f"regather-decode-{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
        self._orders.put((number, row, make, parity))

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
                number, row, make, parity = order
                right = self._decode(number, row, make, parity)
                with self._lock:
                    self._waiting -= 1
                self._on_row(number, row, right)
        except BaseException as error:
            self._on_error(error)

    def _decode(
        self, number: int, row: int, make: tuple[int, ...], parity: tuple[int, ...]
    ) -> bool:
        layout = self._layout
        erasure_set = layout.sets[number]
        k = len(erasure_set.data)
        codec: Codec = self._codec(k, len(erasure_set.parity))
        members = (*erasure_set.data, *erasure_set.parity)
        have = tuple(n for n, f in enumerate(members) if f in parity or (n < k and f not in make))
        want = tuple(n for n, f in enumerate(erasure_set.data) if f in make)
        length = layout.length(parity[0], row)
        made = [memoryview(bytearray(length)) for _ in want]
        strip = min(length, max(16 << 10, min(_MOST_STRIP, _ROW_STRIPS // k & ~0xFFF)))
        inputs = [memoryview(bytearray(strip)) for _ in have]
        lengths = [layout.length(members[n], row) for n in have]
        hashers = [new_hasher() for _ in want]
        sizes = [layout.length(members[n], row) for n in want]
        for start in range(0, length, strip):
            stop = min(start + strip, length)
            views = [view[: stop - start] for view in inputs]
            for n, own, view in zip(have, lengths, views, strict=True):
                count = max(0, min(own - start, len(view)))
                if count:
                    offset = layout.offset(members[n], row) + start
                    self._destination.read(offset, view[:count])
                view[count:] = bytes(len(view) - count)
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
