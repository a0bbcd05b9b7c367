"""The cache on disk: its limit, its order, and what is left of it whenever it is killed."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from regather.digest import piece_hash
from regather.errors import StorageError
from regather.files.platform import punch_hole, read_all
from regather.model import Layout
from regather.store import disk_cache
from regather.store.base import PieceMissing
from regather.store.bounded import Bounded
from regather.store.disk_cache import PIECES_SUFFIX, RECORDS_SUFFIX, DiskCache
from regather.store.memory import MemoryStore
from tests.store.stores import IDENTITY, PIECE, content_of, small_layout
from tests.support.net import PATIENCE

PIECES = 12
LAYOUT = small_layout(PIECES, parity=2, last=5000)
ROOM = 5 * PIECE
BLOCKS = 3 * 4096
"""Blocks at the edges of what is not aligned may stay."""


def opened(
    folder: Path, limit: int = ROOM, *, layout: Layout = LAYOUT, extent: int = 1
) -> DiskCache:
    """Extents of one piece, unless said otherwise."""
    return DiskCache(folder, layout, IDENTITY, limit, extent=extent)


def put(store: Bounded, number: int) -> None:
    data = content_of(store.layout, number)
    store.place(number, memoryview(data), piece_hash(data))


def got(store: Bounded, number: int) -> bytes | None:
    """What the store serves, whole; None where it has to be fetched."""
    into = memoryview(bytearray(len(content_of(store.layout, number))))
    try:
        store.read(number, 0, into)
    except PieceMissing:
        assert not store.has(number)
        return None
    return bytes(into)


def here(store: Bounded) -> set[int]:
    return {n for n in range(store.layout.piece_count) if store.has(n)}


def on_disk(folder: Path) -> int:
    """Bytes of the pieces' file that have room on the disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.glob(f"*{PIECES_SUFFIX}"))


def damage(folder: Path, suffix: str, at: int) -> None:
    """Flip a byte in a file of the cache."""
    (path,) = folder.glob(f"*{suffix}")
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


# -- a model --------------------------------------------------------------------------------------

NUMBERS = st.integers(0, LAYOUT.piece_count - 1)


class AnyUse(RuleBasedStateMachine):
    """In any order of calls: no wrong byte, never above the limit, nothing held is lost."""

    store: Bounded

    def __init__(self) -> None:
        super().__init__()
        self.held: list[int] = []
        self.reserved: set[int] = set()
        self.kept: set[int] = set()
        """Pieces that were there when they were last looked at, and may not be lost if held."""
        self.open()

    def open(self) -> None:
        raise NotImplementedError

    @rule(number=NUMBERS)
    def reserve(self, number: int) -> None:
        held = set(self.held) & self.kept
        if self.store.reserve(number):
            if not self.store.has(number):
                self.reserved.add(number)
        else:
            assert number not in self.reserved
            lengths = {n: len(content_of(LAYOUT, n)) for n in held | self.reserved | {number}}
            assert sum(lengths.values()) > ROOM, "there was room, or what to drop"

    @rule(number=NUMBERS)
    def cancel(self, number: int) -> None:
        self.store.cancel(number)
        self.reserved.discard(number)

    @rule(number=NUMBERS)
    def place(self, number: int) -> None:
        if number not in self.reserved and not self.store.reserve(number):
            with pytest.raises(StorageError, match="in use"):
                put(self.store, number)
            return
        put(self.store, number)
        self.reserved.discard(number)
        assert got(self.store, number) == content_of(LAYOUT, number)
        self.kept.add(number)

    @rule(number=NUMBERS)
    def read(self, number: int) -> None:
        assert got(self.store, number) in (content_of(LAYOUT, number), None)

    @rule(number=NUMBERS)
    def want(self, number: int) -> None:
        self.held.append(number)
        self.kept = here(self.store)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.held.remove(data.draw(st.sampled_from(self.held)))

    @rule()
    def shed(self) -> None:
        free = here(self.store) - set(self.held)
        assert self.store.shed() == bool(free)

    @invariant()
    def holds(self) -> None:
        there = here(self.store)
        used = sum(len(content_of(LAYOUT, n)) for n in there | self.reserved)
        assert self.store.used == used <= ROOM
        assert set(self.held) & self.kept <= there
        self.kept = there


class Memory(AnyUse):
    """In memory."""

    def open(self) -> None:
        self.store = MemoryStore(LAYOUT, ROOM)
        self.store.is_needed = lambda number: number in self.held


