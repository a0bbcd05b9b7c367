"""The cache on disk: its limit, its order, and what is left of it whenever it is killed."""

from __future__ import annotations

import errno
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from regather.digest import piece_hash
from regather.errors import StorageError
from regather.files import platform
from regather.files.platform import read_all
from regather.model import Layout
from regather.store import cached_file, disk_cache, extents
from regather.store.cached_file import CachedFile
from regather.store.disk_cache import DiskCache
from regather.store.extents import BLOCK
from tests.store.stores import IDENTITY, PIECE, content_of, got, here, small_layout
from tests.support.net import PATIENCE

LAYOUT = small_layout(12, parity=2, last=5000)
ONE = PIECE + BLOCK
"""What an extent of one piece takes up."""
ROOM = 5 * ONE


class Opened:
    """A cache in a folder, and the pieces of a file in it."""

    def __init__(
        self, folder: Path, limit: int = ROOM, *, layout: Layout = LAYOUT, extent: int = 1
    ) -> None:
        """Extents of one piece, unless said otherwise."""
        self.cache = DiskCache(folder, limit, free_share=0, extent=extent)
        self.file = self.cache.open(layout, IDENTITY)

    def close(self) -> None:
        """Close the cache."""
        self.cache.close()

    def put(self, number: int) -> bool:
        """Offer a piece, wait until it is written, and say whether it is kept."""
        return put(self.cache, self.file, number)


def opened(folder: Path, limit: int = ROOM, **how: object) -> closing[Opened]:
    return closing(Opened(folder, limit, **how))  # type: ignore[arg-type]


def put(cache: DiskCache, file: CachedFile, number: int) -> bool:
    data = content_of(file.layout, number)
    file.offer(number, data, piece_hash(data))
    cache.settle()
    return file.has(number)


def on_disk(folder: Path) -> int:
    """Bytes of the extents that have room on the disk."""
    return sum(p.stat().st_blocks * 512 for p in folder.rglob("*") if p.name.isdigit())


def file_of(folder: Path, number: int) -> Path:
    """The extent of a piece, where extents have one."""
    (path,) = (p for p in folder.rglob(str(number)) if p.is_file())
    return path


def damage(path: Path, at: int) -> None:
    """Flip a bit."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1) or b"\0"
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


# -- a model --------------------------------------------------------------------------------------

NUMBERS = st.integers(0, LAYOUT.piece_count - 1)


class AnyUse(RuleBasedStateMachine):
    """Closed, opened again and damaged at any time: no wrong byte, and never above the limit."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.pinned: list[int] = []
        self.dropped: set[int] = set()
        self.open()
        self.kept: set[int] = set()

    def open(self) -> None:
        self.store = Opened(self.folder)
        self.file = self.store.file
        self.file.listeners.append(self.dropped.update)

    @rule(number=NUMBERS)
    def offer(self, number: int) -> None:
        room = len({*self.pinned, number}) <= 5
        assert self.store.put(number) or not room
        assert got(self.file, number) in (content_of(LAYOUT, number), None if not room else b"")

    @rule(number=NUMBERS)
    def read(self, number: int) -> None:
        assert got(self.file, number) in (content_of(LAYOUT, number), None)

    @rule(number=NUMBERS)
    def pin(self, number: int) -> None:
        assert self.file.pin(number) == self.file.has(number)
        if self.file.has(number):
            self.pinned.append(number)

    @precondition(lambda self: self.pinned)
    @rule(data=st.data())
    def unpin(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self.pinned))
        self.pinned.remove(number)
        self.file.unpin(number)

    @rule()
    def reopen(self) -> None:
        self.pinned.clear()
        self.store.close()
        before, used = here(self.file), self.store.cache.used
        self.open()
        assert here(self.file) == before
        assert self.store.cache.used <= used

    @rule(number=NUMBERS, spot=st.integers(0, 4999))
    def damage_piece(self, number: int, spot: int) -> None:
        """What is damaged while it is closed is served to nobody."""
        self.reopen()
        if self.file.has(number):
            damage(file_of(self.folder, number), BLOCK + spot)
            assert got(self.file, number) is None

    @rule(number=NUMBERS, spot=st.integers(0, 31))
    def damage_record(self, number: int, spot: int) -> None:
        """A record out of nothing claims what is not there; a changed one is not what decides."""
        self.reopen()
        if self.file.has(number):
            damage(file_of(self.folder, number), spot)
            self.reopen()
            assert got(self.file, number) == content_of(LAYOUT, number)

    @invariant()
    def holds(self) -> None:
        there = here(self.file)
        assert self.store.cache.used <= ROOM
        assert on_disk(self.folder) <= ROOM
        assert self.kept - there <= self.dropped, "who listens is told"
        self.dropped.clear()
        self.kept = there

    def teardown(self) -> None:
        self.store.close()


