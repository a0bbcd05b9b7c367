"""How one source is asked, read and written: with patience, and until told to stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from regather.backoff import STORES
from regather.errors import RegatherError
from regather.tasks import run_all
from regather.transport import Failure, RequestFailed, TransportOptions, locate, open_connection
from regather.transport.stores.base import ReadInto, Stat, Store
from regather.transport.stores.open import open_hosted
from regather.upkeep.report import CopyState

__all__ = ["CopyReader", "Desk", "Patience", "crew", "state_of"]

_STEP = 1 << 18
_ALIVE = 4 << 10
"""Bytes after which the failures before are forgiven."""
_MOST_THREADS = 32
_log = logging.getLogger("regather.stores")
_T = TypeVar("_T")


class Patience:
    """How often to try again, and whether to go on at all; shared by all threads of a call."""

    def __init__(self, retries: int) -> None:
        """``retries`` are those in a row that bring nothing."""
        self.retries = retries
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._open: set[Callable[[], None]] = set()

    def end(self) -> None:
        """Make all that is under way, in any thread, fail soon with Failure.ABORTED."""
        self._ended.set()
        with self._lock:
            for abort in self._open:
                abort()

    def look(self) -> None:
        """Raise RequestFailed (ABORTED) once ended."""
        if self._ended.is_set():
            raise RequestFailed(Failure.ABORTED, "aborted")

    def watch(self, abort: Callable[[], None]) -> None:
        """Have ``abort`` called by end(), until unwatch()."""
        with self._lock:
            self._open.add(abort)
        self.look()

    def unwatch(self, abort: Callable[[], None]) -> None:
        """The opposite of watch()."""
        with self._lock:
            self._open.discard(abort)

    def bear(self, failed: RequestFailed, attempt: int) -> None:
        """Wait before another try; raise ``failed`` where that is pointless or was too often."""
        self.look()
        if failed.failure.lasting or failed.failure is Failure.ABORTED or attempt >= self.retries:
            raise failed
        pause = STORES.pause(attempt, failed.retry_after)
        if pause is None:
            raise failed
        _log.info("%s; next attempt in %.1f s", failed.what, pause)
        self._ended.wait(pause)
        self.look()


def state_of(failed: RequestFailed) -> CopyState:
    """What a failed request says of the fragment that was asked for."""
    if failed.failure is Failure.MISSING:
        return CopyState.MISSING
    return CopyState.REFUSED if failed.failure is Failure.FORBIDDEN else CopyState.UNREACHABLE


class Desk:
    """A source as a store, asked again where it fails; belongs to one thread. Close it."""

    def __init__(self, url: str, options: TransportOptions, patience: Patience) -> None:
        self._store: Store = open_hosted(url, options)
        self._patience = patience
        patience.watch(self._store.abort)

    def stat(self, name: str) -> Stat | None:
        """See Store.stat."""
        return self._again(lambda: self._store.stat(name))

    def put(self, name: str, size: int, read: ReadInto, blake3: bytes) -> None:
        """See Store.put; replaces what is there.

        In a thread of its own, so that an interruption ends it in order wherever it is.
        """
        failures: list[RequestFailed] = []

        def work() -> None:
            try:
                self._again(lambda: self._store.put(name, size, read, blake3))
            except RequestFailed as failed:
                failures.append(failed)  # of this source alone: nothing else ends

        run_all([work], name="store", stop=self._patience.end)
        if failures:
            raise failures[0]

    def read_whole(self, name: str, limit: int) -> bytes | None:
        """A small object; None where there is none, or one larger than ``limit`` bytes."""
        found = self.stat(name)
        if found is None or found.size > limit:
            return None
        return self._again(lambda: b"".join(map(bytes, self._store.read(name, 0, found.size))))

    def close(self) -> None:
        """Free everything."""
        self._patience.unwatch(self._store.abort)
        self._store.close()

    def _again(self, call: Callable[[], _T]) -> _T:
        attempt = 0
        while True:
            try:
                return call()
            except RequestFailed as failed:
                self._patience.bear(failed, attempt)
                attempt += 1


class CopyReader:
    """Reads one object of a source, mostly onwards, on a connection of its own. Close it."""

    def __init__(
        self, url: str, name: str, size: int, options: TransportOptions, patience: Patience
    ) -> None:
        """``size`` is how many bytes the object has there."""
        self._target = locate(url, name)
        self._size = size
        self._patience = patience
        self._connection = open_connection(url, options)
        patience.watch(self._connection.abort)
        self._at = self._stop = 0

    def read(self, offset: int, into: memoryview, until: int) -> None:
        """Fill ``into`` from ``offset`` on; ``until`` is the end of what will be wanted next.

        Goes on with the open answer where that fits. Raises RequestFailed.
        """
        if offset + len(into) > self._size:
            raise RequestFailed(Failure.MISSING, f"{self._target}: ends before")
        attempt = 0
        done = failed_at = 0
        while done < len(into):
            self._patience.look()
            at = offset + done
            try:
                if self._at != at or self._stop < offset + len(into):
                    self._request(at, min(max(until, offset + len(into)), self._size))
                count = self._connection.receive(into[done : done + _STEP])
            except RequestFailed as failed:
                self._drop()
                # Bytes in between show that it is alive, a few drops do not.
                attempt = 0 if done - failed_at >= _ALIVE else attempt
                failed_at = done
                self._patience.bear(failed, attempt)
                attempt += 1
                continue
            done += count
            self._at += count
        if self._at == self._stop:
            self._drop()

    def _request(self, start: int, stop: int) -> None:
        self._drop()
        ranged = self._connection.request(self._target, start, stop, None)
        self._at = 0
        if not ranged and start:
            # A source without ranges sends all from the first byte.
            waste = memoryview(bytearray(min(start, _STEP)))
            while self._at < start:
                self._patience.look()
                self._at += self._connection.receive(waste[: min(len(waste), start - self._at)])
        self._at, self._stop = start, stop

    def _drop(self) -> None:
        if self._stop:
            self._connection.finish()
        self._at = self._stop = 0

    def close(self) -> None:
        """Free everything."""
        self._patience.unwatch(self._connection.abort)
        self._connection.close()


def crew(
    jobs: int, work: Callable[[int], None], patience: Patience, tick: Callable[[], None], name: str
) -> None:
    """Run ``work(0)`` to ``work(jobs - 1)``, most of them at once, a thread each.

    ``tick`` is called in this thread, several times a second, meanwhile. Where it raises, or a
    job does, everything is ended, and that raised.
    """
    try:
        run_all(
            [partial(work, number) for number in range(jobs)],
            name=name,
            stop=patience.end,
            tick=tick,
            at_once=_MOST_THREADS,
        )
    except RequestFailed as failed:
        if failed.failure is Failure.ABORTED:
            raise RegatherError("stopped") from None
        raise
