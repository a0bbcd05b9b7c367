"""Demand: who wants which pieces, and what that changes.

Free to be given is what is wanted and not in flight. Parity is free where all data of its row is
wanted. Where a wanted piece cannot be had, the rest of its row is wanted as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from regather.planner.events import Evicted, Release, Unavailable, Want
from regather.planner.inflight import Request
from regather.planner.intervals import IntervalSet
from regather.planner.readers import Demand
from regather.planner.requests import Requests
from regather.planner.rows import (
    beyond_recovery,
    evict_row,
    free_bound,
    free_parity,
    missing,
    only_by_parity,
    unbind,
)
from regather.planner.state import State

_WHOLE = -(1 << 62)
"""The number of the demand for a whole file that readers read as well."""


class Demands:
    """All demands of one file."""

    def __init__(self, state: State, requests: Requests, max_rows: int) -> None:
        self._state = state
        self._requests = requests
        self.max_rows = max_rows
        self.look_again = False
        """Whether ``widen`` may find rows for which there was no reason, or no room, before."""
        self._demands: dict[int, Demand] = {}

    # -- events ---------------------------------------------------------------------------

    def want(self, event: Want) -> list[int]:
        """Take note of what is wanted; return the fragments that it concerns."""
        demand = self._demands.get(event.demand)
        if demand is None:
            demand = self._new(event.demand)
        fragments: list[int] = []
        for fragment, start, end in self._spans(event.start, event.end):
            self._want(demand, fragment, start, end, urgent=event.urgent)
            fragments.append(fragment)
        return fragments

    def release(self, event: Release) -> list[int]:
        """Take note of what a demand does not want any more; return the fragments concerned."""
        demand = self._demands.get(event.demand)
        fragments: list[int] = []
        if demand is None:
            return fragments
        for fragment, start, end in self._spans(event.start, event.end):
            if fragment in demand.held:
                self._release(demand, fragment, start, end)
                fragments.append(fragment)
        if not demand.held:
            del self._demands[event.demand]
            self._gone(demand)
        return fragments

    def evicted(self, event: Evicted) -> None:
        """Pieces are not in place any more."""
        state = self._state
        for fragment, start, end in self._spans(event.start, event.end):
            number = state.layout.set_of[fragment]
            for piece in range(start, end):
                if not state.done[fragment][piece]:
                    continue
                state.done[fragment][piece] = state.settled[fragment][piece] = 0
                if number >= 0:
                    evict_row(state, number, piece)
                if state.is_wanted(fragment, piece):
                    self._now_wanted(fragment, piece, piece + 1)

    def _new(self, number: int) -> Demand:
        turns = self._state.turns
        demand = self._demands[number] = turns.bulk[number] = Demand(number)
        if self._state.everything and _WHOLE not in turns.bulk:
            # The download of the whole file takes its turn beside readers.
            whole = turns.bulk[_WHOLE] = Demand(_WHOLE)
            for fragment in range(self._state.layout.data_count):
                runs = whole.held[fragment] = IntervalSet()
                runs.add(0, self._state.layout.pieces_of(fragment))
                turns.join(self._state.groups.of[fragment].line(urgent=False), whole)
        return demand

    def _gone(self, demand: Demand) -> None:
        turns = self._state.turns
        demand.gone = True
        turns.bulk.pop(demand.number, None)
        turns.readers -= demand.reads

    # -- wanted and not -------------------------------------------------------------------

    def _spans(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Running numbers as (fragment, start, end)."""
        layout = self._state.layout
        end = min(end, layout.data_pieces)
        while 0 <= start < end:
            fragment, piece = layout.locate(start)
            stop = min(end, layout.first_pieces[fragment + 1])
            yield fragment, piece, piece + stop - start
            start = stop

    def _want(self, demand: Demand, fragment: int, start: int, end: int, *, urgent: bool) -> None:
        state = self._state
        held = demand.held.get(fragment)
        if held is None:
            held = demand.held[fragment] = IntervalSet()
        new = held.gaps(start, end)
        held.add(start, end)
        if urgent:
            self._wait_for(demand, fragment, start, end)
        if not state.everything:
            for run in new:
                for first, last in state.wanted[fragment].add(*run):
                    self._now_wanted(fragment, first, last)
        state.freed = True
        group = state.groups.of[fragment]
        if urgent:
            state.turns.join(group.line(urgent=True), demand)
        state.turns.join(group.line(urgent=False), demand)

    def _wait_for(self, demand: Demand, fragment: int, start: int, end: int) -> None:
        """A reader waits for those of some pieces that are not done."""
        state = self._state
        if not demand.reads:
            demand.reads = True
            state.turns.bulk.pop(demand.number, None)
            state.turns.readers += 1
        waits = demand.urgent.get(fragment) or IntervalSet()
        first = state.layout.first_pieces[fragment]
        for begin, stop in waits.gaps(start, end):
            for piece in range(begin, stop):
                if not state.done[fragment][piece]:
                    waits.add(piece, piece + 1)
                    state.turns.urgent.setdefault(first + piece, []).append(demand)
        if waits:
            demand.urgent[fragment] = waits
        for request in state.working[fragment].values():
            request.urgent |= request.pos < end and start < request.end

    def _release(self, demand: Demand, fragment: int, start: int, end: int) -> None:
        state = self._state
        held = demand.held.get(fragment)
        if held is None:
            return
        runs = held.within(start, end)
        held.remove(start, end)
        if not held:
            del demand.held[fragment]
        if waits := demand.urgent.get(fragment):
            first = state.layout.first_pieces[fragment]
            for begin, stop in waits.within(start, end):
                for number in range(first + begin, first + stop):
                    others = state.turns.urgent[number]
                    others.remove(demand)
                    if not others:
                        del state.turns.urgent[number]
            waits.remove(start, end)
            if not waits:
                del demand.urgent[fragment]
        if not state.everything:
            for run in runs:
                for first, last in state.wanted[fragment].remove(*run):
                    self._now_unwanted(fragment, first, last)

    def _now_wanted(self, fragment: int, start: int, end: int) -> None:
        """Nobody wanted these pieces before."""
        state = self._state
        state.left += state.done[fragment].count(0, start, end)
        state.requeue(fragment, start, end)
        number = state.layout.set_of[fragment]
        if number < 0:
            return
        free_parity(state, number, start, end)
        if state.parity_rows[number]:
            for row in range(start, end):
                self.keep_row(number, row)

    def keep_row(self, number: int, row: int) -> None:
        """Where parity stands in for a wanted piece, the rest of its row is wanted as well."""
        state = self._state
        if state.everything or row not in state.parity_rows[number]:
            return
        if (number, row) in state.decoding or (number, row) in state.row_wants:
            return
        for fragment in missing(state, state.layout.sets[number], row):
            if state.settled[fragment][row] and row in state.wanted[fragment]:
                self.want_row(number, row, fragment)
                return

    def _now_unwanted(self, fragment: int, start: int, end: int) -> None:
        """Nobody wants these pieces any more."""
        state = self._state
        state.left -= state.done[fragment].count(0, start, end)
        state.claim(fragment, start, end)
        for request in list(state.working[fragment].values()):
            if (
                request.pos < end
                and start < request.end
                and not (request.cancelled or request.whole)
            ):
                self._stop(request, start)
        number = state.layout.set_of[fragment]
        if number < 0:
            return
        if not state.everything:
            for parity in state.layout.sets[number].parity:
                state.claim(parity, start, end)
        if state.row_wants:
            for row in range(start, end):
                self.row_needs_less(fragment, row)
        if state.parity_rows[number]:
            for row in range(start, end):
                self.keep_row(number, row)

    def _stop(self, request: Request, start: int) -> None:
        """Of a request, pieces from one on are not wanted: the piece under way still comes."""
        if start > request.pos:
            self._requests.shorten(request, start)
        elif request.answered < 0:
            self._requests.cancel(request)
        elif request.end > request.pos + 1:
            self._requests.shorten(request, request.pos + 1)

    # -- rows -----------------------------------------------------------------------------

    def want_row(self, number: int, row: int, cause: int) -> None:
        """The rest of a row is wanted, for the sake of a piece of one of its fragments."""
        state = self._state
        entry = state.row_wants.get((number, row))
        if entry is not None:
            demand, causes = entry
            if cause not in causes and not state.done[cause][row]:
                causes.add(cause)
                self._release(demand, cause, row, row + 1)
            return
        demand = Demand(-1 - state.layout.number(cause, row))
        state.row_wants[number, row] = demand, {cause}
        urgent = state.layout.number(cause, row) in state.turns.urgent
        for fragment in state.layout.sets[number].data:
            if fragment != cause and row < state.layout.pieces_of(fragment):
                self._want(demand, fragment, row, row + 1, urgent=urgent)

    def row_needs_less(self, fragment: int, piece: int) -> None:
        """A piece came by itself, or was computed: its row may not be needed any more."""
        number, row = self._state.layout.set_of[fragment], piece
        entry = self._state.row_wants.get((number, row))
        if entry is None or fragment not in entry[1]:
            return
        demand, causes = entry
        causes.remove(fragment)
        if not causes:
            self._row_unwanted(number, row)
            self.keep_row(number, row)
            self.look_again = True  # another piece of it may be had by parity alone
            return
        # Others of the row are still to be computed, for which this piece is needed.
        numbers = [self._state.layout.number(cause, row) for cause in causes]
        waited_for = not self._state.turns.urgent.keys().isdisjoint(numbers)
        self._want(demand, fragment, row, row + 1, urgent=waited_for)

    def _row_unwanted(self, number: int, row: int) -> None:
        demand, causes = self._state.row_wants[number, row]
        causes.clear()
        for fragment in list(demand.held):
            self._release(demand, fragment, row, row + 1)
        # Not before: a piece that it alone wants is no reason for ``keep_row`` to want it anew.
        del self._state.row_wants[number, row]
        self._gone(demand)

    @property
    def rows_wanted(self) -> int:
        """How many rows are wanted as a whole."""
        return len(self._state.row_wants)

    def widen(self, number: int) -> None:
        """Want the rows of a set in which a wanted piece can be had by parity alone."""
        for fragment, row in only_by_parity(self._state, number):
            if not self.may_want_row(number, row, fragment):
                break

    def may_want_row(self, number: int, row: int, cause: int) -> bool:
        """Want a row, unless too many are wanted."""
        if len(self._state.row_wants) >= self.max_rows:
            self.look_again = True
            return False
        self.want_row(number, row, cause)
        return True

    # -- what cannot be had ---------------------------------------------------------------

    def check(self, fragments: Iterable[int]) -> None:
        """Of some fragments, say which wanted pieces cannot be had, and drop the wants for them."""
        state = self._state
        left = {f for f in fragments if state.layout.is_data(f)}
        while left:
            fragment = left.pop()
            if not state.free[fragment] or state.hopeful(fragment):
                continue
            runs = beyond_recovery(state, fragment)
            number = state.layout.set_of[fragment]
            if runs and number >= 0:
                # What can be had after all leaves its parity to what cannot.
                unbind(state, state.hopeful)
                runs = beyond_recovery(state, fragment)
                self.widen(number)
            corrupt = any(state.sources[s].distrusted for s in state.groups.of[fragment].holders)
            first = state.layout.first_pieces[fragment]
            for start, end in runs:
                self._drop(fragment, start, end)
                state.actions.append(Unavailable(first + start, first + end, corrupt))
                if number >= 0:
                    self._give_up_row(number, start)
                    left.update(state.layout.sets[number].data)

    def _drop(self, fragment: int, start: int, end: int) -> None:
        """Pieces cannot be had: nobody wants them any more."""
        rows = [own for own, _ in self._state.row_wants.values()]
        for demand in [*self._demands.values(), *rows]:
            self._release(demand, fragment, start, end)

    def _give_up_row(self, number: int, row: int) -> None:
        """A row cannot be computed: nobody wants it as a whole."""
        if (number, row) in self._state.row_wants:
            self._row_unwanted(number, row)
        free_bound(self._state, number, row)
