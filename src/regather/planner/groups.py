"""Fragments by who holds them: what one source may bring is found without looking at each.

All fragments with the same holders form a *group*. Decisions look at groups, of which there are
as many as ways in which fragments are spread, and not at fragments, of which there may be
thousands; nothing here grows with pieces times sources.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from regather.planner.group import Group, Pool
from regather.planner.inflight import Request
from regather.planner.intervals import IntervalSet
from regather.planner.readers import ReaderTurns

_IN_FREE, _IN_UNTOUCHED = 1, 2

Counts: TypeAlias = tuple[int, int, int]
"""Of a fragment: pieces that are free, pieces in flight, and requests for it as parity."""


class Groups:
    """All groups, by fragment and by source."""

    def __init__(
        self,
        holdings: Sequence[frozenset[int] | None],
        fragments: int,
        data_count: int,
        turns: ReaderTurns,
    ) -> None:
        """``holdings`` has, by source, the fragments that it holds; None: perhaps all.

        Of the ``fragments``, the first ``data_count`` are data; parity is grouped apart.
        """
        everywhere = frozenset(s for s, held in enumerate(holdings) if held is None)
        holders: dict[int, set[int]] = {}
        for source, held in enumerate(holdings):
            for fragment in held or ():
                holders.setdefault(fragment, set()).add(source)
        self._data_count = data_count
        self._by_holders: dict[tuple[frozenset[int], bool], Group] = {}
        self.of_source: list[list[Group]] = [[] for _ in holdings]
        """By source: the groups of data that it holds."""
        self.parity_of_source: list[list[Group]] = [[] for _ in holdings]
        """By source: the groups of parity that it holds."""
        self.of: list[Group] = []
        """By fragment: its group."""
        self.judgements = 0
        """Counted up when a source failed, fell silent, recovered or lied."""
        self.turns = turns
        self._empty = 0
        """How many groups have no fragments any more."""
        self._listed = bytearray(fragments)
        """By fragment: in which heaps of its group it stands."""
        self.moves = 0
        """Counted up when a fragment came into another group."""
        for fragment in range(fragments):
            own = holders.get(fragment)
            group = self._with(everywhere.union(own) if own else everywhere, fragment)
            group.fragments += 1
            self.of.append(group)

    def _with(self, holders: frozenset[int], fragment: int) -> Group:
        data = fragment < self._data_count
        group = self._by_holders.get((holders, data))
        if group is None:
            group = self._by_holders[holders, data] = Group(holders)
            by_source = self.of_source if data else self.parity_of_source
            for source in holders:
                by_source[source].append(group)
        return group

    def list_free(self, fragment: int, *, untouched: bool) -> None:
        """A fragment has free pieces, and perhaps nobody works on it."""
        group, listed = self.of[fragment], self._listed
        if not listed[fragment] & _IN_FREE:
            listed[fragment] |= _IN_FREE
            heapq.heappush(group.free_heap, fragment)
        if untouched and not listed[fragment] & _IN_UNTOUCHED:
            listed[fragment] |= _IN_UNTOUCHED
            heapq.heappush(group.untouched_heap, fragment)

    def first(
        self, group: Group, free: list[IntervalSet], working: list[dict[int, Request]]
    ) -> int:
        """The fragment of a group to begin with: one that nobody works on, if there is.

        Drops from its heaps what does not belong there any more.
        """
        heap, of, listed = group.untouched_heap, self.of, self._listed
        while heap:
            fragment = heap[0]
            own = of[fragment] is group
            if own and free[fragment].count and not working[fragment]:
                return fragment
            heapq.heappop(heap)
            if own:
                listed[fragment] &= ~_IN_UNTOUCHED & 255
        heap = group.free_heap
        while True:
            fragment = heap[0]
            own = of[fragment] is group
            if own and free[fragment].count:
                return fragment
            heapq.heappop(heap)
            if own:
                listed[fragment] &= ~_IN_FREE & 255

    def held_by(self, source: int) -> list[int]:
        """The fragments that a source holds, or may hold."""
        groups = {id(g) for g in self.of_source[source]}
        groups |= {id(g) for g in self.parity_of_source[source]}
        return [fragment for fragment, group in enumerate(self.of) if id(group) in groups]

    # -- holders that come and go ---------------------------------------------------------

    def drop_holder(self, fragment: int, source: int, counts: Counts) -> None:
        """A source turned out not to have a fragment, of which ``counts`` tells the pieces."""
        old = self.of[fragment]
        if source in old.holders:
            self._move(fragment, old.holders - {source}, counts)

    def _move(self, fragment: int, holders: frozenset[int], counts: Counts) -> None:
        """A fragment has other holders now."""
        free, flying, standing_in = counts
        old = self.of[fragment]
        new = self.of[fragment] = self._with(holders, fragment)
        self.moves += 1
        new.fragments += 1
        old.fragments -= 1
        self._empty += not old.fragments
        if self._empty > len(self._by_holders) // 2:
            self._drop_empty()
        old.free -= free
        old.flying -= flying
        new.free += free
        new.flying += flying
        old.standing_in -= standing_in
        new.standing_in += standing_in
        self._listed[fragment] = 0
        if free:
            self.list_free(fragment, untouched=True)
        self.turns.move(old.urgent, new.line(urgent=True))
        self.turns.move(old.ahead, new.line(urgent=False))

    def add_source(
        self, source: int, held: frozenset[int] | None, counts: Callable[[int], Counts]
    ) -> None:
        """A new source, with the next number; ``held`` as in ``__init__``."""
        self.of_source.append([])
        self.parity_of_source.append([])
        inside: dict[int, list[int]] = {}
        for fragment in range(len(self.of)) if held is None else held:
            inside.setdefault(id(self.of[fragment]), []).append(fragment)
        for fragments in inside.values():
            group = self.of[fragments[0]]
            holders = group.holders | {source}
            if len(fragments) < group.fragments:
                for fragment in fragments:
                    self._move(fragment, holders, counts(fragment))
            else:
                data = fragments[0] < self._data_count
                self._rename(group, holders, data)
                (self.of_source if data else self.parity_of_source)[source].append(group)

    def remove_source(self, source: int) -> None:
        """A source holds nothing any more."""
        for by_source, data in ((self.of_source, True), (self.parity_of_source, False)):
            for group in list(by_source[source]):
                holders = group.holders - {source}
                other = self._by_holders.get((holders, data))
                if other is None:
                    self._rename(group, holders, data)
                else:
                    self._merge(group, other, data)
            by_source[source] = []

    def _rename(self, group: Group, holders: frozenset[int], data: bool) -> None:
        """All fragments of a group have other holders now."""
        del self._by_holders[group.holders, data]
        self._by_holders[holders, data] = group
        group.replace_holders(holders)
        self.moves += 1
        self.judgements += 1

    def _merge(self, group: Group, other: Group, data: bool) -> None:
        """All fragments of a group have the holders of another one now."""
        del self._by_holders[group.holders, data]
        for source in group.holders:
            (self.of_source if data else self.parity_of_source)[source].remove(group)
        listed = [f for f, own in enumerate(self.of) if own is group]
        for fragment in listed:
            self.of[fragment] = other
            before, self._listed[fragment] = self._listed[fragment], 0
            if before & _IN_FREE:
                self.list_free(fragment, untouched=bool(before & _IN_UNTOUCHED))
        other.fragments += group.fragments
        other.free += group.free
        other.flying += group.flying
        other.standing_in += group.standing_in
        self.turns.move(group.urgent, other.line(urgent=True))
        self.turns.move(group.ahead, other.line(urgent=False))
        self.moves += 1
        self.judgements += 1

    def _drop_empty(self) -> None:
        """Forget groups that all fragments have left, where sources turned out to have less."""
        for lists in (self.of_source, self.parity_of_source):
            for groups in lists:
                groups[:] = [group for group in groups if group.fragments]
        kept = {key: group for key, group in self._by_holders.items() if group.fragments}
        self._by_holders = kept
        self._empty = 0

    def trusted(self, fragment: int, pool: Pool) -> bool:
        """Whether some source that neither fails nor sent wrong bytes holds a fragment."""
        group = self.of[fragment]
        if group.judged != self.judgements:
            group.judged = self.judgements
            group.trusted = any(
                not (health := pool.sources[s]).distrusted and not health.unreachable
                for s in group.holders
            )
        return group.trusted

    def invalidate(self, source: int) -> None:
        """A source came or went: sum anew what it has a part in."""
        self.judgements += 1
        for group in self.of_source[source]:
            group.invalidate()

    def in_order(self, group: Group) -> Iterator[int]:
        """The fragments of a group that have, or had, free pieces, in order, each once."""
        last = -1
        for fragment in sorted(group.free_heap):
            if fragment != last and self.of[fragment] is group:
                yield fragment
            last = fragment
