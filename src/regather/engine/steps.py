"""A session for readers that do not wait in it: coroutines, which wait for a piece elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from regather.engine.reader_room import PieceUnavailable, Reader
from regather.engine.session import Session
from regather.planner import Tick
from regather.store.base import PieceMissing
from regather.tasks import Thread, interrupts_held

if TYPE_CHECKING:
    from concurrent.futures import Future

    from regather.store.cached_file import Borrowed


class SteppedSession(Session):
    """A session whose readers hold, want and release pieces step by step. For any thread.

    Where it shares its room, it is a RowHolder.
    """

    _has_turn = False
    """Whether there is room for its rows."""
    _turn_ends = False
    wanted = 0
    """Pieces that readers waited for, or would have."""
    found = 0
    """Those of them that were there already."""

    def _run(self) -> None:
        """See Session; while nobody reads the file the thread ends, until ``_start``."""
        try:
            while self._engine.wait(self._watch_seconds):
                with self._lock:
                    if self._engine.rests and not (self._room.in_use or self._closed):
                        self._thread = Thread(self._run, name=self._thread.name, daemon=True)
                        return
        except BaseException as error:
            with self._lock:
                self.failed(error)
        super()._run()  # it has ended: so do all others

    def decided(self) -> None:
        """See Listener: ask for room where rows are wanted, and give it back for others."""
        if self._shared is None:
            return
        if not self._has_turn:
            if self._planner.demands.look_again:
                need = self._sizes.total - self._sizes.memory
                self._shared.turns.ask(self, need)
        elif self._turn_ends and not self._planner.demands.rows_wanted:
            self._has_turn = self._turn_ends = False
            self._shared.turns.give_back(self)
            self.decided()  # what was refused meanwhile has to wait again

    def begin_rows(self) -> None:
        """See RowHolder."""
        with self._lock:
            self._has_turn = True
            self._planner.demands.max_rows = self._sizes.rows
            self._engine.post(Tick())

    def end_rows(self) -> None:
        """See RowHolder."""
        with self._lock:
            if self._has_turn:
                self._turn_ends = True
                self._planner.demands.max_rows = 0
                self.decided()

    def close(self) -> None:
        """See Session.close."""
        super().close()
        if self._shared is not None:
            self._shared.turns.give_back(self)

    @property
    def window(self) -> int:
        """How many pieces one reader should hold at a time."""
        return self._sizes.window

    @property
    def hedges(self) -> Sequence[int]:
        """See Requests.hedges."""
        return self._planner.hedges

    @property
    def up(self) -> list[bool]:
        """By source, whether its last requests succeeded."""
        return [not (health.failures or health.distrusted) for health in list(self.healths)]

    @property
    def largest_piece(self) -> int:
        """Bytes of the longest piece."""
        return self._layout.largest_piece

    def snapshot(self) -> bytes:
        """By the running number of a piece, 1 where the store has it now, else 0."""
        return self._store.snapshot()

    def reader(self) -> Reader:
        """A demand of its own, for pieces in any order."""
        return Reader(next(self._numbers))

    def want(
        self, reader: Reader, numbers: Sequence[int], *, must: bool = False, urgent: bool = True
    ) -> int:
        """Want as many pieces as there is room for, in order; return how many.

        What is not ``urgent`` comes after all that is.
        Where there is room for none and it ``must``, the reader waits for its ``turn``.
        """
        with interrupts_held(), self._lock:
            self._check()
            taken = self._room.take(reader, numbers)
            if urgent:
                self.wanted += taken
                self.found += sum(map(self._store.has, numbers[:taken]))
            self._want(reader, numbers[:taken], urgent=urgent)
            if not taken and must:
                self._room.queue(reader)
        return taken

    def coming(self, reader: Reader, number: int) -> Future[None]:
        """What is done when a wanted piece is there. Raises PieceUnavailable."""
        with self._lock:
            self._check()
            if number in reader.failed:
                raise PieceUnavailable(number, corrupt=reader.failed[number])
            self._start()
            return self._store.wait(number)

    def release(self, reader: Reader, numbers: Iterable[int]) -> None:
        """Want and hold some pieces no longer."""
        self._release(reader, numbers)

    def leave(self, reader: Reader) -> None:
        """Want and hold nothing any longer."""
        with interrupts_held(), self._lock:
            self._room.leave(reader)
            self._release(reader, list(reader.held))

    def has(self, number: int) -> bool:
        """Whether a piece is there, in memory or on the disk."""
        return self._store.has(number)

    def load(self, number: int) -> Borrowed | memoryview | None:
        """A piece that is not in memory, from the disk: it waits for that."""
        borrowed = self._store.borrow(number)
        if borrowed is not None:
            return borrowed
        try:
            return self._store.whole(number)  # it waits to be written
        except PieceMissing:
            return None

    def piece(self, number: int) -> memoryview | None:
        """The bytes of a piece in memory, which stay as they are when it is dropped."""
        return self._store.view(number)
