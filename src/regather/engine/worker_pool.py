"""Threads that work for sources: each for one of them, kept for its next request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from regather.model import Layout
from regather.tasks import Thread, join_all


class PoolWorker(Protocol):
    """What a thread has in hand."""

    source: int
    jobs: SimpleQueue[Any]
    """What it is to do; None: no more, its thread ends."""


MOST_REQUESTS = 32
MOST_IDLE = 64
"""So many stay idle. Of more, as of thousands of sources, those idle for longest end."""

_M = TypeVar("_M", bound=PoolWorker)


def most_requests(layout: Layout, memory: int) -> int:
    """How many requests may be in flight: each has a buffer of one piece. At least 2."""
    return max(2, min(MOST_REQUESTS, memory // max(layout.largest_piece, 1)))


class WorkerPool(Generic[_M]):
    """Who there is, and who is idle. To be called under a lock of the caller's, save ``join``."""

    def __init__(
        self, sources: int, name: str, make: Callable[[int], _M], work: Callable[[_M], None]
    ) -> None:
        """``make`` makes a member for a source; ``work`` is what its thread does."""
        self._name = name
        self._make = make
        self._work = work
        self._idle: list[list[_M]] = [[] for _ in range(sources)]
        self._all_idle: OrderedDict[int, _M] = OrderedDict()
        """All of them, by identity, those that have been so for longest first."""
        self._threads: list[Thread] = []
        self._made = 0
        self.members: dict[int, _M] = {}
        """By identity."""

    def add_source(self) -> None:
        """One more source, with the next number."""
        self._idle.append([])

    def free(self, source: int) -> _M:
        """An idle member for a source, or a new one. Raises RuntimeError: no more threads."""
        if self._idle[source]:
            member = self._idle[source].pop()
            del self._all_idle[id(member)]
            return member
        member = self._make(source)
        self._made += 1
        if self._made % MOST_IDLE == 0:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
        name = f"{self._name}-{source}-{self._made}"
        thread = Thread(self._work, (member,), name=name, daemon=True)
        thread.start()
        self.members[id(member)] = member
        self._threads.append(thread)
        return member

    def rest(self, member: _M) -> None:
        """``member`` has nothing to do: ``free`` may give it."""
        self._idle[member.source].append(member)
        self._all_idle[id(member)] = member
        if len(self._all_idle) > MOST_IDLE:
            oldest = next(iter(self._all_idle.values()))
            self.retire(oldest)
            oldest.jobs.put(None)

    def retire(self, member: _M) -> bool:
        """Forget an idle member, whose thread ends; False where it is to work."""
        if self._all_idle.pop(id(member), None) is None:
            return False
        self._idle[member.source].remove(member)
        del self.members[id(member)]
        return True

    def join(self, seconds: float) -> None:
        """Wait for the other threads, together so long at most: one may hang in a look-up."""
        join_all(self._threads, seconds)
