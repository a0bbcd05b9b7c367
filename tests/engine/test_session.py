"""Readers of one session over real sockets: each gets its pieces, within the limit of the store."""

from __future__ import annotations

import errno
import os
import random
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from regather.engine import workers
from regather.engine.reader_room import PieceUnavailable
from regather.engine.session import Session
from regather.engine.shared_room import SharedRoom
from regather.engine.steps import SteppedSession
from regather.model import Source
from regather.store import disk_cache, extents
from regather.store.cached_file import CachedFile
from regather.store.disk_cache import DiskCache
from regather.transport import TransportOptions, open_connection
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE, wait_until
from tests.support.small import PIECE, Small, small

AnySession = TypeVar("AnySession", bound=Session)
SIZES = [40 * PIECE, 40 * PIECE - 5]


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, Path]:
    """Two fragments and their parity, each in a folder of its own."""
    part, folder = small(SIZES, parity=1), tmp_path_factory.mktemp("session")
    part.write(folder, {"1": [1], "2": [2], "3": [3]})
    return part, folder


@pytest.fixture
def urls(coded: tuple[Small, Path], hosting: Hosting) -> list[str]:
    return [hosting.serve(coded[1] / name).url for name in "123"]


def opened(
    part: Small, urls: list[str], pieces: int, cache: CachedFile | None = None
) -> closing[Session]:
    """A session with room for so many pieces of readers."""
    return closing(made(Session, part, urls, pieces, cache))


def made(
    kind: type[AnySession],
    part: Small,
    urls: list[str],
    pieces: int,
    cache: CachedFile | None = None,
    shared: SharedRoom | None = None,
) -> AnySession:
    options = TransportOptions(timeout=20)
    return kind(
        part.manifest.layout,
        [Source(url) for url in urls],
        lambda url: open_connection(url, options),
        connections=4,
        retries=1,
        max_requests=16,
        memory=pieces * PIECE,
        cache=cache,
        shared=shared,
    )


def read(session: Session, part: Small, numbers: list[int], **how: object) -> None:
    """Read pieces whole, and compare them."""
    layout = part.manifest.layout
    into = {n: memoryview(bytearray(layout.length_of(n))) for n in numbers}
    session.read({n: [(0, view)] for n, view in into.items()}, **how)  # type: ignore[arg-type]
    for number, view in into.items():
        fragment, piece = layout.locate(number)
        start = piece * PIECE
        content = part.content[layout.fragments[fragment].name]
        assert view == content[start : start + len(view)]


@pytest.mark.parametrize("lost", [False, True])
def test_more_readers_than_there_is_room_for(
    coded: tuple[Small, Path], urls: list[str], lost: bool
) -> None:
    """Also where every piece of a fragment has to be computed."""
    part = coded[0]
    with opened(part, urls[1:] if lost else urls, 3) as session:
        many_readers(part, session)
        assert bool(session.decoded) == lost


def many_readers(part: Small, session: Session) -> None:
    """Thirty of them, who read one or two pieces at a time, anywhere."""
    failures: list[BaseException] = []
    store = session._store

    def reader(seed: int) -> None:
        rng = random.Random(seed)
        try:
            for _ in range(12):
                first = rng.randrange(78)
                read(session, part, list(range(first, first + rng.choice((1, 1, 2)))))
                assert store.used <= store.limit
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=reader, args=(seed,)) for seed in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
        assert not thread.is_alive()
    assert failures == []
    assert not session._room._holders, "nobody reads, but pieces are held"


def test_who_waits_for_room_longest_gets_it_first(
    coded: tuple[Small, Path], urls: list[str]
) -> None:
    with closing(made(SteppedSession, coded[0], urls, 2)) as session:
        first, second, third = (session.reader() for _ in range(3))
        assert session.want(first, [0, 1], must=True) == 2
        assert session.want(second, [2], must=True) == 0
        session.release(first, [0])
        assert second.turn.is_set()
        assert session.want(third, [3], must=True) == 0, "the room is for the second"
        assert session.want(second, [2], must=True) == 1
        session.release(first, [1])
        assert third.turn.is_set()
        assert session.want(third, [3], must=True) == 1


def test_read_ahead_gives_way(coded: tuple[Small, Path], urls: list[str]) -> None:
    with opened(coded[0], urls, 4) as session:
        read(session, coded[0], [0], ahead=(0, [1, 2, 3]))
        assert {1, 2, 3} <= session._room._holders.keys()
        read(session, coded[0], list(range(50, 60)))
        read(session, coded[0], [1, 2, 3])


def test_a_source_that_comes_is_asked(coded: tuple[Small, Path], urls: list[str]) -> None:
    with opened(coded[0], urls[1:2], 4) as session:
        with pytest.raises(PieceUnavailable) as caught:
            read(session, coded[0], [5])
        assert (caught.value.number, caught.value.corrupt) == (5, False)
        session.add_source(Source(urls[0]))
        read(session, coded[0], [5])


def test_what_is_there_costs_nothing(coded: tuple[Small, Path], urls: list[str]) -> None:
    with opened(coded[0], urls, 8) as session:
        read(session, coded[0], [5, 6])
        received = sum(tally.received for tally in session.tallies)
        for numbers in ([5], [6], [5, 6], [6, 5]):
            read(session, coded[0], numbers)
        assert sum(tally.received for tally in session.tallies) == received


def test_who_waits_when_it_is_closed(coded: tuple[Small, Path], hosting: Hosting) -> None:
    url = hosting.serve(coded[1] / "1", faults=["stall"]).url
    caught: list[BaseException] = []
    waits = threading.Event()
    with opened(coded[0], [url], 4) as session:

        def reader() -> None:
            try:
                read(session, coded[0], [0], waits=lambda number: waits.set())
            except BaseException as error:
                caught.append(error)

        thread = threading.Thread(target=reader)
        thread.start()
        assert waits.wait(30)
    thread.join(30)
    assert [type(error) for error in caught] == [ValueError]
    with pytest.raises(ValueError, match="closed"):
        read(session, coded[0], [0])