class Disk(AnyUse):
    """On the disk, closed, opened again and damaged at any time."""

    folder: Path

    def open(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        self.cache = self.store = opened(self.folder)
        self.store.is_needed = lambda number: number in self.held

    def begin_again(self) -> None:
        self.cache.close()
        self.held, self.reserved = [], set()
        self.cache = self.store = opened(self.folder)
        self.store.is_needed = lambda number: number in self.held

    @rule()
    def reopen(self) -> None:
        before = here(self.store)
        self.begin_again()
        assert here(self.store) == before
        assert self.store.used == sum(len(content_of(LAYOUT, n)) for n in before)

    @rule(number=NUMBERS, spot=st.integers(0, 4999))
    def damage_piece(self, number: int, spot: int) -> None:
        """What is damaged while it is closed is served to nobody."""
        self.begin_again()
        if self.store.has(number):
            damage(self.folder, PIECES_SUFFIX, LAYOUT.offset(*LAYOUT.locate(number)) + spot)
            assert got(self.store, number) is None
            self.kept.discard(number)

    @rule(number=NUMBERS, spot=st.integers(0, 31))
    def damage_record(self, number: int, spot: int) -> None:
        """A record out of nothing claims what is not there; a changed one is not what decides."""
        was = self.store.has(number)
        damage(self.folder, RECORDS_SUFFIX, 128 + 32 * number + spot)
        self.begin_again()
        assert got(self.store, number) == (content_of(LAYOUT, number) if was else None)
        self.kept.discard(number)

    @invariant()
    def disk_holds(self) -> None:
        assert on_disk(self.folder) <= ROOM + BLOCKS

    def teardown(self) -> None:
        self.cache.close()


EXAMPLES = settings(max_examples=25, stateful_step_count=30)


def test_any_use_of_memory() -> None:
    Memory.TestCase.settings = EXAMPLES
    Memory.TestCase("runTest").debug()


def test_any_use_of_the_disk(tmp_path: Path) -> None:
    Disk.folder = tmp_path
    Disk.TestCase.settings = EXAMPLES
    Disk.TestCase("runTest").debug()


# -- the order --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_the_least_recently_used_goes_first(tmp_path: Path, kind: str) -> None:
    store = MemoryStore(LAYOUT, ROOM) if kind == "memory" else opened(tmp_path)
    with closing(store):
        for number in range(5):
            put(store, number)
        got(store, 0)
        store.is_needed = {1}.__contains__
        put(store, 5)
        assert here(store) == {0, 1, 3, 4, 5}
        put(store, 6)
        assert here(store) == {0, 1, 4, 5, 6}


def test_an_extent_goes_at_once_but_for_what_is_wanted(tmp_path: Path) -> None:
    with closing(opened(tmp_path, 4 * PIECE, extent=4 * PIECE)) as store:
        for number in range(4):
            put(store, number)
        needed = {2}
        store.is_needed = needed.__contains__
        assert store.reserve(4)
        assert here(store) == {2}
        assert all(map(store.reserve, (5, 6)))
        assert not store.reserve(7)
        needed.clear()
        assert store.reserve(7)
        assert here(store) == set()


def test_a_piece_larger_than_the_limit_drops_nothing(tmp_path: Path) -> None:
    with closing(opened(tmp_path, PIECE - 1)) as store:
        put(store, PIECES - 1)
        assert not store.reserve(0)
        with pytest.raises(StorageError, match="not enough space"):
            put(store, 0)
        assert here(store) == {PIECES - 1}


# -- kept from one process to the next --------------------------------------------------------


def test_what_is_found_is_hashed_when_it_is_first_served_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(tmp_path)) as store:
        for number in (0, 1, 2):
            put(store, number)
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

    monkeypatch.setattr(disk_cache, "read_all", reading)
    monkeypatch.setattr(disk_cache, "piece_hasher", hasher)
    with closing(opened(tmp_path)) as store:
        assert here(store) == {0, 1, 2}
        assert (read, hashed) == ([], [])
        for _ in range(2):
            into = memoryview(bytearray(10))
            store.read(1, 5, into)
            assert into == content_of(LAYOUT, 1)[5:15]
        assert (read, hashed) == ([PIECE, 10], [PIECE])


