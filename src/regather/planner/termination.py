"""Whether there is hope for what is missing, and what to say where there is none. Reads only."""

from __future__ import annotations

from collections.abc import Iterable

from regather.planner import rows
from regather.planner.events import GiveUp, NeedSources
from regather.planner.pace import is_stuck
from regather.planner.state import State


def nothing_comes(state: State) -> bool:
    """Whether no request is in flight, save to sources that failed last or that say nothing."""
    if state.requests and not state.layout.sets:
        return False  # nothing could be done about it
    for request in state.requests.values():
        if not (is_stuck(state, request) or state.sources[request.source].failures):
            return False
    return True


def is_hope(state: State) -> bool:
    """Whether some missing piece may still come from a source that is worth waiting for."""
    data = range(state.layout.data_count)
    return any(state.free[f] and state.hopeful(f) for f in data) or any(
        rows.recoverable(state, number) for number in range(len(state.layout.sets))
    )


class SourceNeeds:
    """Asks for further sources, where there may be some, before anything is given up."""

    def __init__(self, state: State, *, may_come: bool) -> None:
        self._state = state
        self.may_come = may_come
        """Whether further sources can be had, for all that is known."""
        self._asked: set[int] = set()
        """The fragments for which further sources were asked for, and none has come since."""
        self._judged = -1

    def look_again(self) -> None:
        """Another source came, or something else is wanted."""
        self._asked.clear()
        self._judged = -1

    def look(self) -> None:
        """Ask for sources of fragments that cannot all be had, while others still come."""
        state = self._state
        judged = state.groups.judgements + state.groups.moves
        if judged == self._judged:
            return
        self._judged = judged
        self._ask([f for f in range(state.layout.data_count) if _lacks(state, f)])

    def ask_for_missing(self) -> None:
        """Nothing comes any more: ask for sources of all that is missing."""
        self._ask(_missing(self._state))

    def _ask(self, fragments: list[int]) -> None:
        state = self._state
        if self._asked.issuperset(fragments):
            return
        self._asked.update(fragments)
        state.actions.append(NeedSources(tuple(sorted(fragments + _lost_parity(state, fragments)))))


def _lacks(state: State, fragment: int) -> bool:
    """Whether some wanted pieces of a fragment have no source and no parity worth waiting for."""
    if not state.free[fragment] or state.hopeful(fragment):
        return False
    number = state.layout.set_of[fragment]
    if state.everything and number >= 0:
        return not rows.all_recoverable(state, number)  # quick, and exact for a whole file
    return bool(rows.beyond_recovery(state, fragment))


def _missing(state: State) -> list[int]:
    """The data fragments of which wanted pieces are missing."""
    return [
        f
        for f in range(state.layout.data_count)
        if any(
            rows.wanted_for_itself(state, f, piece)
            for run in state.wanted_within(f, 0, state.layout.pieces_of(f))
            for piece in range(*run)
            if not state.done[f][piece]
        )
    ]


def _lost_parity(state: State, fragments: Iterable[int]) -> list[int]:
    """The parity of the same sets that cannot be had either."""
    return [
        f
        for number in sorted({state.layout.set_of[f] for f in fragments} - {-1})
        for f in state.layout.sets[number].parity
        if state.done[f].find(0) >= 0 and not state.hopeful(f)
    ]


def give_up(state: State) -> GiveUp:
    """What is missing, and why."""
    missing = _missing(state)
    missing += _lost_parity(state, missing)
    corrupt = any(
        h.distrusted and ((own := state.holdings[s]) is None or any(f in own for f in missing))
        for s, h in enumerate(state.sources)
    )
    return GiveUp(tuple(missing), corrupt)