def test_any_use(tmp_path: Path) -> None:
    AnyUse.folder = tmp_path / "cache"
    AnyUse.TestCase.settings = settings(max_examples=25, stateful_step_count=30)
    AnyUse.TestCase("runTest").debug()


# -- limit and order --------------------------------------------------------------------------


def test_the_least_recently_used_goes_first_and_what_is_pinned_stays(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for number in range(5):
            assert store.put(number)
        got(store.file, 0)
        assert store.file.pin(1)
        assert store.put(5)
        assert here(store.file) == {0, 1, 3, 4, 5}
        store.file.unpin(1)
        assert store.put(6)
        assert here(store.file) == {0, 1, 4, 5, 6}, "to pin is to use"
        assert dict(store.cache.tally.evicted_bytes) == {"size": 2 * ONE}


def test_the_order_outlives_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_file, "_TOUCH_SECONDS", 0)
    with opened(tmp_path) as store:
        for number in range(5):
            store.put(number)
            os.utime(file_of(tmp_path, number), (number, number))
        got(store.file, 0)
    with opened(tmp_path) as store:
        store.put(5)
        assert here(store.file) == {0, 2, 3, 4, 5}


def test_an_extent_goes_at_once(tmp_path: Path) -> None:
    with opened(tmp_path, 9 * PIECE, extent=4 * PIECE) as store:
        for number in range(8):
            assert store.put(number)
        assert len(list(store.cache.folder.rglob("[01]"))) == 2
        assert store.put(8)
        assert here(store.file) == {4, 5, 6, 7, 8}


def test_at_the_limit_a_twentieth_comes_free(tmp_path: Path) -> None:
    layout = small_layout(50)
    with opened(tmp_path, 40 * ONE, layout=layout) as store:
        for number in range(41):
            assert store.put(number)
        assert here(store.file) == set(range(3, 41))


def test_where_all_is_pinned_nothing_more_is_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for number in range(5):
            assert store.put(number)
            assert store.file.pin(number)
        assert not store.put(5)
        assert store.cache.used == ROOM
        store.file.unpin(0)
        assert store.put(5)
        assert here(store.file) == {1, 2, 3, 4, 5}


def test_files_share_a_limit(tmp_path: Path) -> None:
    other = small_layout(12)
    with opened(tmp_path) as store:
        second = store.cache.open(other, b"j" * 32)
        assert store.cache.open(other, b"j" * 32) is second
        for number in range(5):
            store.put(number)
        for number in range(3):
            assert put(store.cache, second, number)
        assert here(store.file) == {3, 4}
        assert here(second) == {0, 1, 2}
    with closing(DiskCache(tmp_path, ROOM, free_share=0, extent=1)) as cache:
        assert cache.used == ROOM, "a file counts before it is opened"
        second = cache.open(other, b"j" * 32)
        assert put(cache, second, 3)
        assert here(second) == {0, 1, 2, 3}
        assert here(cache.open(LAYOUT, IDENTITY)) == {4}


