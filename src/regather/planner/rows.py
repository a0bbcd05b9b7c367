"""Rows of erasure sets: when parity stands in for data, and when a row can be computed.

A data piece that parity in place stands in for is *settled*: nobody has to bring it any more.
As soon as a row has as many parity pieces in place as data pieces are missing, it is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from regather.model import ErasureSet
from regather.planner.events import Decode
from regather.planner.state import State

Span = tuple[int, int, int, int]
"""Rows ``start`` up to ``end``, how many pieces each lacks, and how many parity could bring."""


def missing(state: State, erasure_set: ErasureSet, row: int) -> tuple[int, ...]:
    """The data fragments of the set whose piece in this row is not done."""
    done = state.done
    return tuple([f for f in erasure_set.data if row < len(done[f]) and not done[f][row]])


def parity_arrived(state: State, number: int, row: int, stands_for: int | None) -> None:
    """Note that one more parity piece of a row is in place, for this data fragment's piece."""
    rows = state.parity_rows[number]
    rows[row] = rows.get(row, 0) + 1
    if (
        stands_for is None
        or row >= len(state.settled[stands_for])
        or state.settled[stands_for][row]
    ):
        if stands_for is None or not _bound(state, number, row):
            _spare(state, number, row)
    else:
        state.claim(stands_for, row, row + 1)  # what brings it may be cancelled
        state.settled[stands_for][row] = 1


def found(state: State, fragment: int, piece: int) -> None:
    """A piece was in place before all began."""
    if state.done[fragment][piece]:
        return
    state.claim(fragment, piece, piece + 1)
    if state.layout.is_data(fragment):
        state.now_done(fragment, piece)
    else:
        state.done[fragment][piece] = 1
        parity_arrived(state, state.layout.set_of[fragment], piece, None)


def now_spare(state: State, number: int, row: int) -> None:
    """Note that a data piece is done that parity in place stood in for: that becomes spare."""
    if not _bound(state, number, row):
        _spare(state, number, row)


def _bound(state: State, number: int, row: int) -> bool:
    """Let parity that is in place stand for a piece of the row that nobody brings, if there is."""
    free = [f for f in state.layout.sets[number].data if row in state.free[f]]
    if not free:
        return False
    fragment = next((f for f in free if not state.trusted(f)), free[0])
    state.claim(fragment, row, row + 1)
    state.settled[fragment][row] = 1
    return True


def _spare(state: State, number: int, row: int) -> None:
    spare = state.spare[number]
    spare[row] = spare.get(row, 0) + 1


def decode_if_ready(state: State, number: int, row: int) -> Decode | None:
    """The order to compute a row, where enough of it is in place; settles what it will make."""
    there = state.parity_rows[number].get(row, 0)
    lacking = state.lacking[number][row]
    if not there or there < lacking or (number, row) in state.decoding:
        return None
    if not lacking:
        forget(state, number, row)
        return None
    erasure_set = state.layout.sets[number]
    make = missing(state, erasure_set, row)
    parity = tuple([f for f in erasure_set.parity if state.done[f][row]])
    state.decoding[number, row] = make
    for fragment in make:
        if not state.settled[fragment][row]:
            state.settled[fragment][row] = 1
            state.claim(fragment, row, row + 1)
    return Decode(number, row, make, parity[: len(make)])


def likely_computed(state: State, fragment: int, row: int) -> bool:
    """Whether a data piece probably serves to compute another one of its row.

    So it is where parity stands in for one already, or where no good source has one.
    """
    number = state.layout.set_of[fragment]
    if number < 0 or not state.layout.is_data(fragment):
        return False
    doubtful = state.doubtful(number)
    return any(
        f != fragment and state.is_wanted(f, row) and (state.settled[f][row] or f in doubtful)
        for f in missing(state, state.layout.sets[number], row)
    )


def wanted_for_itself(state: State, fragment: int, piece: int) -> bool:
    """Whether a demand wants a piece for another reason than to compute its row."""
    if state.everything:
        return True
    entry = state.row_wants.get((state.layout.set_of[fragment], piece))
    by_row = entry is not None and fragment in entry[0].held
    return state.wanted[fragment].count(piece) > by_row


def forget(state: State, number: int, row: int) -> None:
    """A row is whole, or beyond computing: no more to remember of it."""
    state.parity_rows[number].pop(row, None)
    state.spare[number].pop(row, None)
    for fragment in state.layout.sets[number].parity:
        if not state.done[fragment][row]:
            state.claim(fragment, row, row + 1)


def came_whole(state: State, number: int, row: int) -> None:
    """Note that all data of a row came by itself: nobody wants its parity any more."""
    for fragment in state.layout.sets[number].parity:
        state.spare_after_row[fragment] += state.claim(fragment, row, row + 1)


def spans(state: State, number: int, lost: Sequence[int], usable: Sequence[int]) -> Iterator[Span]:
    """The rows in which ``lost`` data fragments have free pieces, by what parity can be had.

    ``usable`` are parity fragments; spare parity in place counts as well.
    """
    edges: list[tuple[int, int, int]] = []
    for fragment in lost:
        for start, end in state.free[fragment]:
            edges += ((start, 1, 0), (end, -1, 0))
    if not edges:
        return
    for fragment in usable:
        for start, end in state.free[fragment]:
            edges += ((start, 0, 1), (end, 0, -1))
    for row, count in state.spare[number].items():
        edges += ((row, 0, count), (row + 1, 0, -count))
    edges.sort()
    wanted = supply = 0
    for (at, more, brought), (following, _, _) in pairwise(edges):
        wanted += more
        supply += brought
        if wanted and following > at:
            yield at, following, wanted, supply


