"""The engine: tells the planner what happened, and has carried out what it answers."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from regather.engine.decoder import Decoder
from regather.engine.ending import Ending
from regather.engine.first_write_wins import Delivered
from regather.engine.rate_limit import RateLimiter
from regather.engine.tally import SourceTally
from regather.engine.transfer import Transfers
from regather.engine.workers import JOIN_SECONDS, Job, Worker, Workers
from regather.model import Layout, Source
from regather.planner import (
    AddSource,
    Answered,
    Begin,
    Blame,
    Cancel,
    Cancelled,
    Decode,
    Decoded,
    DecodeFailed,
    Event,
    Failed,
    Finished,
    GiveUp,
    NeedSources,
    NoMoreSources,
    PieceCorrupt,
    PieceDone,
    Planner,
    Progress,
    RangeIgnored,
    Restart,
    Start,
    Tick,
    Trim,
    Unavailable,
)
from regather.tasks import interrupts_held
from regather.transport import Connection, Failure, RequestFailed

if TYPE_CHECKING:
    from regather.engine.listener import Listener
    from regather.engine.observer import Observer
    from regather.store.base import PieceStore

_LOOK_SECONDS = 0.1
"""How long a row may wait for workers to compute it, and an interrupt."""


class Engine:
    """Has the planner's orders carried out: for a download to its end, or for readers."""

    def __init__(
        self,
        planner: Planner,
        layout: Layout,
        sources: Sequence[Source],
        destination: PieceStore,
        connect: Callable[[str], Connection],
        tallies: Sequence[SourceTally],
        *,
        limiter: RateLimiter | None = None,
        delivered: Delivered | None = None,
        listener: Listener | None = None,
        observer: Observer | None = None,
    ) -> None:
        """``connect`` makes a connection for a source's URL; ``tallies`` has, by source, its tally.

        ``delivered`` is called in the workers' threads, where there is no hash to verify with.
        ``listener`` is who serves demands that come and go, from a store in memory.
        ``observer`` records what sources do.
        """
        self._planner = planner
        self._layout = layout
        self._sources = list(sources)
        self._tallies = list(tallies)
        self._connect = connect
        self.decoded = 0
        """Rows of erasure sets that were computed."""
        self._listener = listener
        ways = self._row_ended, self._fail, self._through
        memory = listener is not None and listener.in_memory
        self._decoder = Decoder(layout, destination, *ways, in_memory=memory)
        self.lock = threading.Condition()
        """Under which all is decided; reentrant."""
        self._workers = Workers(len(sources), self._work, self.lock, must=listener is None)
        self._transfers = Transfers(
            planner,
            layout,
            self._sources,
            destination,
            self._tallies,
            decoder=self._decoder,
            workers=self._workers,
            lock=self.lock,
            tell=self.post,
            limiter=limiter,
            delivered=delivered,
            later=(lambda number: False) if listener is None else listener.is_for_later,
            observer=observer,
        )
        self._ending: Ending | None = None
        self._needed: tuple[int, ...] = ()
        """Fragments that the planner has just asked further sources for."""
        self._error: BaseException | None = None
        self._stopping = False
        self._sleeps_until = -math.inf
        """Until when ``run`` sleeps if nothing wakes it."""

    @property
    def done_bytes(self) -> int:
        """Bytes of the file, verified and in place by this run."""
        return self._planner.done_bytes

    # -- the caller's thread --------------------------------------------------------------

    def add_source(self, source: Source, tally: SourceTally) -> None:
        """Ask one more source, which gets the next number. For any thread, while it runs."""
        with self.lock:
            self._sources.append(source)
            self._tallies.append(tally)
            self._workers.add_source()
            self.post(AddSource(source.fragments))

    def run(
        self,
        watch: Callable[[], None] | None = None,
        watch_seconds: float = _LOOK_SECONDS,
        *,
        more: Callable[[Sequence[int]], bool] | None = None,
    ) -> Ending:
        """Download until all is there or nothing more can be had.

        ``watch`` is called every ``watch_seconds`` in this thread; what it raises ends the run.
        ``more`` is called with fragments (positions) that the planner needs sources for, if it was
        made to ask for them: it may call ``add_source``, and returns whether it did. Raises
        StorageError where the disk fails. Whatever happens, no worker is left running.
        """
        with interrupts_held() as interrupts:
            try:
                self.post(Begin())
                while self.wait(watch_seconds):
                    needed, self._needed = self._needed, ()
                    if needed and not (more and more(needed)):
                        self.post(NoMoreSources())
                    if watch is not None:
                        watch()
                    interrupts.check()
            finally:
                self._stop()
        if self._error is not None:
            raise self._error
        assert self._ending is not None
        return self._ending

    def number_of(self, event: PieceDone) -> int:
        """The running number of a piece that came."""
        return self._layout.number(self._workers.jobs[event.request][0].start.fragment, event.piece)

    def end(self) -> None:
        """End ``run``, and decide nothing any more. For any thread, and for one that decides."""
        with self.lock:
            self._stopping = True
            self._ending = self._ending or Ending()
            self.lock.notify_all()

    def forsake(self) -> None:
        """In a child process after a fork: touch nothing of the parent's threads."""
        self._stopping = True
        self._workers.forsake()

    @property
    def rests(self) -> bool:
        """Whether nothing takes time: no thread works, and the planner waits for nothing."""
        return not (self._workers.members or self._decoder.waiting or self._planner.wake_at)

    def wait(self, seconds: float) -> bool:
        """Wait, and do what is due then; False where the download has ended."""
        with self.lock:
            if self._ending or self._error:
                return False
            now = time.monotonic()
            until = min(now + seconds, self._planner.wake_at or math.inf)
            if self._needed:
                until = now
            elif self._decoder.waiting:
                until = min(until, now + _LOOK_SECONDS)
            self._sleeps_until = until
            self.lock.wait(max(0.0, until - now))
            self._sleeps_until = -math.inf
            due = (self._planner.wake_at or math.inf) <= time.monotonic()
        self._decoder.look_after(_LOOK_SECONDS)
        if due:
            self.post(Tick())
        return True

    def _stop(self) -> None:
        with self.lock:
            self._stopping = True
        self._workers.stop()
        self._decoder.stop()
        self._workers.join(JOIN_SECONDS)
        self._decoder.join(JOIN_SECONDS)

    # -- deciding -------------------------------------------------------------------------

    def post(self, event: Event, worker: Worker | None = None) -> Job | None:
        """Tell the planner, carry out what it answers; return a next job for ``worker``.

        ``worker`` is given where it has nothing to do after this event: it gets the first new
        request for its source, or is listed as idle.
        """
        mine: Job | None = None
        if worker is not None:
            mine, worker.following = worker.following, None
        orders: list[tuple[Worker, Job]] = []
        refused: list[int] = []
        aborts: list[tuple[Job, Worker]] = []
        decodes: list[Decode] = []
        with self.lock:
            if self._stopping:
                return None
            if self._listener is not None:
                event = self._listener.settled(event)
            now = time.monotonic()
            actions = self._planner.handle(event, now)
            if worker is not None:
                self._workers.jobs.pop(getattr(event, "request", -1), None)
            for action in actions:
                match action:
                    case Start():
                        job = Job(action, action.end)
                        if action.behind >= 0:
                            taker = self._workers.jobs[action.behind][1]
                            taker.following = job
                        elif worker is not None and mine is None and worker.source == action.source:
                            mine, taker = job, worker
                        elif (found := self._workers.find(action.source)) is not None:
                            orders.append((taker := found, job))
                        else:
                            refused.append(action.request)
                            continue
                        self._workers.jobs[action.request] = (job, taker)
                    case Cancel():
                        if entry := self._workers.jobs.get(action.request):
                            entry[0].cancelled = True
                            aborts.append(entry)
                    case Trim() | Restart():
                        if entry := self._workers.jobs.get(action.request):
                            entry[0].end = action.end
                    case Decode():
                        decodes.append(action)
                    case NeedSources():
                        self._needed = action.fragments
                    case Finished():
                        self._ending = Ending()
                    case GiveUp():
                        self._ending = Ending(action.fragments, action.corrupt)
                    case Unavailable():
                        if self._listener is not None:
                            self._listener.unavailable(action)
            if worker is not None and mine is None:
                self._workers.rest(worker)
            if self._listener is not None:
                self._listener.decided()
            due = self._planner.wake_at or math.inf
            if decodes:  # somebody has to look after them
                due = min(due, now + _LOOK_SECONDS)
            if self._ending or self._needed or due < self._sleeps_until:
                self.lock.notify_all()
        for taker, new in orders:
            taker.jobs.put(new)
        for job, victim in aborts:
            victim.abort(job)
        for request in refused:
            self.post(Failed(request, Blame.BUSY))
        # After these a worker is between two pieces; where few work, computing is for others.
        by_callers = not isinstance(event, Begin | Tick | Progress | Answered | RangeIgnored)
        by_callers = by_callers and len(self._workers.jobs) > self._decoder.most_threads
        for order in decodes:
            self._decoder.submit(
                order.set, order.row, order.make, order.parity, by_callers=by_callers
            )
        return mine

    def _row_ended(self, number: int, row: int, right: bool | None) -> None:
        with self.lock:
            self.decoded += bool(right)
        self.post(Decoded(number, row) if right else DecodeFailed(number, row, right is None))

    def _through(self, fragment: int, piece: int) -> bool:
        if self._planner.is_done(fragment, piece):
            return True
        with self.lock:
            return not self._planner.is_wanted(fragment, piece)

    def _fail(self, error: BaseException) -> None:
        with self.lock:
            self._error = self._error or error
            self.lock.notify_all()
            if self._listener is not None:
                self._listener.failed(error)

    # -- carrying out ---------------------------------------------------------------------

    def _work(self, worker: Worker) -> None:
        try:
            while (job := self._workers.next_job(worker)) is not None:
                following: Job | None = job
                while following is not None:
                    following = self._serve(worker, following)
        except BaseException as error:
            self._fail(error)
        finally:
            worker.close()

    def _serve(self, worker: Worker, job: Job) -> Job | None:
        """Carry out one request; return the next one for this worker."""
        url = self._sources[worker.source].url
        connection = worker.begin(job, lambda: self._connect(url))
        broken = False
        with contextlib.suppress(IndexError):  # the one that was used last is in the cache
            worker.buffer = self._workers.buffers.pop()
        try:
            event = self._transfers.carry_out(worker, connection, job)
        except RequestFailed as error:
            event = self._transfers.failed(worker, job, error)
            # Where an object is not there the connection is as good as before.
            broken = error.failure is not Failure.MISSING
        finally:
            # Before the planner hears of the end, for it may begin another request at once.
            if worker.buffer:
                self._workers.buffers.append(worker.buffer)
                worker.buffer = memoryview(b"")
            worker.end()
        if job.cancelled or broken or isinstance(event, PieceCorrupt | Cancelled):
            connection.close()
            worker.connection = None
        following = self.post(event, worker) if not self._stopping else None
        self._decoder.catch_up(most=1, last=following is None)
        return following