@pytest.mark.parametrize("hashed", [True, False], ids=["manifest", "records alone"])
def test_wrong_bytes_are_served_to_nobody(tmp_path: Path, hashed: bool) -> None:
    layout = small_layout(3, hashed=hashed)
    with closing(opened(tmp_path, layout=layout)) as store:
        put(store, 0)
        put(store, 1)
    damage(tmp_path, PIECES_SUFFIX, 77)
    with closing(opened(tmp_path, layout=layout)) as store:
        assert got(store, 0) is None
        assert got(store, 1) == content_of(layout, 1)
        assert store.used == PIECE
        put(store, 0)
        assert got(store, 0) == content_of(layout, 0)
    with closing(opened(tmp_path, layout=layout)) as store:
        assert got(store, 0) == content_of(layout, 0)


@pytest.mark.parametrize("suffix", [PIECES_SUFFIX, RECORDS_SUFFIX])
@pytest.mark.parametrize("size", [0, 100, None], ids=["emptied", "cut", "removed"])
def test_half_a_cache_is_none(tmp_path: Path, suffix: str, size: int | None) -> None:
    with closing(opened(tmp_path)) as store:
        put(store, 0)
    (path,) = tmp_path.glob(f"*{suffix}")
    path.unlink() if size is None else os.truncate(path, size)
    with closing(opened(tmp_path)) as store:
        assert (here(store), store.used) == (set(), 0)
        assert on_disk(tmp_path) <= BLOCKS
        put(store, 0)
        assert got(store, 0) == content_of(LAYOUT, 0)


