"""Which parity pieces are worth fetching instead of data. Reads the state, changes nothing.

Parity costs no more bytes than the data that it stands in for, but the row must be computed. So it
is taken only where nobody can send the data now, or where the download would clearly end earlier:
where a fragment would come later than the whole set could, were its parity used as well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from regather.planner.forecast import late_ones
from regather.planner.group import Group
from regather.planner.inflight import Request
from regather.planner.rows import spans
from regather.planner.state import State
from regather.planner.values import Value
from regather.planner.whole import open_end


class ParityRun(Value, frozen=True):
    """Rows of ``parity`` that may stand in for the same pieces of ``fragment``."""

    fragment: int
    parity: int
    start: int
    end: int
    eligible: int
    """Rows that parity is wanted for in all, of this set."""


def free_rows(state: State, source: int) -> ParityRun | None:
    """The best parity rows that a source holds, for free pieces; None where none is wanted.

    What nobody can send comes first. Of what would come late, it is the first row: parity is of use
    only in rows that the data has not filled, so no source of parity may pass over any.
    """
    for group in state.groups.parity_of_source[source]:
        if group.free:
            break
    else:
        return None
    of = state.groups.of
    for number, members in enumerate(state.layout.sets):
        mine = [
            f
            for f in members.parity
            if source in of[f].holders and state.free[f].count and state.can_serve(source, f)
        ]
        if not mine:
            continue
        dead = _dead(state, number)
        usable: list[int] = []
        if dead:
            usable = [f for f in members.parity if state.free[f].count and state.hopeful(f)]
        found = (
            _instead_of_dead(state, source, number, mine, dead, usable) if dead else None
        ) or _instead_of_late(state, source, number, mine, dead, usable)
        if found is not None:
            return found
    return None


def _dead(state: State, number: int) -> list[int]:
    """The data fragments of a set whose free pieces nobody can send now."""
    doubtful = state.doubtful(number)
    if state.suspects:
        data = state.layout.sets[number].data
        return [f for f in data if state.free[f].count and (f in doubtful or _sent_wrong(state, f))]
    return [f for f in doubtful if state.free[f].count] if doubtful else []


def _sent_wrong(state: State, fragment: int) -> bool:
    """Whether all that is free of a fragment was sent wrong by everyone who could send it."""
    return all(
        (who := state.suspects.get((fragment, piece))) and not state.others_can(fragment, who)
        for start, end in state.free[fragment]
        for piece in range(start, end)
    )


def _instead_of_dead(
    state: State, source: int, number: int, mine: list[int], dead: list[int], usable: list[int]
) -> ParityRun | None:
    spare = state.spare[number]
    best: ParityRun | None = None
    eligible = 0
    for start, end, wanted, supply in spans(state, number, dead, usable):
        if wanted > supply or (spare and spare.get(start, 0) >= wanted):
            continue
        eligible += (end - start) * wanted
        if best is None:
            best = _first(state, source, dead, mine, start, end)
    return best and ParityRun(best.fragment, best.parity, best.start, best.end, eligible)


def _instead_of_late(
    state: State, source: int, number: int, mine: list[int], dead: list[int], usable: list[int]
) -> ParityRun | None:
    """The first row for a fragment that comes in any case; what the dead need of it is left."""
    spare = state.spare[number]
    doubts = bool(spare or state.suspects)
    best: tuple[int, int, int, int] | None = None
    before = sought = sys.maxsize
    for fragment in late_ones(state, number):
        free = state.free[fragment]
        if not free.count or free.runs[0][0] >= sought or (dead and fragment in dead):
            continue
        for parity in mine:
            end = 0
            while (run := free.first_shared(state.free[parity], end)) and run[0] < before:
                at, end = run
                if doubts:
                    at = _first_wanted(state, source, number, parity, at, end)
                    if at >= end or at >= before:
                        continue
                until = end
                if dead:
                    lacking = spans(state, number, [*dead, fragment], usable)
                    span = next((s for s in lacking if s[0] <= at < s[1]), None)
                    if span is None or span[2] > span[3]:
                        continue
                    until = min(end, span[1])
                best, before = (fragment, parity, at, until), at
                # A fragment without free pieces before this has no row before the one found.
                sought = max([state.free[p].none_since(at) for p in mine])
                break
    if best is None:
        return None
    fragment, parity, at, until = best
    return ParityRun(fragment, parity, at, until, until - at)


def _first_wanted(state: State, source: int, number: int, parity: int, start: int, end: int) -> int:
    """The first of some rows in which a source can send parity and not enough is there to spare."""
    spare = state.spare[number]
    at = start
    while at < end and (
        (at in spare and _enough(state, number, at, spare[at]))
        or (state.suspects and state.suspect(source, parity, at))
    ):
        at += 1
    return at


def _first(
    state: State, source: int, lost: list[int], mine: list[int], start: int, end: int
) -> ParityRun | None:
    for parity in mine:
        if start not in state.free[parity] or state.suspect(source, parity, start):
            continue
        for fragment in lost:
            if start in state.free[fragment]:
                return ParityRun(fragment, parity, start, end, 0)
    return None


def _enough(state: State, number: int, row: int, spare: int) -> bool:
    """Whether spare parity is as much as the data pieces of a row that nobody brings."""
    for fragment in state.layout.sets[number].data:
        if row in state.free[fragment]:
            if not spare:
                return False
            spare -= 1
    return True


def helpers(state: State, sources: Iterable[int]) -> set[Group]:
    """The groups of parity that some of these sources hold."""
    held = state.groups.parity_of_source
    return {group for source in sources for group in held[source]}


def may_stand_in(state: State, request: Request, among: set[Group]) -> bool:
    """Whether parity in some groups may bring the end of a request, were it late."""
    of = state.groups.of
    if request.via != request.fragment:  # another holder of the same parity
        return of[request.via] in among
    number = state.layout.set_of[request.fragment]
    if number >= 0:
        last, free = open_end(state, request) - 1, state.free
        for fragment in state.layout.sets[number].parity:
            if of[fragment] in among and last in free[fragment]:
                return True
    return False


def stand_ins(state: State, request: Request, among: set[Group]) -> list[int]:
    """The parity fragments, in some groups, that may bring the end of a request instead."""
    end = open_end(state, request)
    if end <= request.pos or not may_stand_in(state, request, among):
        return []
    if request.via != request.fragment:
        return [request.via]
    number = state.layout.set_of[request.fragment]
    if request.fragment not in late_ones(state, number):
        return []
    of, last = state.groups.of, end - 1
    parity = state.layout.sets[number].parity
    return [f for f in parity if of[f] in among and last in state.free[f]]


def instead_of(state: State, request: Request, source: int, among: list[int]) -> int:
    """Which of some parity fragments a source can send for the end of a request; -1: none."""
    last = open_end(state, request) - 1
    for parity in among:
        if state.can_serve(source, parity) and not state.suspect(source, parity, last):
            return parity
    return -1
