"""Fragments by who holds them: what one source may bring is found without looking at each.

All fragments with the same holders form a *group*. Decisions look at groups, of which there are
as many as ways in which fragments are spread, and not at fragments, of which there may be
thousands; nothing here grows with pieces times sources.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Protocol, TypeVar

from regather.planner.health import MAX_CORRUPT, Health

_KEEP_SECONDS = 0.1
_KEEP_LONG_SECONDS = 0.25
"""How long what was summed over few or many holders stands: rates do not change faster."""
_MANY = 32


T = TypeVar("T")


class Pool(Protocol):
    """The sources, and what is known of all of them."""

    sources: list[Health]
    weighted_rate: list[float]
    rated: int

    def mean_rate(self) -> float:
        """Mean rate of the sources that have one."""
        ...


@dataclass(slots=True, eq=False, repr=False)
class Group:
    """Fragments that the same sources hold."""

    holders: frozenset[int]
    fragments: int = 0
    """How many they are; a group without any is of no use."""
    free: int = 0
    """Pieces that are neither settled nor in flight."""
    flying: int = 0
    """Pieces that requests in flight are still to bring."""
    standing_in: int = 0
    """Requests in flight for parity of the group, which stands in for data."""
    free_heap: list[int] = field(default_factory=list)
    """Heap of the fragments with free pieces; may name some that have none any more."""
    untouched_heap: list[int] = field(default_factory=list)
    """Heap of those that nobody had begun when they came in; may name some that are begun."""
    trusted: bool = False
    """Whether some holder neither fails nor sent wrong bytes; as of ``judged``."""
    judged: int = -1
    known_supply: float = 0.0
    """Bytes a second that the holders bring together; stands until then, or so many have a rate."""
    known_until: float = float("-inf")
    known_rated: int = -1
    _pick: Callable[[Sequence[Any]], tuple[Any, ...]] | None = None
    _rates: list[float] = field(default_factory=list)
    _faster: list[float] = field(default_factory=list)
    _ranked_until: float = float("-inf")

    def supply(self, pool: Pool, now: float) -> float:
        """Bytes a second that the holders bring together, at most; for all that they hold."""
        if now < self.known_until and pool.rated <= self.known_rated:
            return self.known_supply
        self.known_until = now + self._keep
        # As long as more and more rates become known, the sum is of another kind.
        self.known_rated = pool.rated + pool.rated // 8
        rates: Sequence[float] = self._of_holders(pool.weighted_rate)
        if pool.rated < len(pool.sources):
            mean = pool.mean_rate()
            rates = [own if own >= 0 else -own * mean for own in rates]
        self.known_supply = sum(rates) or pool.mean_rate()
        return self.known_supply

    @property
    def _keep(self) -> float:
        return _KEEP_SECONDS if len(self.holders) <= _MANY else _KEEP_LONG_SECONDS

    def _of_holders(self, by_source: Sequence[T]) -> Sequence[T]:
        """What belongs to the holders, taken out of a list in a third of the time of a loop."""
        if self._pick is None:
            if len(self.holders) < 2:
                return [by_source[source] for source in self.holders]
            self._pick = itemgetter(*self.holders)
        return self._pick(by_source)

    def faster(self, pool: Pool, rate: float, now: float) -> float:
        """Bytes a second of the holders whose connections bring more than ``rate``."""
        if now >= self._ranked_until:
            self._ranked_until = now + self._keep
            rated = sorted(
                [
                    (h.rate, h.rate * (h.active or 1))
                    for h in self._of_holders(pool.sources)
                    if h.rate
                    and not h.failures
                    and not h.all_stalled
                    and h.corrupt_total < MAX_CORRUPT
                ]
            )
            self._rates = [rate for rate, _ in rated]
            self._faster = [0.0] * (len(rated) + 1)
            for at in range(len(rated) - 1, -1, -1):
                self._faster[at] = self._faster[at + 1] + rated[at][1]
        return self._faster[bisect_right(self._rates, rate)]

    def invalidate(self) -> None:
        """Sum anew at the next question: a holder came or went."""
        self.known_until = self._ranked_until = float("-inf")


class Groups:
    """All groups, by fragment and by source."""

    def __init__(
        self, holdings: Sequence[frozenset[int] | None], fragments: int, data_count: int
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
        self._empty = 0
        """How many groups have no fragments any more."""
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

    def drop_holder(
        self, fragment: int, source: int, free: int, flying: int, standing_in: int
    ) -> None:
        """A source turned out not to have a fragment with so many pieces free and in flight."""
        old = self.of[fragment]
        if source not in old.holders:
            return
        new = self.of[fragment] = self._with(old.holders - {source}, fragment)
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
        if free:
            heapq.heappush(new.free_heap, fragment)
            heapq.heappush(new.untouched_heap, fragment)

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