# -- above a disk cache -----------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[DiskCache]:
    with closing(DiskCache(tmp_path / "cache", 64 << 20, free_share=0)) as made:
        yield made


def cached(part: Small, cache: DiskCache) -> CachedFile:
    return cache.open(part.manifest.layout, bytes.fromhex(part.manifest.digest))


def received(session: Session) -> int:
    return sum(tally.received for tally in session.tallies)


def test_what_is_on_the_disk_is_not_fetched_again(
    coded: tuple[Small, Path], urls: list[str], cache: DiskCache
) -> None:
    part = coded[0]
    for first in (True, False):
        with opened(part, urls, 4, cached(part, cache)) as session:
            read(session, part, list(range(80)))
            assert bool(received(session)) == first
        cache.settle()
    folder = cache.folder
    cache.close()
    with (
        closing(DiskCache(folder, 64 << 20, free_share=0)) as again,
        opened(part, [], 4, cached(part, again)) as session,
    ):
        read(session, part, list(range(80)))


def test_what_is_wrong_on_the_disk_is_fetched(
    coded: tuple[Small, Path], urls: list[str], cache: DiskCache
) -> None:
    part = coded[0]
    with opened(part, urls, 4, cached(part, cache)) as session:
        read(session, part, list(range(80)))
    folder = cache.folder
    cache.close()
    for path in folder.rglob("[0-9]*"):
        if path.is_file():
            with path.open("r+b") as file:
                file.seek(4096 + 5 * PIECE + 7)
                file.write(b"wrong bytes")
    with closing(DiskCache(folder, 64 << 20, free_share=0)) as again:
        found = cached(part, again)
        claimed = len(found.numbers())
        with opened(part, urls, 4, found) as session:
            read(session, part, list(range(80)))
            assert 0 < received(session) < 5 * PIECE
            again.settle()
            assert len(found.numbers()) == claimed == 80


def test_rows_are_computed_from_what_is_on_the_disk(
    coded: tuple[Small, Path], urls: list[str], cache: DiskCache
) -> None:
    part = coded[0]
    with opened(part, urls[:1], 4, cached(part, cache)) as session:
        read(session, part, list(range(40)))
    with opened(part, urls[2:], 4, cached(part, cache)) as session:
        read(session, part, list(range(40, 80)))
        wait_until(lambda: session.decoded == 40)  # counted after the pieces are there
        read(session, part, list(range(40)))


def test_more_readers_than_there_is_room_for_on_the_disk(
    coded: tuple[Small, Path], urls: list[str], tmp_path: Path
) -> None:
    part = coded[0]
    limit = 20 * PIECE
    with closing(DiskCache(tmp_path, limit, free_share=0, extent=2 * PIECE)) as small:
        for sources in (urls, urls[1:]):
            with opened(part, sources, 3, cached(part, small)) as session:
                many_readers(part, session)
                assert small.used <= limit
                small.settle()
                assert not any(extent.pins for extent in small.extents._extents.values())
        assert small.tally.evicted_bytes["size"]


def test_a_disk_that_fails_all_the_time(
    coded: tuple[Small, Path],
    urls: list[str],
    cache: DiskCache,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    part = coded[0]
    monkeypatch.setattr(disk_cache, "_PAUSE_SECONDS", 0)

    def failing(*arguments: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(extents, "store", failing)
    with opened(part, urls, 4, cached(part, cache)) as session:
        many_readers(part, session)
        read(session, part, list(range(80)))
    assert len(caplog.messages) == 1
    assert cache.used == 0


def test_a_request_that_no_thread_can_be_had_for_is_made_again(
    coded: tuple[Small, Path], urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one source alone: nobody else fetches the piece meanwhile."""
    start, failed = threading.Thread.start, threading.Event()

    def failing(thread: threading.Thread) -> None:
        if re.match(r"regather-\d", thread.name) and not failed.is_set():
            failed.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    with closing(made(SteppedSession, coded[0], urls[:1], 40)) as session:
        monkeypatch.setattr(threading.Thread, "start", failing)
        reader = session.reader()
        assert session.want(reader, [0]) == 1
        session.coming(reader, 0).result(PATIENCE)
        assert failed.is_set()


def test_idle_threads_end(
    coded: tuple[Small, Path], urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a gateway of a thousand files has threads and buffers for each."""
    part = coded[0]
    monkeypatch.setattr(workers, "IDLE_SECONDS", 0.05)
    with opened(part, urls, 100) as session:
        crew = session._engine._workers
        for numbers in ([0, 1, 2], [50, 51]):
            read(session, part, numbers)
            wait_until(lambda: not crew.members, what="the end of the threads")
            assert not crew.buffers


def test_of_a_file_that_nobody_reads_no_thread_is_left(
    coded: tuple[Small, Path], urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(Session, "_watch_seconds", 0.05)
    with closing(made(SteppedSession, coded[0], urls, 100)) as session:
        reader = session.reader()
        for numbers in ([0, 1, 2], [50, 51]):
            assert session.want(reader, numbers) == len(numbers)
            for number in numbers:
                session.coming(reader, number).result(PATIENCE)
            begun = session._thread
            wait_until(lambda: not session._engine._workers.members, what="the end of others")
            assert session._thread is begun, "a reader holds pieces"
            session.leave(reader)
            wait_until(lambda: session._thread is not begun, what="the end of the thread")  # noqa: B023
            begun.join(PATIENCE)
            assert not begun.is_alive()
    assert session.ended.is_set()
