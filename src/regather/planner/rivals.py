"""Requests that work on the same pieces: who may bring a piece, where more than one may."""

from __future__ import annotations

from regather.planner.inflight import Request
from regather.planner.state import State


def rivals_of(state: State, fragment: int, piece: int) -> list[Request]:
    """The requests that may bring a piece, where more than one may; else perhaps none."""
    few = state.hedged.get((fragment, piece), ()) if state.hedged else ()
    many = state.overlapping[fragment]
    if not many:
        return [r for r in few if not r.cancelled] if few else []
    found = {**many, **{r.id: r for r in few}}.values()
    return [r for r in found if not r.cancelled and r.pos <= piece < r.end]


def note_whole(state: State, new: Request) -> None:
    """Note that all who bring pieces of a fragment have a rival, which brings all of it."""
    overlapping = state.overlapping[new.fragment]
    overlapping.update(state.working[new.fragment])
    overlapping[new.id] = new


def note_rivals(state: State, new: Request, victim: Request | None) -> None:
    """Note that a new request works on what this one may bring as well."""
    if victim is not None and victim.end - victim.pos == 1 and not victim.whole:
        # The race may be one of before, of which a request that was cancelled has yet to end.
        racing = state.hedged.setdefault((new.fragment, new.pos), [])
        if victim not in racing:
            racing.append(victim)
        racing.append(new)
    else:
        state.overlapping[new.fragment][new.id] = new


def forget_rival(state: State, request: Request) -> None:
    """A request has ended."""
    if many := state.overlapping[request.fragment]:
        many.pop(request.id, None)
    if state.hedged:
        at = request.fragment, request.end - 1
        racing = state.hedged.get(at)
        if racing is not None and request in racing:
            racing.remove(request)
            if not racing:
                del state.hedged[at]