def recoverable(state: State, number: int) -> bool:
    """Whether parity may still bring some free piece that no source is worth waiting for.

    It is quick, and too hopeful for a selection: unwanted pieces of a row count as present.
    """
    return any(wanted <= supply for _, _, wanted, supply in _lost_spans(state, number))


def all_recoverable(state: State, number: int) -> bool:
    """As ``recoverable``, whether parity may bring all such pieces."""
    return all(wanted <= supply for _, _, wanted, supply in _lost_spans(state, number))


def _lost_spans(state: State, number: int) -> Iterator[Span]:
    erasure_set = state.layout.sets[number]
    lost = [f for f in erasure_set.data if state.free[f] and not state.hopeful(f)]
    if not lost:
        return iter(())
    usable = [f for f in erasure_set.parity if state.free[f] and state.hopeful(f)]
    return spans(state, number, lost, usable)


def computable(state: State, number: int, row: int, can_serve: Callable[[int], bool]) -> bool:
    """Whether parity can replace what nobody can send of a row, be it wanted or not.

    ``can_serve`` says whether a fragment's pieces can be had.
    """
    if (number, row) in state.bad_rows:
        return False
    members = state.layout.sets[number]
    lost = -state.spare[number].get(row, 0)
    coming: set[int] = set()
    for fragment in missing(state, members, row):
        if state.settled[fragment][row] or can_serve(fragment):
            continue  # parity that is on its way for it may serve for another piece
        working = state.working[fragment].values()
        via = {r.via for r in working if r.pos <= row < r.end and not r.cancelled}
        coming |= via
        lost += not via
    for parity in members.parity:
        lost -= not state.done[parity][row] and parity not in coming and can_serve(parity)
    return lost <= 0


def only_by_parity(state: State, number: int) -> Iterator[tuple[int, int]]:
    """The free pieces (fragment, row) of a set that can be had by parity alone, for now."""
    for fragment in state.doubtful(number):
        first = state.layout.first_pieces[fragment]
        lost = not state.hopeful(fragment)
        for start, end in list(state.free[fragment]):
            for row in range(start, end):
                if (number, row) not in state.row_wants and (
                    (lost and computable(state, number, row, state.hopeful))
                    or (
                        first + row in state.turns.urgent
                        and computable(state, number, row, state.trusted)
                    )
                ):
                    yield fragment, row


def beyond_recovery(state: State, fragment: int) -> list[tuple[int, int]]:
    """The free pieces of a fragment without a hopeful source that parity cannot replace."""
    number = state.layout.set_of[fragment]
    if number < 0:
        return list(state.free[fragment])
    return [
        (row, row + 1)
        for start, end in state.free[fragment]
        for row in range(start, end)
        if not computable(state, number, row, state.hopeful)
    ]


def evict_row(state: State, number: int, row: int) -> None:
    """A data piece is not in place any more; parity of a row that was whole is gone as well."""
    state.lacking[number][row] += 1
    if row not in state.parity_rows[number]:
        parity_gone(state, number, row)


def parity_gone(state: State, number: int, row: int) -> None:
    """The parity of a row is not in place any more."""
    for parity in state.layout.sets[number].parity:
        state.done[parity][row] = 0


def free_parity(state: State, number: int, start: int, end: int) -> None:
    """Parity may be used in rows of which all is wanted and some is missing."""
    members, lacking = state.layout.sets[number], state.lacking[number]
    for first, last in state.wanted_within(members.parity[0], start, end):
        row = first
        while row < last:
            begin = row
            while row < last and lacking[row] and (number, row) not in state.bad_rows:
                row += 1
            if begin < row:
                for parity in members.parity:
                    state.requeue_parity(parity, begin, row)
            row += 1


def free_bound(state: State, number: int, row: int) -> None:
    """A row cannot be computed any more: what parity stands in for must be had otherwise."""
    for fragment in missing(state, state.layout.sets[number], row):
        if state.settled[fragment][row]:
            state.settled[fragment][row] = 0
            state.requeue(fragment, row, row + 1)
            _spare(state, number, row)


def unbind(state: State, obtainable: Callable[[int], bool]) -> bool:
    """Where nothing else is left: fetch pieces after all that parity stands in for.

    That parity becomes spare and may serve for a piece of the row that nobody has.
    ``obtainable`` says whether a fragment's pieces can be had. Returns whether there was one.
    """
    found = False
    for number, erasure_set in enumerate(state.layout.sets):
        for row in list(state.parity_rows[number]):
            if (number, row) in state.decoding:
                continue
            for fragment in missing(state, erasure_set, row):
                if state.settled[fragment][row] and obtainable(fragment):
                    state.settled[fragment][row] = 0
                    state.requeue(fragment, row, row + 1)
                    _spare(state, number, row)
                    found = True
    return found
