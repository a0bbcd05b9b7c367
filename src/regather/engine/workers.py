"""The workers: a thread a connection, who is at which request, and who is idle."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from msgspec import Struct

from regather.engine.worker_pool import WorkerPool
from regather.planner import Start
from regather.transport import Connection

JOIN_SECONDS = 2.0
"""How long to wait for workers at the end; one may hang in a name look-up."""

IDLE_SECONDS = 60.0
"""After which a worker with nothing to do ends: a gateway has very many files."""


class Job(Struct):
    """A request as its worker sees it; ``end`` and ``cancelled`` change while it runs."""

    start: Start
    end: int
    cancelled: bool = False
    told: bool = False
    """The source knows already, before its turn."""
    piece: int = -1
    """The piece that is coming, where ranges are sent; -1: none, or all of a fragment."""
    received: int = 0
    """How many bytes of it were here when the request broke off."""


class Worker:
    """A thread with one connection to one source, kept for the next request."""

    def __init__(self, source: int) -> None:
        self.source = source
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.lock = threading.RLock()  # a file may be closed by the garbage collector
        self.job: Job | None = None
        self.following: Job | None = None
        """The job after this one, where it is known before this one ends."""
        self.connection: Connection | None = None
        self.at = 0
        """The piece that it is at, counted within its fragment."""
        self.buffer = memoryview(b"")
        """Takes the piece that is coming in, while a job runs."""

    def abort(self, job: Job) -> None:
        """Break off ``job`` if that is what the worker is at."""
        with self.lock:
            if self.job is job and self.connection is not None:
                self.connection.abort()

    def begin(self, job: Job, connect: Callable[[], Connection]) -> Connection:
        """Turn to ``job``, on the connection that is there or a new one; may be aborted now."""
        with self.lock:
            if self.connection is None:
                self.connection = connect()
            self.job = job
            if job.cancelled:
                # Cancelled before we got here: nobody could break off what had not begun.
                self.connection.abort()
            return self.connection

    def end(self) -> None:
        """Turn from the job: nobody can abort it any more."""
        with self.lock:
            self.job = None

    def close(self) -> None:
        """Close the connection, at the end of the thread."""
        with self.lock:
            if self.connection is not None:
                self.connection.close()


class Workers(WorkerPool[Worker]):
    """All workers, and the jobs in flight. To be called under the engine's lock, save the end."""

    def __init__(
        self,
        sources: int,
        work: Callable[[Worker], None],
        lock: AbstractContextManager[object],
        *,
        must: bool,
    ) -> None:
        """``work`` is what the thread of a worker does, until it gets None for a job.

        ``lock`` is the engine's. ``must``: without a thread nothing goes on.
        """
        super().__init__(sources, "regather", Worker, work)
        self._lock = lock
        self._must = must
        self.buffers: list[memoryview] = []
        """One for each request in flight, not for each worker: idle workers need none."""
        self.jobs: dict[int, tuple[Job, Worker]] = {}
        """By request: what is to be carried out, or is being so, and who does it."""

    def find(self, source: int) -> Worker | None:
        """An idle worker for a source, or a new one; None where there can be no more threads.

        Raises RuntimeError instead where there must be one.
        """
        try:
            return self.free(source)
        except RuntimeError:
            if self._must:
                raise
            return None

    def next_job(self, worker: Worker) -> Job | None:
        """Wait for it, in the worker's thread; None where that is to end, as when idle for long."""
        while True:
            try:
                return worker.jobs.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self.retire(worker):
                        if not self.members:
                            self.buffers.clear()
                        return None

    def is_behind(self, worker: Worker) -> bool:
        """Whether a worker has not come as far in its fragment as most of the others in theirs."""
        places = [other.at for _, other in self.jobs.values()]
        return 2 * sum(at > worker.at for at in places) >= len(places)

    def stop(self) -> None:
        """Break off every job, and let every worker end. When nothing is added any more."""
        for job, worker in list(self.jobs.values()):
            job.cancelled = True
            worker.abort(job)
        for worker in list(self.members.values()):
            worker.jobs.put(None)

    def forsake(self) -> None:
        """In a child process after a fork: what connections share with the parent's stays open."""
        for worker in list(self.members.values()):
            if worker.connection is not None:
                worker.connection.forsake()
