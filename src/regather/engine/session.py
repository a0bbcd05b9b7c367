"""Planner, workers and a piece store at work for any number of readers.

    read -> Want, Release -> planner -> workers -> store -> the future of a waiting piece -> read

It is the engine of downloads, with a planner whose demands come and go. Room in the store is
reserved before a piece is wanted. So the limit of the store holds, and the planner is told of each
piece that is dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from regather.engine.core import Engine
from regather.engine.listener import Listener
from regather.engine.rate_limit import RateLimiter
from regather.engine.reader_room import ROOM_SECONDS, PieceUnavailable, Reader, ReaderRoom, runs
from regather.engine.room_sizes import WINDOW_PIECES, ReaderShare, room_sizes
from regather.engine.tally import SourceTally
from regather.model import Layout, Source
from regather.planner import (
    Begin,
    Event,
    Evicted,
    Options,
    PieceDone,
    Planner,
    Release,
    Unavailable,
    Want,
)
from regather.planner.health import Health
from regather.store.base import PieceMissing
from regather.store.levels import store_of
from regather.store.memory import MemoryStore
from regather.tasks import Thread, interrupts_held
from regather.transport import Connection

if TYPE_CHECKING:
    from regather.engine.observer import Observer
    from regather.engine.shared_room import SharedRoom
    from regather.store.cached_file import CachedFile

_LOOK_SECONDS = 0.5
"""How often who waits for a piece is told so."""
_SOON_SECONDS = 0.02
"""How long the first who waits relies on workers alone: to start a thread takes time, too."""
_JOIN_SECONDS, _MOST_ASKED = 5.0, 1024

Parts = Mapping[int, Sequence[tuple[int, memoryview]]]
"""By the running number of a piece: places in it, and what is to be filled from there on."""


class Session(Listener):
    """Verified pieces of one file, for any number of threads. Close it."""

    _watch: Callable[[], None] | None = None
    _watch_seconds = 60.0
    _more: Callable[[Sequence[int]], bool] | None = None  # both as in Engine.run

    def __init__(
        self,
        layout: Layout,
        sources: Sequence[Source],
        connect: Callable[[str], Connection],
        *,
        connections: int,
        retries: int,
        max_requests: int,
        memory: int,
        limiter: RateLimiter | None = None,
        cache: CachedFile | None = None,
        tallies: Sequence[SourceTally] = (),
        observer: Observer | None = None,
        shared: SharedRoom | None = None,
    ) -> None:
        """Without ``shared``, it has ``memory`` bytes; ``connect``, ``observer``: see Engine."""
        self._layout = layout
        self._shared = shared
        self.tallies = list(tallies) or [SourceTally(source.url) for source in sources]
        self._sizes = sizes = shared.sizes(layout) if shared else room_sizes(layout, memory)
        self._planner = Planner(
            layout,
            [source.fragments for source in sources],
            Options(connections, max_requests, retries, max_rows=0 if shared else sizes.rows),
            live=True,
            more_sources=self._more is not None,
        )
        self._store = self._make_store(sizes.total, cache)
        found = cache.numbers() if cache is not None else []
        self._planner.already_done(layout.locate(n) for n in found if n < layout.data_pieces)
        share = shared.share if shared else ReaderShare(sizes.memory)
        self._room = ReaderRoom(layout, self._store, share, self._planner, self._release)
        self._numbers = count()
        self._aheads: dict[int, Reader] = {}
        self._engine = Engine(
            self._planner,
            layout,
            sources,
            self._room,
            connect,
            self.tallies,
            limiter=limiter,
            listener=self,
            observer=observer,
        )
        self._lock = self._room.lock = self._store.guard = self._engine.lock
        self._error: BaseException | None = None
        self._closed = False
        self.ended = threading.Event()
        """Set when all has ended after ``close``."""
        self._thread = Thread(self._run, name="regather-session", daemon=True)
        self._engine.post(Begin())
        self._store.on_dropped = self._dropped
        self._dropped(found)  # what was dropped in between

    def _make_store(self, limit: int, cache: CachedFile | None) -> MemoryStore:
        return store_of(self._layout, limit, cache, self._shared.budget if self._shared else None)

    def _start(self) -> None:
        """Start the engine's own thread: something takes its time. Raises OSError."""
        with interrupts_held(), self._lock:
            if self._thread.ident is None:
                self._thread.begin()

    def _run(self) -> None:
        try:
            self._engine.run(self._watch, self._watch_seconds, more=self._more)
        except BaseException as error:
            with self._lock:
                self.failed(error)
        finally:
            self.ended.set()

    @property
    def decoded(self) -> int:
        """Rows of erasure sets that were computed."""
        return self._engine.decoded

    @property
    def healths(self) -> Sequence[Health]:
        """What is known of each source."""
        return self._planner.sources

    def add_source(self, source: Source, tally: SourceTally | None = None) -> None:
        """Ask one more source; its tally may be kept elsewhere."""
        self.tallies.append(tally := tally or SourceTally(source.url))
        self._engine.add_source(source, tally)

    # -- readers --------------------------------------------------------------------------

    def read(
        self,
        parts: Parts,
        waits: Callable[[int], object] = lambda number: None,
        ahead: tuple[int, Sequence[int]] | None = None,
    ) -> None:
        """Fill all parts, of pieces in the order given; those that come next are fetched meanwhile.

        ``ahead`` are the number of a stream of reads, and the pieces that will probably be read in
        it after these. They are fetched in the background, and no others for that stream.
        ``waits`` is called at times with the number of a piece that does not come. Raises
        PieceUnavailable, and ValueError where it is closed meanwhile.
        """
        self._check()
        numbers = list(parts)
        at = 0
        while at < len(numbers) and self._copy(parts, numbers[at]):
            at += 1
        if at < len(numbers):
            window = self._sizes.window
            for _ in self._fetch(numbers[at:], partial(self._copy, parts), waits, window, ahead):
                pass
        elif ahead is not None:
            self._look_ahead(*ahead)

    def _fetch(
        self,
        numbers: Sequence[int],
        copy: Callable[[int], bool],
        waits: Callable[[int], object],
        window: int,
        ahead: tuple[int, Sequence[int]] | None = None,
        step: int = _MOST_ASKED,
        behind: int = 0,
    ) -> Iterator[None]:
        """Fetch pieces in order, by ``step``, of a ``window``; the last ``behind`` of them stay."""
        reader = Reader(next(self._numbers))
        step = min(step, max(1, window // 2))
        asked = freed = urgent = wanted = 0
        try:
            for at, number in enumerate(numbers):
                if asked - at <= window - step or self._room.waited_for:
                    if freed < (through := at - behind):
                        self._release(reader, numbers[freed:through])
                        freed = through
                    if asked < len(numbers):
                        new = numbers[asked : min(at + window, asked + _MOST_ASKED)]
                        asked += self._ask(reader, new, asked == at)
                if urgent < asked and urgent - at <= WINDOW_PIECES // 2:
                    near = min(asked, at + WINDOW_PIECES)
                    self._want(reader, numbers[urgent:near], urgent=True)
                    urgent, wanted = near, max(near, wanted)
                if wanted < asked:
                    self._want(reader, numbers[wanted:asked])
                    wanted = asked
                if not at and ahead is not None:
                    self._look_ahead(*ahead)
                while not copy(number):  # it is not there yet
                    self._wait(reader, number, waits)
                yield
        finally:
            with self._lock:
                self._room.leave(reader)
                self._release(reader, list(reader.held))

    def _copy(self, parts: Parts, number: int) -> bool:
        try:
            for at, into in parts[number]:
                self._store.read(number, at, into)
        except PieceMissing:
            return False
        return True

    def _ask(self, reader: Reader, numbers: Sequence[int], must: bool) -> int:
        """Hold as many pieces as there is room for, one at least if it ``must``; how many."""
        while True:
            with interrupts_held(), self._lock:
                self._check()
                taken = self._room.take(reader, numbers)
                if not taken and must:
                    self._room.queue(reader)
            if taken or not must:
                return taken
            reader.turn.wait(ROOM_SECONDS)

    def _want(self, reader: Reader, numbers: Sequence[int], *, urgent: bool = False) -> None:
        with interrupts_held(), self._lock:
            for start, end in runs(numbers):
                self._engine.post(Want(reader.number, start, end, urgent=urgent))

    def _wait(self, reader: Reader, number: int, waits: Callable[[int], object]) -> None:
        with self._lock:
            self._check()
            if number in reader.failed:
                raise PieceUnavailable(number, corrupt=reader.failed[number])
            future = self._store.wait(number)
        from concurrent.futures import CancelledError  # the store has imported it

        seconds = _SOON_SECONDS
        while not future.done():
            try:
                future.result(seconds)
            except TimeoutError:
                if self._thread.ident is None:
                    self._start()
                elif seconds == _LOOK_SECONDS:
                    waits(number)
                seconds = _LOOK_SECONDS
            except CancelledError:
                pass  # closed, or not to be had

    def _release(self, reader: Reader, numbers: Iterable[int]) -> None:
        with interrupts_held(), self._lock:
            for start, end in runs(self._room.free(reader, numbers)):
                self._engine.post(Release(reader.number, start, end))

    def _look_ahead(self, stream: int, numbers: Sequence[int]) -> None:
        """Want these pieces in the background for a stream, and no others."""
        reader = self._aheads.get(stream)
        if (reader.wanted if reader is not None else []) == numbers:
            return
        with interrupts_held(), self._lock:
            if self._closed or self._error is not None:
                return
            if stream not in self._aheads:
                self._aheads[stream] = Reader(next(self._numbers), background=True)
            reader = self._aheads[stream]
            kept = set(numbers)
            self._release(reader, [n for n in reader.held if n not in kept])
            reader.wanted = list(numbers)
            new = [n for n in numbers if n not in reader.held]
            self._want(reader, new[: self._room.take(reader, new)])

    def _dropped(self, numbers: Sequence[int]) -> None:
        with self._lock:
            gone = [number for number in sorted(numbers) if not self._store.has(number)]
            for start, end in runs(gone):
                self._engine.post(Evicted(start, end))

    def _check(self) -> None:
        if self._closed:
            raise ValueError("the file was closed")
        if self._error is not None:
            raise self._error

    # -- what the engine tells: see Listener -------------------------------------------------

    def settled(self, event: Event) -> Event:
        """A piece that found no room, or was dropped at once, is not done."""
        if not isinstance(event, PieceDone):
            return event
        number = self._engine.number_of(event)
        if number >= self._layout.data_pieces or self._store.has(number):
            return event
        return PieceDone(event.request, event.piece, placed=False)

    def unavailable(self, action: Unavailable) -> None:
        """Who waits for these pieces is told."""
        for number in range(action.start, action.end):
            self._room.fail(number, corrupt=action.corrupt)
            self._store.give_up(number)

    def failed(self, error: BaseException) -> None:
        """All reads raise from now on."""
        self._error = self._error or error
        self._store.cancel_waiting()

    # -- the end --------------------------------------------------------------------------

    def close(self) -> None:
        """Break off everything and end all threads."""
        if self._closed:
            return
        self._closed = True
        self._engine.end()
        self._store.cancel_waiting()
        # The garbage collector may close it in a thread of its own: that one ends by itself.
        own = isinstance(threading.current_thread(), Thread)
        if own:
            self._start()
        with interrupts_held():
            if self._thread.ident is None:
                self._run()  # which ends the workers
            elif not own:
                self._thread.join(_JOIN_SECONDS)
        self._store.close()  # at last: nothing is placed any more

    def forsake(self) -> None:
        """In a child process after a fork: let go of everything, and touch nothing of the parent.

        The threads are not here, and a lock may be held by one of them for ever.
        """
        self._closed = True
        self.ended.set()
        self._engine.forsake()
