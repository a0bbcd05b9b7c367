"""Several files whose readers share their memory, over real sockets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from queue import SimpleQueue

import pytest

from regather.engine.shared_room import RowTurns, SharedRoom
from regather.engine.steps import SteppedSession
from tests.engine.test_session import made
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE, wait_until
from tests.support.small import PIECE, Small, small

FILES = 5
SIZES = [40 * PIECE, 40 * PIECE - 5]
ROW = 3 * PIECE
LIMIT = 40 * PIECE


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Small, Path]]:
    """Files of two fragments and their parity, each in a folder of its own."""
    found = []
    for seed in range(FILES):
        part, folder = small(SIZES, parity=1, seed=seed), tmp_path_factory.mktemp(f"file{seed}")
        part.write(folder, {"1": [1], "2": [2], "3": [3]})
        found.append((part, folder))
    return found


@pytest.fixture
def room() -> Iterator[SharedRoom]:
    with closing(SharedRoom(LIMIT)) as shared:
        yield shared


def opened(part: Small, urls: list[str], room: SharedRoom) -> SteppedSession:
    return made(SteppedSession, part, urls, 0, shared=room)


def read(part: Small, session: SteppedSession) -> bytes:
    """All of a file, piece by piece."""
    layout = part.manifest.layout
    numbers = list(range(layout.data_pieces))
    pieces = [memoryview(bytearray(layout.length_of(n))) for n in numbers]
    session.read({n: [(0, view)] for n, view in zip(numbers, pieces, strict=True)})
    return b"".join(pieces)


def content_of(part: Small) -> bytes:
    return b"".join(part.content[name] for name in part.names[:2])


def held(room: SharedRoom) -> int:
    """Bytes that are there, counted one by one."""
    with room.budget.lock:
        return sum(len(store._pieces[number]) for store, number in room.budget.pieces)


@pytest.mark.parametrize("servers", ["123", "23"], ids=["all", "rows"])
def test_all_files_together_stay_within_the_limit(
    parts: list[tuple[Small, Path]], hosting: Hosting, room: SharedRoom, servers: str
) -> None:
    """Four readers of each of five files, twice the limit and more; without the first fragment
    each row has to be computed, and there is room for the rows of three files at a time."""
    wrong: list[int] = []
    most = [0, 0]
    over = threading.Event()

    def reader(number: int, part: Small, session: SteppedSession) -> None:
        if read(part, session) != content_of(part):
            wrong.append(number)

    def watch() -> None:
        while not over.wait(0.001):
            most[0] = max(most[0], room.budget.used)
            most[1] = max(most[1], held(room))

    with ExitStack() as stack:
        threads = [threading.Thread(target=watch)]
        for number, (part, folder) in enumerate(parts):
            urls = [hosting.serve(folder / name).url for name in servers]
            session = stack.enter_context(closing(opened(part, urls, room)))
            threads += [
                threading.Thread(target=reader, args=(number, part, session)) for _ in range(4)
            ]
        for thread in threads:
            thread.start()
        for thread in threads[1:]:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        over.set()
        threads[0].join()
        assert wrong == []
        assert 0 < most[1] <= most[0] <= LIMIT == room.budget.limit
        assert room.turns.size == LIMIT // 4 >= 3 * ROW
    assert room.budget.used == 0, "who closes gives all back"
    assert room.share._left == room.share.limit
    assert not room.turns._granted


def test_what_was_used_least_recently_goes_first_whatever_file_it_is_of(
    parts: list[tuple[Small, Path]], hosting: Hosting
) -> None:
    size = SIZES[0] + SIZES[1]
    with closing(SharedRoom(2 * size)) as room, ExitStack() as stack:
        sessions = []
        for part, folder in parts[:3]:
            urls = [hosting.serve(folder / name).url for name in "123"]
            sessions.append(stack.enter_context(closing(opened(part, urls, room))))
        for session in sessions:
            reader = session.reader()
            for number in range(80):
                assert session.want(reader, [number], must=True) == 1
                session.coming(reader, number).result(PATIENCE)
                assert session.piece(number)
                session.release(reader, [number])
        kept = [sum(session.snapshot()) for session in sessions]
        assert kept == [0, 80, 80], "the file that was read first has gone"


def test_a_silent_source_leaves_room_for_other_files(
    parts: list[tuple[Small, Path]], hosting: Hosting, room: SharedRoom
) -> None:
    (silent, folder), (other, beside) = parts[:2]
    stalled = opened(silent, [hosting.serve(folder / "1", faults=["stall"]).url], room)
    with closing(stalled):
        waiting = [stalled.reader() for _ in range(3)]
        for at, reader in enumerate(waiting):
            stalled.want(reader, range(12 * at, 12 * at + 12), must=False)
        wait_until(lambda: stalled.tallies[0].received == 0 and len(waiting[0].held) > 0)
        with closing(opened(other, [hosting.serve(beside / n).url for n in "12"], room)) as session:
            assert read(other, session) == content_of(other)
        for reader in waiting:
            stalled.leave(reader)


def test_what_the_store_has_no_room_for_is_not_counted(
    parts: list[tuple[Small, Path]], room: SharedRoom
) -> None:
    with closing(opened(parts[0][0], ["http://127.0.0.1:9/"], room)) as session:
        room.budget.used = LIMIT  # all of it reserved by others
        assert session.want(session.reader(), [0]) == 0
        assert room.share._left == room.share.limit
        room.budget.used = 0


def test_a_turn_has_room_for_the_parity_of_its_rows(
    parts: list[tuple[Small, Path]], room: SharedRoom
) -> None:
    sizes = room.sizes(parts[0][0].manifest.layout)
    assert sizes.total - sizes.memory == sizes.rows * ROW


class Holder:
    """Notes what it is told."""

    def __init__(self) -> None:
        self._told: SimpleQueue[str] = SimpleQueue()

    def begin_rows(self) -> None:
        self._told.put("begin")

    def end_rows(self) -> None:
        self._told.put("end")

    def told(self) -> str:
        """The next of it; waits for that."""
        return self._told.get(timeout=PATIENCE)

    def was_told_more(self) -> bool:
        return not self._told.empty()


def test_rows_have_their_turns() -> None:
    with closing(RowTurns(2 * ROW)) as turns:
        first, second, third, fourth = (Holder() for _ in range(4))
        turns.ask(first, ROW)
        assert first.told() == "begin"
        turns.ask(first, ROW)
        turns.ask(second, ROW)
        assert second.told() == "begin"
        assert not first.was_told_more(), "it has its turn already"
        turns.ask(third, ROW)
        assert [first.told(), second.told()] == ["end", "end"]
        turns.give_back(first)
        assert third.told() == "begin"
        turns.ask(first, 2 * ROW)
        assert [second.told(), third.told()] == ["end", "end"]
        turns.give_back(first)  # its session has ended
        turns.give_back(second)
        turns.ask(fourth, ROW)
        assert fourth.told() == "begin"
        assert not first.was_told_more()


def test_it_ends_while_a_session_waits_for_its_turn() -> None:
    turns = RowTurns(ROW)
    first, second = Holder(), Holder()
    turns.ask(first, ROW)
    turns.ask(second, ROW)
    assert [first.told(), first.told()] == ["begin", "end"]
    closer = threading.Thread(target=turns.close, daemon=True)
    closer.start()
    closer.join(PATIENCE)
    assert not closer.is_alive()
    assert not turns._thread.is_alive()
    assert not second.was_told_more()
