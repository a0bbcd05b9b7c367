"""Pieces in memory or in a spool: the limit, and the order in which they are dropped."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from regather.digest import piece_hash
from regather.errors import StorageError
from regather.model import Layout
from regather.store.memory import MemoryStore
from regather.store.memory_budget import MemoryBudget
from regather.store.slots import SlotStore
from tests.store.stores import PIECE, content_of, got, here, read, small_layout
from tests.support.net import PATIENCE

PIECES = 12
LAYOUT = small_layout(PIECES, parity=2, last=5000)
ROOM = 5 * PIECE
NUMBERS = st.integers(0, LAYOUT.piece_count - 1)


def spooled(layout: Layout, limit: int) -> SlotStore:
    return SlotStore(layout, limit, on_disk=True)


def put(store: MemoryStore, number: int) -> None:
    data = content_of(store.layout, number)
    store.place(number, memoryview(data), piece_hash(data))


class AnyUse(RuleBasedStateMachine):
    """In any order of calls: no wrong byte, never above the limit, nothing held is lost."""

    kind: Callable[[Layout, int], MemoryStore] = staticmethod(MemoryStore)

    def __init__(self) -> None:
        super().__init__()
        self.held: list[int] = []
        self.reserved: set[int] = set()
        self.kept: set[int] = set()
        """Pieces that were there when they were last looked at, and may not be lost if held."""
        self.dropped: set[int] = set()
        self.store = self.kind(LAYOUT, ROOM)
        self.store.is_needed = lambda number: number in self.held
        self.store.on_dropped = self.dropped.update

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

    @invariant()
    def holds(self) -> None:
        there = here(self.store)
        used = sum(len(content_of(LAYOUT, n)) for n in there | self.reserved)
        assert self.store.used == used <= ROOM
        assert set(self.held) & self.kept <= there
        assert self.kept - there <= self.dropped, "who reserves is told"
        self.dropped.clear()
        self.kept = there


class AnyUseOfSlots(AnyUse):
    """The same with slots."""

    kind = staticmethod(SlotStore)


class AnyUseOfSpool(AnyUse):
    """The same on the disk."""

    kind = staticmethod(spooled)


@pytest.mark.parametrize("machine", [AnyUse, AnyUseOfSlots, AnyUseOfSpool])
def test_any_use(machine: type[AnyUse]) -> None:
    machine.TestCase.settings = settings(max_examples=25, stateful_step_count=30)
    machine.TestCase("runTest").debug()


def test_the_least_recently_used_goes_first() -> None:
    store = MemoryStore(LAYOUT, ROOM)
    for number in range(5):
        put(store, number)
    for _ in range(2):  # what is read once from end to end goes before
        got(store, 0)
    store.is_needed = {1}.__contains__
    put(store, 5)
    assert here(store) == {0, 1, 3, 4, 5}
    put(store, 6)
    assert here(store) == {0, 1, 4, 5, 6}


def test_what_readers_have_read_to_the_end_goes_before_what_they_have_not() -> None:
    """Readers whose reads end within pieces share these: half a piece is still to be read."""
    store = MemoryStore(LAYOUT, ROOM)
    for number in range(5):
        put(store, number)
    half = memoryview(bytearray(PIECE // 2))
    store.read(0, 0, half)
    for number in (3, 1):
        store.read(number, 0, half)
        store.read(number, PIECE - PIECE // 2, half)
    put(store, 5)
    put(store, 6)
    assert here(store) == {0, 2, 4, 5, 6}


def test_a_piece_larger_than_the_limit_drops_nothing() -> None:
    store = MemoryStore(LAYOUT, PIECE - 1)
    put(store, PIECES - 1)
    assert not store.reserve(0)
    with pytest.raises(StorageError, match="not enough space"):
        put(store, 0)
    assert here(store) == {PIECES - 1}


@pytest.mark.parametrize("kind", [MemoryStore, SlotStore, spooled])
def test_many_threads(kind: Callable[[Layout, int], MemoryStore]) -> None:
    """With room for a third of what they all want, each gets all its pieces, and right."""
    store = kind(LAYOUT, ROOM)
    failures: list[BaseException] = []

    def reader(seed: int) -> None:
        rng = random.Random(seed)
        try:
            for _ in range(150):
                number = rng.randrange(LAYOUT.piece_count)
                assert store.used <= ROOM
                if read(store, number) not in (None, content_of(LAYOUT, number)):
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
    for number in range(LAYOUT.piece_count):
        store.cancel(number)
    assert store.used == sum(len(content_of(LAYOUT, n)) for n in here(store))


def test_a_slot_is_used_again_whatever_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the room for all of them is never exceeded."""
    store = spooled(LAYOUT, ROOM)
    write = store._room.write

    def another_first(slot: int, data: memoryview) -> None:
        monkeypatch.undo()
        put(store, 0)
        write(slot, data)

    monkeypatch.setattr(store._room, "write", another_first)
    for number in (0, 1, 2, 3, 4, 0, 1, 2, 3, 4):
        put(store, number)
    assert here(store) == {0, 1, 2, 3, 4}
    assert store._made == ROOM // PIECE