def test_the_limit_may_be_lowered(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for number in range(5):
            store.put(number)
        store.cache.limit = 3 * ONE
        store.put(5)
        assert here(store.file) == {3, 4, 5}
    with opened(tmp_path, ONE) as store:
        assert store.cache.used == ONE
        assert here(store.file) == {5}
        assert on_disk(tmp_path) == ONE


def test_room_on_the_file_system_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    blocks = 1000 * PIECE // 4096
    others = [0]

    class Status:
        f_frsize = 4096
        f_blocks = blocks

        @property
        def f_bavail(self) -> int:
            return blocks - (on_disk(tmp_path) + others[0]) // 4096

    monkeypatch.setattr(os, "fstatvfs", lambda descriptor: Status())
    with closing(DiskCache(tmp_path, ROOM, free_share=0.1, extent=1)) as cache:
        file = cache.open(LAYOUT, IDENTITY)
        for number in range(4):
            assert put(cache, file, number)
        others[0] = 900 * PIECE - 3 * ONE
        assert put(cache, file, 4)
        assert here(file) == {2, 3, 4}
        others[0] = 900 * PIECE
        assert not any(put(cache, file, number) for number in range(5, 9))
        assert here(file) == set()
        assert set(cache.tally.evicted_bytes) == {"free_space"}
    (told,) = caplog.messages
    assert "less than 10% of the file system" in told


# -- kept from one process to the next --------------------------------------------------------


def test_what_is_found_is_hashed_when_it_is_first_served_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as store:
        for number in (0, 1, 2):
            store.put(number)
    hashed: list[int] = []
    read: list[int] = []

    def reading(descriptor: int, into: memoryview, offset: int) -> None:
        read.append(len(into))
        read_all(descriptor, into, offset)

    def hasher(algorithm: str) -> Callable[[memoryview], bytes]:
        def hash_of(view: memoryview) -> bytes:
            hashed.append(len(view))
            return piece_hash(view)

        return hash_of

    monkeypatch.setattr(extents, "read_all", reading)
    monkeypatch.setattr(cached_file, "piece_hasher", hasher)
    with opened(tmp_path) as store:
        assert here(store.file) == {0, 1, 2}
        assert (read, hashed) == ([], [])
        for _ in range(2):
            into = memoryview(bytearray(10))
            store.file.read(1, 5, into)
            assert into == content_of(LAYOUT, 1)[5:15]
        assert (read, hashed) == ([PIECE, 10], [PIECE])


@pytest.mark.parametrize("hashed", [True, False], ids=["manifest", "records alone"])
def test_wrong_bytes_are_served_to_nobody(tmp_path: Path, hashed: bool) -> None:
    layout = small_layout(3, hashed=hashed)
    with opened(tmp_path, layout=layout, extent=4 * PIECE) as store:
        store.put(0)
        store.put(1)
    damage(file_of(tmp_path, 0), BLOCK + 77)
    for again in (False, True):
        with opened(tmp_path, layout=layout, extent=4 * PIECE) as store:
            dropped: list[int] = []
            store.file.listeners.append(dropped.extend)
            if again:
                assert not store.file.has(0), "the claim is gone as well"
            else:
                assert store.file.has(0)
                assert got(store.file, 0) is None
                assert dropped == [0]
                assert store.cache.tally.evicted_bytes["corrupt"] == PIECE
            assert got(store.file, 1) == content_of(layout, 1)
    with opened(tmp_path, layout=layout, extent=4 * PIECE) as store:
        store.put(0)
        assert on_disk(tmp_path) == BLOCK + 2 * PIECE, "it takes the place that it had"
    with opened(tmp_path, layout=layout, extent=4 * PIECE) as store:
        assert got(store.file, 0) == content_of(layout, 0)


@pytest.mark.parametrize("size", [0, 20, BLOCK, BLOCK + 100, None])
def test_what_was_cut_or_removed_is_not_there(tmp_path: Path, size: int | None) -> None:
    with opened(tmp_path) as store:
        store.put(0)
        store.put(1)
    path = file_of(tmp_path, 0)
    path.unlink() if size is None else os.truncate(path, size)
    with opened(tmp_path) as store:
        assert got(store.file, 0) is None
        assert got(store.file, 1) == content_of(LAYOUT, 1)
        assert store.put(0)
        assert got(store.file, 0) == content_of(LAYOUT, 0)


def test_the_same_content_split_otherwise_is_another_file(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.put(0)
        assert here(store.cache.open(small_layout(12), IDENTITY)) == set()


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "1").write_text("mine")
    (tmp_path / "1").write_text("mine")
    with opened(tmp_path, ONE) as store:
        for number in range(3):
            store.put(number)
    assert (tmp_path / "notes" / "1").read_text() == (tmp_path / "1").read_text() == "mine"


def test_the_folder_is_removed_while_it_is_used(tmp_path: Path) -> None:
    with opened(tmp_path / "cache") as store:
        store.put(0)
        store.put(1)
        shutil.rmtree(tmp_path / "cache")
        assert got(store.file, 0) is None
        assert store.put(0)
        assert got(store.file, 0) == content_of(LAYOUT, 0)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(StorageError, match=f"{tmp_path}: another process uses"):
        DiskCache(tmp_path, ROOM)
    Opened(tmp_path).close()


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file exists"):
        DiskCache(tmp_path / "file", ROOM)


# -- borrowed ---------------------------------------------------------------------------------


def test_a_borrowed_piece_stays_and_is_verified(tmp_path: Path) -> None:
    with opened(tmp_path, extent=4 * PIECE) as store:
        for number in range(3):
            store.put(number)
    damage(file_of(tmp_path, 0), BLOCK + 2 * PIECE + 5)
    with opened(tmp_path, 4 * PIECE, extent=4 * PIECE) as store:
        assert store.file.borrow(2) is None
        assert store.file.borrow(3) is None
        borrowed = store.file.borrow(1)
        assert borrowed is not None
        into = memoryview(bytearray(PIECE))
        assert not any(map(store.put, (4, 5)))
        read_all(borrowed.descriptor, into, borrowed.offset)
        assert into == content_of(LAYOUT, 1)
        borrowed.close()
        borrowed.close()
        assert store.put(4)
        assert here(store.file) == {4}


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Nothing is written to the disk before this is set."""
    go = threading.Event()
    write = platform.write_all

    def slowly(descriptor: int, data: bytes, offset: int) -> None:
        assert go.wait(PATIENCE)
        write(descriptor, data, offset)

    monkeypatch.setattr(extents, "write_all", slowly)
    return go


def test_what_is_not_written_yet_is_not_borrowed(tmp_path: Path, go: threading.Event) -> None:
    """Although its extent is there: what stands in its place are no bytes of it."""
    go.set()
    with opened(tmp_path, extent=4 * PIECE) as store:
        store.put(0)
        go.clear()
        data = content_of(LAYOUT, 1)
        assert store.file.offer(1, data, piece_hash(data))
        early = store.file.borrow(1)
        go.set()
        assert early is None
        store.cache.settle()
        borrowed = store.file.borrow(1)
        assert borrowed is not None
        borrowed.close()


def test_a_piece_that_two_found_wrong_is_discarded_once(
    tmp_path: Path, go: threading.Event
) -> None:
    """The second of them comes when it was fetched again, and waits to be written."""
    go.set()
    with opened(tmp_path) as store:
        store.put(0)
    damage(file_of(tmp_path, 0), BLOCK)
    with opened(tmp_path) as store:
        assert got(store.file, 0) is None
        store.file.discard(0)
        go.clear()
        data = content_of(LAYOUT, 0)
        assert store.file.offer(0, data, piece_hash(data))
        store.file.discard(0)
        go.set()
        store.cache.settle()
        assert store.cache.tally.evicted_bytes == {"corrupt": PIECE}
        assert got(store.file, 0) == data


# -- killed -----------------------------------------------------------------------------------


def use_until_killed(folder: Path, calls: int) -> None:
    """Place more than there is room for; end as by SIGKILL before this change of the disk."""
    left = calls
    write, unlink = os.pwrite, os.unlink

    def count() -> None:
        nonlocal left
        if left == 0:
            os._exit(9)
        left -= 1

    def counted_write(descriptor: int, data: bytes | memoryview, offset: int) -> int:
        count()
        # So that the end may also come in the middle of a piece.
        return write(descriptor, data[: PIECE // 2], offset)

    def counted_unlink(path: str, **how: int) -> None:
        count()
        unlink(path, **how)

    store = Opened(folder, 2 * ONE)
    vars(os).update(pwrite=counted_write, unlink=counted_unlink)
    for number in (0, 1, 2, 3, 2):
        store.put(number)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_before_any_change_of_the_disk(tmp_path: Path) -> None:
    ended = []
    for calls in range(40):
        folder = tmp_path / str(calls)
        child = os.fork()
        if not child:
            try:
                use_until_killed(folder, calls)
            finally:
                os._exit(0)
        ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        with opened(folder, 2 * ONE) as store:
            assert store.cache.used <= 2 * ONE
            assert on_disk(folder) <= 2 * ONE
            for number in here(store.file):
                assert got(store.file, number) == content_of(LAYOUT, number), "no empty claim"
            assert store.put(3)
            assert got(store.file, 3) == content_of(LAYOUT, 3)
            assert on_disk(folder) <= 2 * ONE
        if not ended[-1]:
            break
    assert ended[-1] == 0, "the last one ran to its end"
    assert set(ended[:-1]) == {9}
    assert len(ended) > 12


USER = """
import os, random, sys
from pathlib import Path
from tests.store.stores import *
from regather.store.disk_cache import DiskCache
layout = small_layout(40)
cache = DiskCache(Path(sys.argv[1]), 20 * PIECE, free_share=0, extent=4 * PIECE)
file = cache.open(layout, IDENTITY)
rng = random.Random(sys.argv[2])
print("started", flush=True)
while True:
    number = rng.randrange(40)
    if got(file, number) not in (None, content_of(layout, number)):
        print("wrong", number, flush=True)
    file.offer(number, content_of(layout, number), piece_hash(content_of(layout, number)))
    if not rng.randrange(8):
        cache.settle()
"""


def killed_at_random(folder: Path, times: int) -> None:
    layout = small_layout(40)
    rng = random.Random(times)
    right = 0
    for seed in range(times):
        command = [sys.executable, "-c", USER, str(folder), str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as user:
            assert user.stdout is not None
            assert user.stdout.readline() == "started\n"
            time.sleep(rng.uniform(0, 0.3))
            user.send_signal(signal.SIGKILL)
            assert user.stdout.read() == ""
        with opened(folder, 20 * PIECE, layout=layout, extent=4 * PIECE) as store:
            assert on_disk(folder) <= 20 * PIECE
            claimed = here(store.file)
            there = {n for n in claimed if got(store.file, n) == content_of(layout, n)}
            assert there == claimed, "what was killed leaves nothing to be fetched again"
            right += len(there)
    assert right > times


def test_killed_at_random_moments(tmp_path: Path) -> None:
    killed_at_random(tmp_path, 4)


@pytest.mark.soak
def test_killed_at_a_hundred_random_moments(tmp_path: Path) -> None:
    killed_at_random(tmp_path, 100)


# -- full, failing, slow ----------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which there is room for 3.5 pieces, whatever the limit."""
    write = os.pwrite

    def limited(descriptor: int, data: bytes | memoryview, offset: int) -> int:
        room = 3 * ONE + PIECE // 2 - on_disk(tmp_path)
        if len(data) > 32 and room <= 0:  # a piece, not a record
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[: max(room, 32)], offset)

    monkeypatch.setattr(os, "pwrite", limited)
    return tmp_path


