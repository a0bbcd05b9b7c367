"""Where an open file is read next, also by programs that seek and read in two steps at once."""

from __future__ import annotations

import errno
import os
import threading


class Position:
    """The position of a file of ``size`` bytes, common to all threads.

    duckdb (seen in 2.0.1) gives one file to several threads of its own. Each calls ``seek``
    and then ``read``. If another comes in between, the read is of another place, and the
    query has a wrong result. So once a thread that Python has not started has moved the position,
    each thread reads where it moved it itself. A read without such a move is from the common
    position, and ends these claims: then the threads take turns.
    """

    def __init__(self, at: int, size: int) -> None:
        self.at = at
        self._size = size
        self._foreign = False
        self._claims: dict[int, int] = {}
        self._lock = threading.Lock()

    def seek(self, offset: int, whence: int) -> int:
        """Move the position; returns it. Raises ValueError and OSError (EINVAL) as files do."""
        thread = threading.current_thread()
        with self._lock:
            base = {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self._size}.get(whence)
            if base is None:
                raise ValueError(f"invalid whence: {whence}")
            if base + offset < 0:
                raise OSError(errno.EINVAL, f"negative position: {base + offset}")
            self.at = base + offset
            self._foreign |= isinstance(thread, threading._DummyThread)
            self._claims[threading.get_ident()] = self.at
            return self.at

    def take(self, size: int) -> tuple[int, int]:
        """Move the position over up to ``size`` bytes; returns (where it was, how many)."""
        with self._lock:
            claim = self._claims.pop(threading.get_ident(), None)
            if claim is None:
                self._claims.clear()
            start = claim if self._foreign and claim is not None else self.at
            count = max(0, min(size, self._size - start))
            self.at = start + count
            return start, count