def test_a_slot_that_became_another_pieces_while_it_was_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = SlotStore(LAYOUT, PIECE)
    put(store, 0)
    read = store._room.read

    def after_another(slot: int, at: int, into: memoryview) -> None:
        put(store, 1)
        read(slot, at, into)

    monkeypatch.setattr(store._room, "read", after_another)
    assert got(store, 0) is None


@pytest.mark.parametrize("kind", [MemoryStore, SlotStore])
def test_an_adopted_piece_is_kept_without_a_copy_and_a_placed_one_is_copied(
    kind: Callable[[Layout, int], MemoryStore],
) -> None:
    store = kind(LAYOUT, ROOM)
    buffers = [memoryview(bytearray(content_of(LAYOUT, number))) for number in (0, 1)]
    store.place(0, buffers[0], b"")
    assert store.adopt(1, buffers[1], b"") is not None
    assert store.adopt(1, memoryview(bytes(PIECE)), b"") is None, "it is there already"
    buffers[1][:4] = b"kept"
    whole = got(store, 1)
    assert whole is not None
    assert whole[:4] == b"kept", "it is the memory that was given"
    buffers[0][:] = bytes(PIECE)
    assert got(store, 0) == content_of(LAYOUT, 0)


def test_a_slot_gives_the_memory_that_it_had_for_what_it_adopts() -> None:
    """So a stream makes no new memory for each piece, and what it shows is that of the piece."""
    store = SlotStore(LAYOUT, PIECE)
    given = [memoryview(bytearray(content_of(LAYOUT, number))) for number in (0, 1)]
    store.adopt(0, given[0], b"")
    shown = store.view(0)
    assert shown is not None
    assert shown.obj is given[0].obj
    other = store.adopt(1, given[1], b"")
    assert other is not None
    assert other.obj is given[0].obj
    assert store.view(0) is None
    assert got(store, 1) == content_of(LAYOUT, 1)


def test_the_memory_of_a_dropped_piece_is_used_again_unless_somebody_sees_it() -> None:
    """The system clears new memory, which costs more than to receive a piece."""
    store = MemoryStore(LAYOUT, PIECE)
    given = [memoryview(bytearray(content_of(LAYOUT, number))) for number in range(3)]
    owners = [view.obj for view in given]
    store.adopt(0, given[0], b"")
    shown = store.view(0)
    given[0] = memoryview(b"")
    other = store.adopt(1, given[1], b"")
    assert other is not None
    assert not other, "a client is sent that memory"
    assert shown is not None
    assert bytes(shown) == content_of(LAYOUT, 0)
    given[1] = memoryview(b"")
    other = store.adopt(2, given[2], b"")
    assert other is not None
    assert other.obj is owners[1]
    assert not other.readonly
    assert got(store, 2) == content_of(LAYOUT, 2)


def test_who_reads_in_order_drops_all_that_is_through_at_once() -> None:
    """Else the planner would be told of each piece that is dropped, one after the other."""
    store = SlotStore(LAYOUT, ROOM)
    dropped: list[list[int]] = []
    store.on_dropped = lambda numbers: dropped.append(list(numbers))
    for number in range(5):
        put(store, number)
    store.is_needed = (3).__eq__
    put(store, 5)
    assert (here(store), dropped) == ({3, 5}, [[0, 1, 2, 4]])


def test_a_store_that_is_busy_keeps_its_pieces() -> None:
    """Two that waited for each other, each with its own lock taken, would wait for ever."""
    budget = MemoryBudget(2 * PIECE)
    asker, busy = (MemoryStore(LAYOUT, 0, budget) for _ in range(2))
    for number in (0, 1):
        put(busy, number)
    busy.guard = threading.Condition(threading.Lock())
    with ThreadPoolExecutor(1) as another, busy.guard:
        assert not another.submit(asker.reserve, 0).result(PATIENCE)
        assert here(busy) == {0, 1}
    busy.is_needed = lambda number: True
    assert not asker.reserve(0)
    busy.is_needed = {1}.__contains__
    assert asker.reserve(0)
    assert here(busy) == {1}
    assert busy.guard.acquire(blocking=False), "it was given back each time"
