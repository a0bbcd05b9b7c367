"""Which parity pieces are worth fetching instead of data. Reads the state, changes nothing.

Parity costs no more bytes than the data that it stands in for, but the row must be computed. So it
is taken only where nobody can send the data now, or where its source is so much slower than the
others that the download would wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from regather.planner.pace import request_rate
from regather.planner.rows import spans
from regather.planner.state import Request, State

_SLOWER = 3.0
"""A source is slow where the usual one is so many times as fast."""
_WORTH_SECONDS = 0.5
"""Waiting so long for a slow source is no reason to compute anything."""


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
    """The best parity rows that a source holds, for free pieces; None where none is wanted."""
    for number, erasure_set in enumerate(state.layout.sets):
        mine = [f for f in erasure_set.parity if state.free[f] and state.can_serve(source, f)]
        if not mine:
            continue
        lost = [
            f
            for f in erasure_set.data
            if state.free[f] and (not state.trusted(f) or is_slow(state, f, now))
        ]
        if not lost:
            continue
        usable = [f for f in erasure_set.parity if state.free[f] and state.hopeful(f)]
        spare = state.spare[number]
        best: Rows | None = None
        eligible = 0
        for start, end, wanted, supply in spans(state, number, lost, usable):
            if wanted > supply or (spare and spare.get(start, 0) >= wanted):
                continue
            eligible += (end - start) * wanted
            if best is None:
                best = _first(state, source, lost, mine, start, end)
        if best is not None:
            return Rows(best.fragment, best.parity, best.start, best.end, eligible)
    return None


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


def _covers(state: State, fragment: int, row: int) -> bool:
    return any(a <= row < b for a, b in state.free[fragment])


def is_slow(state: State, fragment: int, now: float) -> bool:
    """Whether a data fragment comes so slowly that the download will wait for it."""
    working = [r for r in state.working[fragment].values() if not r.cancelled]
    direct = [r for r in working if r.via == fragment]
    coming = [r for r in direct if r.behind is None]
    if all(now - r.began < _WORTH_SECONDS for r in coming):
        return False  # too early to tell
    speed = sum(_steady_rate(state, r, now) for r in coming)
    backlog = state.free[fragment].count + sum(r.end - r.pos for r in direct)
    if backlog * state.layout.piece_size < speed * _WORTH_SECONDS:
        return False
    usual = [h.rate * max(h.active, 1) for h in state.sources if h.rate]
    return bool(usual) and speed * _SLOWER < median(usual)


def _steady_rate(state: State, request: Request, now: float) -> float:
    """The rate of a request, not disturbed by a short silence: those are no reason to compute."""
    known = state.sources[request.source].rate
    return request_rate(state, request, now) if now - request.moved > _WORTH_SECONDS else known


def instead_of(state: State, request: Request, source: int, now: float) -> int:
    """The parity fragment with which a source may take over the end of a request; -1: none."""
    number = state.layout.set_of[request.fragment]
    if number < 0 or request.via != request.fragment or request.end <= request.pos:
        return -1
    last = request.end - 1
    for parity in state.layout.sets[number].parity:
        if (
            state.can_serve(source, parity)
            and _covers(state, parity, last)
            and not state.suspect(source, parity, last)
            and is_slow(state, request.fragment, now)
        ):
            return parity
    return -1


def free_since(state: State, fragment: int, end: int) -> int:
    """Where the run of free pieces begins that reaches up to ``end``."""
    return next(a for a, b in state.free[fragment] if a < end <= b)