def test_a_full_disk_drops_others(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(small_disk, 9 * ONE) as store:
        for number in range(8):
            assert store.put(number)
            assert got(store.file, number) == content_of(LAYOUT, number)
        assert here(store.file) == {5, 6, 7}
        assert store.cache.used == 3 * ONE
    assert caplog.messages == []


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pauses after failures."""
    monkeypatch.setattr(disk_cache, "_PAUSE_SECONDS", 0)


def test_a_full_disk_with_nothing_to_drop(
    small_disk: Path, hasty: None, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(small_disk, 9 * ONE) as store:
        dropped: list[int] = []
        store.file.listeners.append(dropped.extend)
        for number in range(3):
            assert store.put(number)
            store.file.pin(number)
        assert not any(map(store.put, (3, 4, 5)))
        assert dropped == [3, 4, 5]
        assert here(store.file) == {0, 1, 2}
        assert store.cache.used == 3 * ONE == on_disk(small_disk), "half a piece was given back"
        assert store.cache.tally.write_errors == {errno.ENOSPC: 3}
        store.file.unpin(0)
        assert store.put(3)
        assert here(store.file) == {1, 2, 3}
    (told,) = caplog.messages
    assert told.startswith(f"cache {small_disk}: no space left")


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EMFILE])
def test_a_disk_that_fails_is_left_alone_for_some_time(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writes = [0]

    def failing(descriptor: int, data: bytes | memoryview, offset: int) -> int:
        writes[0] += 1
        raise OSError(number, os.strerror(number))

    with opened(tmp_path) as store:
        assert store.put(0)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", failing)
            assert not any(map(store.put, range(1, 12)))
        assert writes == [1]
        assert got(store.file, 0) == content_of(LAYOUT, 0)
        assert store.cache.tally.dropped_bytes == 10 * PIECE + 5000
        assert not store.put(1)
        store.cache._paused_until = 0.0
        assert store.put(1)
    assert len(caplog.messages) == 1


def test_a_write_that_fails_leaves_the_other_pieces_of_its_extent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(descriptor: int, data: bytes | memoryview, offset: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with opened(tmp_path, extent=4 * PIECE) as store:
        assert store.put(0)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", failing)
            assert not store.put(1)
        assert here(store.file) == {0}
        assert got(store.file, 0) == content_of(LAYOUT, 0)
        assert on_disk(tmp_path) <= store.cache.used


def test_what_waits_when_the_disk_fails_is_not_tried(
    tmp_path: Path, go: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = [0]

    def failing(descriptor: int, data: bytes | memoryview, offset: int) -> int:
        writes[0] += 1
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pwrite", failing)
    with opened(tmp_path) as store:
        for number in range(4):
            data = content_of(LAYOUT, number)
            assert store.file.offer(number, data, piece_hash(data))
        go.set()
        store.cache.settle()
        assert here(store.file) == set()
    assert writes == [1]


def test_a_part_of_a_piece_is_never_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the piece was there, whole, and is written once more."""
    path, data = tmp_path / "0", content_of(LAYOUT, 1)
    extents.store(path, 1, PIECE, data, piece_hash(data))
    assert extents.claims(path, 4) == {1: piece_hash(data)}
    pwrite = os.pwrite

    def failing(descriptor: int, data: bytes | memoryview, offset: int) -> int:
        if offset >= BLOCK:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", failing)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        extents.store(path, 1, PIECE, data, piece_hash(data))
    assert extents.claims(path, 4) == {}


def test_extents_that_cannot_be_removed_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hasty: None
) -> None:
    def failing(path: object, **how: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with opened(tmp_path) as store:
        for number in range(5):
            assert store.put(number)
        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", failing)
            assert not any(map(store.put, (5, 6)))
        assert store.cache.used == ROOM
        assert on_disk(tmp_path) == ROOM


def test_a_bad_spot_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as store:
        store.put(0)
        store.put(1)
        bad = file_of(tmp_path, 0).stat().st_ino
        preadv = os.preadv

        def failing(descriptor: int, buffers: list[memoryview], offset: int) -> int:
            if os.fstat(descriptor).st_ino == bad:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return preadv(descriptor, buffers, offset)

        monkeypatch.setattr(os, "preadv", failing)
        assert got(store.file, 0) is None
        assert got(store.file, 1) == content_of(LAYOUT, 1)
        assert here(store.file) == {1}


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs root, and leave to mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_file_system_that_is_really_full(tmpfs: Path) -> None:
    layout = small_layout(40)
    with opened(tmpfs, 100 * ONE, layout=layout) as store:
        for number in range(40):
            assert store.put(number)
            assert got(store.file, number) == content_of(layout, number)
        assert len(here(store.file)) == (1 << 20) // ONE
    (tmpfs / "other").write_bytes(bytes(30))
    with opened(tmpfs, 100 * ONE, layout=layout) as store:
        for number in here(store.file):
            assert got(store.file, number) == content_of(layout, number)


def test_what_the_disk_is_too_slow_for_is_not_kept(
    tmp_path: Path, go: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(DiskCache(tmp_path, ROOM, free_share=0, extent=1, backlog=3 * PIECE)) as cache:
        file = cache.open(LAYOUT, IDENTITY)
        kept = []
        for number in range(8):
            data = content_of(LAYOUT, number)
            kept.append(file.offer(number, data, piece_hash(data)))
        assert kept == [True] * 3 + [False] * 5
        assert here(file) == {0, 1, 2}
        for number in range(3):
            assert got(file, number) == content_of(LAYOUT, number), "read before it is written"
        assert file.borrow(0) is None
        assert cache.queued == 3 * PIECE
        go.set()
        cache.settle()
        assert put(cache, file, 3)
    assert len(caplog.messages) == 1
    assert "slower than the sources" in caplog.text


def test_what_comes_after_the_end_is_not_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert store.put(0)
    data = content_of(LAYOUT, 1)
    assert not store.file.offer(1, data, piece_hash(data))
    assert here(store.file) == {0}


def test_what_waits_is_written_at_the_end(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for number in range(5):
            data = content_of(LAYOUT, number)
            assert store.file.offer(number, data, piece_hash(data))
    with opened(tmp_path) as store:
        assert here(store.file) == set(range(5))


# -- many at once -----------------------------------------------------------------------------


def test_many_threads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    failures: list[BaseException] = []
    with opened(tmp_path) as store:
        file = store.file

        def reader(seed: int) -> None:
            rng = random.Random(seed)
            try:
                for _ in range(150):
                    number = rng.randrange(LAYOUT.piece_count)
                    assert store.cache.used <= ROOM
                    data = content_of(LAYOUT, number)
                    pinned = file.pin(number)
                    # What is pinned is there until it is unpinned; else another may drop it.
                    if pinned or file.has(number):
                        into = memoryview(bytearray(len(data)))
                        try:
                            file.read(number, 0, into)
                        except LookupError:
                            assert not pinned
                        else:
                            assert into == data
                    if pinned:
                        file.unpin(number)
                    file.offer(number, data, piece_hash(data))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=reader, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert failures == []
        store.cache.settle()
        assert on_disk(tmp_path) <= store.cache.used <= ROOM
