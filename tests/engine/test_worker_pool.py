"""Threads for sources: kept for the next request, but not thousands of them."""

from __future__ import annotations

import contextlib
import threading
from queue import SimpleQueue

import pytest

from regather.engine.worker_pool import MOST_IDLE, WorkerPool
from regather.engine.workers import Workers


class Member:
    def __init__(self, source: int) -> None:
        self.source = source
        self.jobs: SimpleQueue[object] = SimpleQueue()
        self.over = threading.Event()


def serve(member: Member) -> None:
    while member.jobs.get() is not None:
        pass
    member.over.set()


def test_of_thousands_of_idle_threads_few_are_kept() -> None:
    crew: WorkerPool[Member] = WorkerPool(1000, "test", Member, serve)
    members = [crew.free(source) for source in range(1000)]
    for member in members:
        crew.rest(member)
    for member in members[:-MOST_IDLE]:
        assert member.over.wait(30), "it should have ended"
    assert len(crew.members) == MOST_IDLE
    assert crew.free(999) is members[999]
    assert crew.free(0) is not members[0]
    for member in crew.members.values():
        member.jobs.put(None)
    crew.join(30)


@pytest.mark.parametrize("must", [True, False])
def test_no_more_threads(monkeypatch: pytest.MonkeyPatch, must: bool) -> None:
    """Readers wait for those that there are; a download cannot."""

    def failing(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    workers = Workers(1, lambda worker: None, threading.Lock(), must=must)
    monkeypatch.setattr(threading.Thread, "start", failing)
    with pytest.raises(RuntimeError) if must else contextlib.nullcontext():
        assert workers.find(0) is None
    assert not workers.members
