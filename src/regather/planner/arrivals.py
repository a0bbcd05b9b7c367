"""What follows from a piece in place: who need not bring it any more, what can be computed."""

from __future__ import annotations

from regather.planner import rows
from regather.planner.events import Action, Decoded, DecodeFailed
from regather.planner.requests import Requests
from regather.planner.state import Request, State


class Arrivals:
    """Takes note of pieces that came, or were computed, for the first time."""

    def __init__(self, state: State, requests: Requests) -> None:
        self._state = state
        self._requests = requests
        self.done_bytes = 0
        """Bytes of the file that this run brought or computed."""

    def arrived(self, request: Request, piece: int, size: int, actions: list[Action]) -> None:
        """A piece of ``size`` bytes, data or parity, is in place that was not before."""
        state = self._state
        asked = request.via
        number = state.layout.set_of[asked]
        if number < 0:
            # As _done, without the calls: by far the most frequent.
            state.done[asked][piece] = 1
            state.left -= 1
            self.done_bytes += size
            if state.suspects or state.hedged or state.overlapping[asked]:
                self._no_more(asked, piece, actions, request)
        elif asked != request.fragment:  # it is parity
            state.done[asked][piece] = 1
            rows.parity_arrived(state, number, piece, request.fragment)
            if state.parity_rows[number][piece] >= state.lacking[number][piece]:
                self.decode(number, piece, actions)
        else:
            settled = state.settled[asked][piece]
            self._done(asked, piece, size, actions, request)
            there = state.parity_rows[number].get(piece)
            if there:
                if settled:
                    rows.unneeded(state, number, piece)
                if there >= state.lacking[number][piece]:
                    self.decode(number, piece, actions)
            elif not state.lacking[number][piece]:
                rows.came_whole(state, number, piece)

    def decode(self, number: int, row: int, actions: list[Action]) -> None:
        """Order a row of a set to be computed, if enough of it is in place."""
        order = rows.decode_if_ready(self._state, number, row)
        if order is not None:
            actions.append(order)

    def row_ended(self, event: Decoded | DecodeFailed, actions: list[Action]) -> None:
        """A row was computed, or turned out to be no good."""
        state = self._state
        number, row = event.set, event.row
        make = state.decoding.pop((number, row), ())
        rows.forget(state, number, row)
        for fragment in make:
            if state.done[fragment][row]:
                continue  # it came while it was computed
            if isinstance(event, Decoded):
                self._done(fragment, row, state.length(fragment, row), actions)
            else:
                state.settled[fragment][row] = 0
                state.release(fragment, row, row + 1)

    def _done(
        self,
        fragment: int,
        piece: int,
        size: int,
        actions: list[Action],
        by: Request | None = None,
    ) -> None:
        """A piece of the file is done: nobody else needs to bring it."""
        state = self._state
        state.now_done(fragment, piece)
        self.done_bytes += size
        if state.suspects or state.hedged or state.overlapping[fragment] or by is None:
            self._no_more(fragment, piece, actions, by)

    def _no_more(
        self, fragment: int, piece: int, actions: list[Action], by: Request | None
    ) -> None:
        """Whoever else was to bring a piece need not any more."""
        state = self._state
        state.suspects.pop((fragment, piece), None)
        if not state.working[fragment]:
            return
        others = state.rivals(fragment, piece) if by else state.bringing(fragment, piece)
        for other in others:
            if other is by:
                continue
            if other.end - other.pos == 1:
                self._requests.cancel(other, actions)
            elif other.end - 1 == piece and not other.whole:
                self._requests.trim(other, actions)