def test_a_lower_limit_holds_from_the_start(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        for number in range(5):
            put(store, number)
    with closing(opened(tmp_path, 2 * PIECE)) as store:
        assert store.used == 2 * PIECE == len(here(store)) * PIECE
        assert on_disk(tmp_path) <= 2 * PIECE + BLOCKS


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with closing(opened(tmp_path)), pytest.raises(StorageError, match="another process uses"):
        opened(tmp_path)
    opened(tmp_path).close()


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such file or directory"):
        opened(tmp_path / "none")


# -- killed, full, failing --------------------------------------------------------------------


def use_until_killed(folder: Path, calls: int) -> None:
    """Place more than there is room for; end as by SIGKILL before this change of the disk."""
    left = calls
    write = os.pwrite

    def count() -> None:
        nonlocal left
        if left == 0:
            os._exit(9)
        left -= 1

    def counted_write(descriptor: int, data: bytes | memoryview, offset: int) -> int:
        count()
        # So that the end may also come in the middle of a piece.
        return write(descriptor, data[: PIECE // 2], offset)

    def counted_punch(descriptor: int, offset: int, length: int) -> None:
        count()
        punch_hole(descriptor, offset, length)

    store = opened(folder, 2 * PIECE)
    os.pwrite = counted_write  # type: ignore[assignment]
    vars(disk_cache)["punch_hole"] = counted_punch
    for number in (0, 1, 2, 3, 2):
        put(store, number)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_before_any_change_of_the_disk(tmp_path: Path) -> None:
    ended = []
    for calls in range(40):
        folder = tmp_path / str(calls)
        folder.mkdir()
        child = os.fork()
        if not child:
            try:
                use_until_killed(folder, calls)
            finally:
                os._exit(0)
        ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        with closing(opened(folder, 2 * PIECE)) as store:
            found = here(store)
            assert store.used == len(found) * PIECE <= 2 * PIECE
            assert on_disk(folder) <= store.used + BLOCKS, "what nobody claims was given back"
            for number in found:
                assert got(store, number) == content_of(LAYOUT, number), "no claim without bytes"
            put(store, 3)
            assert got(store, 3) == content_of(LAYOUT, 3)
        if not ended[-1]:
            break
    assert ended[-1] == 0, "the last one ran to its end"
    assert set(ended[:-1]) == {9}
    assert len(ended) > 16


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which there is room for 3.5 pieces, whatever the limit."""
    write = os.pwrite

    def limited(descriptor: int, data: bytes | memoryview, offset: int) -> int:
        room = 3 * PIECE + PIECE // 2 - on_disk(tmp_path)
        if len(data) > 32 and room <= 0:  # a piece, not a record
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[: max(room, 32)], offset)

    monkeypatch.setattr(os, "pwrite", limited)
    return tmp_path


def test_a_full_disk_drops_others(small_disk: Path) -> None:
    with closing(opened(small_disk, 9 * PIECE)) as store:
        for number in range(8):
            put(store, number)
            assert got(store, number) == content_of(LAYOUT, number)
        assert here(store) == {5, 6, 7}
        assert store.used == 3 * PIECE


def test_a_full_disk_with_nothing_to_drop(small_disk: Path) -> None:
    with closing(opened(small_disk, 9 * PIECE)) as store:
        needed = {0, 1, 2}
        store.is_needed = needed.__contains__
        for number in range(3):
            put(store, number)
        with pytest.raises(StorageError, match="no space left"):
            put(store, 3)
        assert here(store) == {0, 1, 2}
        assert store.used == 3 * PIECE == on_disk(small_disk), "half a piece was given back"
        needed.remove(0)
        put(store, 3)
        assert here(store) == {1, 2, 3}


def test_a_bad_spot_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(opened(tmp_path)) as store:
        put(store, 0)
        put(store, 1)
        preadv = os.preadv

        def failing(descriptor: int, buffers: list[memoryview], offset: int) -> int:
            if offset < PIECE:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return preadv(descriptor, buffers, offset)

        monkeypatch.setattr(os, "preadv", failing)
        assert got(store, 0) is None
        assert got(store, 1) == content_of(LAYOUT, 1)
        assert store.used == PIECE


def test_a_file_system_without_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def punch(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(disk_cache, "punch_hole", punch)
    with pytest.raises(StorageError, match=r"cannot be given back there.*another file system"):
        opened(tmp_path)
    monkeypatch.undo()
    opened(tmp_path).close()


# -- many at once -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_many_threads(tmp_path: Path, kind: str) -> None:
    """With room for a third of what they all want, each gets all its pieces, and right."""
    store = MemoryStore(LAYOUT, ROOM) if kind == "memory" else opened(tmp_path)
    failures: list[BaseException] = []

    def reader(seed: int) -> None:
        rng = random.Random(seed)
        try:
            for _ in range(150):
                number = rng.randrange(LAYOUT.piece_count)
                assert store.used <= ROOM
                if got(store, number) not in (None, content_of(LAYOUT, number)):
                    raise AssertionError(f"wrong bytes of {number}")
                if store.reserve(number):
                    if rng.random() < 0.1:
                        store.cancel(number)
                    else:
                        # Another that reserved it too may have cancelled it, and all be in use.
                        with contextlib.suppress(StorageError):
                            put(store, number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=reader, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert failures == []
    with closing(store):
        for number in range(LAYOUT.piece_count):
            store.cancel(number)
        assert store.used == sum(len(content_of(LAYOUT, n)) for n in here(store))
        if kind == "disk":
            assert on_disk(tmp_path) <= store.used + BLOCKS


def started(work: Callable[..., object], *arguments: object) -> threading.Thread:
    """A thread that does something now, and has time to do it wrong."""
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    thread.join(0.2)
    return thread


def test_what_is_being_read_is_not_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(opened(tmp_path)) as store:
        for number in range(5):
            put(store, number)

        def slowly(descriptor: int, into: memoryview, offset: int) -> None:
            assert [number for number in range(5, 10) if store.reserve(number)] == [5, 6, 7, 8]
            read_all(descriptor, into, offset)

        monkeypatch.setattr(disk_cache, "read_all", slowly)
        assert got(store, 0) == content_of(LAYOUT, 0)
        assert here(store) == {0}


def test_a_piece_that_comes_while_it_is_dropped_comes_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(tmp_path)) as store:
        put(store, 0)
        coming: list[threading.Thread] = []

        def slowly(descriptor: int, offset: int, length: int) -> None:
            coming.append(started(put, store, 0))
            punch_hole(descriptor, offset, length)

        monkeypatch.setattr(disk_cache, "punch_hole", slowly)
        assert store.shed()
        coming[0].join(PATIENCE)
        assert got(store, 0) == content_of(LAYOUT, 0)


def test_a_piece_that_proves_bad_is_dropped_when_nobody_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(tmp_path)) as store:
        put(store, 0)
        others: list[threading.Thread] = []
        first = threading.current_thread()

        def slowly(descriptor: int, into: memoryview, offset: int) -> None:
            if threading.current_thread() is not first:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            others.append(started(got, store, 0))
            read_all(descriptor, into, offset)

        monkeypatch.setattr(disk_cache, "read_all", slowly)
        assert got(store, 0) == content_of(LAYOUT, 0)
        others[0].join(PATIENCE)
        assert here(store) == set()
        assert store.used == 0
