"""Which parity pieces are worth fetching instead of data. Reads the state, changes nothing.

Parity costs no more bytes than the data that it stands in for, but the row must be computed. So it
is taken only where nobody can send the data now, or where the download would clearly end earlier:
where a fragment would come later than the whole set could, were its parity used as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from regather.planner.forecast import late_ones
from regather.planner.pieces import Run
from regather.planner.rows import spans
from regather.planner.state import Request, State


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of ``parity`` that may stand in for the same pieces of ``fragment``."""

    fragment: int
    parity: int
    start: int
    end: int
    eligible: int
    """Rows that parity is wanted for in all, of this set."""


def free_rows(state: State, source: int, now: float) -> Rows | None:
    """The best parity rows that a source holds, for free pieces; None where none is wanted.

    What nobody can send comes first. Of what would come late, it is the first row: parity is of use
    only in rows that the data has not filled, so no source of parity may pass over any.
    """
    for number, members in enumerate(state.layout.sets):
        mine = [f for f in members.parity if state.free[f] and state.can_serve(source, f)]
        if not mine:
            continue
        free = [f for f in members.data if state.free[f]]
        dead = [f for f in free if not state.trusted(f) or _sent_wrong(state, f)]
        usable: list[int] = []
        if dead:
            usable = [f for f in members.parity if state.free[f] and state.hopeful(f)]
            found = _instead_of_dead(state, source, number, mine, dead, usable)
            if found is not None:
                return found
        late = [f for f in late_ones(state, number, now) if state.free[f] and f not in dead]
        best: Rows | None = None
        for fragment in late:
            found = _instead_of_late(state, source, number, mine, dead, usable, fragment)
            if found is not None and (best is None or found.start < best.start):
                best = found
        if best is not None:
            return best
    return None


def _sent_wrong(state: State, fragment: int) -> bool:
    """Whether all that is free of a fragment was sent wrong by everyone who could send it."""
    return bool(state.suspects) and all(
        (who := state.suspects.get((fragment, piece))) and not state.others_can(fragment, who)
        for start, end in state.free[fragment]
        for piece in range(start, end)
    )


def _instead_of_dead(
    state: State, source: int, number: int, mine: list[int], dead: list[int], usable: list[int]
) -> Rows | None:
    spare = state.spare[number]
    best: Rows | None = None
    eligible = 0
    for start, end, wanted, supply in spans(state, number, dead, usable):
        if wanted > supply or (spare and spare.get(start, 0) >= wanted):
            continue
        eligible += (end - start) * wanted
        if best is None:
            best = _first(state, source, dead, mine, start, end)
    return best and Rows(best.fragment, best.parity, best.start, best.end, eligible)


def _instead_of_late(
    state: State,
    source: int,
    number: int,
    mine: list[int],
    dead: list[int],
    usable: list[int],
    fragment: int,
) -> Rows | None:
    """Parity for a fragment that comes in any case; what the dead need of it is left."""
    spare = state.spare[number]
    for parity in mine:
        for start, end in _both(state.free[fragment], state.free[parity]):
            at = start
            while at < end and (
                (at in spare and spare[at] >= _free_in_row(state, number, at))
                or state.suspect(source, parity, at)
            ):
                at += 1
            if at == end:
                continue
            until = end
            if dead:
                lacking = spans(state, number, [*dead, fragment], usable)
                span = next((s for s in lacking if s[0] <= at < s[1]), None)
                if span is None or span[2] > span[3]:
                    continue
                until = min(end, span[1])
            return Rows(fragment, parity, at, until, until - at)
    return None


def _both(one: Iterable[Run], other: Iterable[Run]) -> Iterator[Run]:
    """The runs that are in two sets of runs."""
    ones, others = iter(one), iter(other)
    a, b = next(ones, None), next(others, None)
    while a is not None and b is not None:
        start, end = max(a[0], b[0]), min(a[1], b[1])
        if start < end:
            yield start, end
        if a[1] <= b[1]:
            a = next(ones, None)
        else:
            b = next(others, None)


def _first(
    state: State, source: int, lost: list[int], mine: list[int], start: int, end: int
) -> Rows | None:
    for parity in mine:
        if not _covers(state, parity, start):
            continue
        if state.suspect(source, parity, start):
            continue
        for fragment in lost:
            if _covers(state, fragment, start):
                return Rows(fragment, parity, start, end, 0)
    return None


def _free_in_row(state: State, number: int, row: int) -> int:
    """How many data pieces of a row nobody brings."""
    return sum(_covers(state, f, row) for f in state.layout.sets[number].data)


def _covers(state: State, fragment: int, row: int) -> bool:
    return row in state.free[fragment]


def stand_ins(state: State, request: Request, now: float) -> list[int]:
    """The parity fragments that may bring the end of a request instead."""
    number = state.layout.set_of[request.fragment]
    if request.via != request.fragment:
        return [request.via]  # another holder of the same parity
    if (
        number < 0
        or request.end <= request.pos
        or request.fragment not in late_ones(state, number, now)
    ):
        return []
    return [f for f in state.layout.sets[number].parity if _covers(state, f, request.end - 1)]


def instead_of(state: State, request: Request, source: int, among: list[int]) -> int:
    """Which of some parity fragments a source can send for the end of a request; -1: none."""
    last = request.end - 1
    for parity in among:
        if state.can_serve(source, parity) and not state.suspect(source, parity, last):
            return parity
    return -1


def free_since(state: State, fragment: int, end: int) -> int:
    """Where the run of free pieces begins that reaches up to ``end``."""
    return next(a for a, b in state.free[fragment] if a < end <= b)
