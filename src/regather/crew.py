"""Threads that work for sources: each for one of them, kept for its next request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from regather.tasks import Thread, join_all


class Member(Protocol):
    """What a thread has in hand."""

    source: int


_M = TypeVar("_M", bound=Member)


class Crew(Generic[_M]):
    """Who there is, and who is idle. To be called under a lock of the caller's, save ``join``."""

    def __init__(
        self, sources: int, name: str, make: Callable[[int], _M], work: Callable[[_M], None]
    ) -> None:
        """``make`` makes a member for a source; ``work`` is what its thread does."""
        self._name = name
        self._make = make
        self._work = work
        self._idle: list[list[_M]] = [[] for _ in range(sources)]
        self._threads: list[Thread] = []
        self.members: list[_M] = []

    def free(self, source: int) -> _M:
        """An idle member for a source, or a new one."""
        if self._idle[source]:
            return self._idle[source].pop()
        member = self._make(source)
        self.members.append(member)
        name = f"{self._name}-{source}-{len(self.members)}"
        thread = Thread(self._work, (member,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)
        return member

    def rest(self, member: _M) -> None:
        """``member`` has nothing to do: ``free`` may give it."""
        self._idle[member.source].append(member)

    def join(self, seconds: float) -> None:
        """Wait for the other threads, together so long at most: one may hang in a look-up."""
        join_all(self._threads, seconds)
