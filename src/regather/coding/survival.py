"""How many places may be lost: pure arithmetic on who holds which fragment.

A *place* is a number: a server, a folder, whatever fails as one. ``holders`` says, by position in
the layout, which places hold a fragment. An erasure set is there as long as k different fragments
of it are, a fragment without a set as long as one copy of it is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from regather.model import Layout

HoldersOf = Sequence[Collection[int]]
"""By fragment: the places that hold it."""
_MOST_COMBINATIONS = 20_000
"""Combinations of lost places that are tried for one set before a lower bound must do."""
_MOST_STEPS = 20_000_000
"""Fragments looked at for all sets together: some seconds, where a hostile manifest has many."""


@dataclass(frozen=True, slots=True)
class Survival:
    """How many places may be lost, whichever they are, so that all can still be had."""

    failures: int
    """-1 where something cannot be had even with all places there."""
    exact: bool = True
    """False: at least so many; counting exactly would take too long."""


def survival(layout: Layout, holders: HoldersOf) -> Survival:
    """How many places may fail before the file cannot be put together any more."""
    worst: Survival | None = None
    survivals = Survivals()
    for k, members in _groups(layout):
        found = survivals.of([holders[f] for f in members], k)
        # Of equal ones the exact one: then there is no doubt left.
        if worst is None or (found.failures, not found.exact) < (worst.failures, not worst.exact):
            worst = found
        if worst.failures < 0:
            break
    return worst or Survival(-1)


class Survivals:
    """Counts set after set, with as much work for all together as for a few hard ones."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, tuple[int, ...]], Survival] = {}
        self._left = _MOST_STEPS

    def of(self, holders: HoldersOf, k: int) -> Survival:
        """See ``set_survival``; a lower bound where no work is left."""
        # Sets are mostly placed alike, only further around the circle: counted once.
        key = (k, _normal(holders))
        if key not in self._known:
            steps = Steps(self._left)
            self._known[key] = set_survival(holders, k, steps)
            self._left = steps.left
        return self._known[key]


@dataclass(slots=True)
class Steps:
    """How much work may still be done, and was refused."""

    left: int

    def take(self, count: int) -> bool:
        """Whether there is enough left for ``count`` steps, which are taken then."""
        if count > self.left:
            return False
        self.left -= count
        return True


def set_survival(holders: HoldersOf, k: int, steps: Steps | None = None) -> Survival:
    """How many places may fail so that ``k`` of these fragments are left, each somewhere.

    ``steps`` bounds the work besides what grows with the number of copies.
    """
    steps = steps or Steps(_MOST_STEPS)
    held = [frozenset(h) for h in holders if h]
    if len(held) < k:
        return Survival(-1)
    everywhere = frozenset[int]().union(*held)
    if k <= 1:
        return Survival(len(everywhere) - max(k, 0))
    fatal = len(held) - k + 1  # so many fragments must go for good
    copies = sorted(map(len, held))
    if fatal == 1:
        return Survival(copies[0] - 1)
    least = _least_by_load(held, fatal) - 1
    copies_in_all = sum(copies)
    if copies[-1] > 1 and steps.take(len(held) * copies_in_all):
        least = max(least, happiness(held) - k)
    if copies[-1] == 1:
        return Survival(least)  # one copy each: losing the fullest places first is the worst
    places = sorted(everywhere)
    bit = {place: 1 << n for n, place in enumerate(places)}
    masks = [sum(bit[p] for p in h) for h in held]
    tried = 0
    for lost in range(least + 1, len(places) + 1):
        tried += math.comb(len(places), lost)
        cost = math.comb(len(places), lost) * len(held)
        if tried > _MOST_COMBINATIONS or not steps.take(cost):
            return Survival(least, exact=False)
        if any(sum(not m & ~gone for m in masks) >= fatal for gone in _masks(len(places), lost)):
            return Survival(lost - 1)
        least = lost
    raise AssertionError("with all places gone, all fragments are")


def copies_survived(holders: HoldersOf, k: int) -> int:
    """How many single copies may go, whichever, so that ``k`` fragments are left; or -1."""
    copies = sorted(len(frozenset(h)) for h in holders if h)
    if len(copies) < k:
        return -1
    # One is left over as long as not all copies of so many fragments are gone.
    return sum(copies[: len(copies) - k + 1]) - 1 if k > 0 else sum(copies)


def _masks(places: int, lost: int) -> Iterator[int]:
    return (sum(chosen) for chosen in combinations([1 << p for p in range(places)], lost))


def _least_by_load(held: Sequence[Collection[int]], fatal: int) -> int:
    """No fewer places than this hold all copies of ``fatal`` fragments."""
    needed = sum(sorted(map(len, held))[:fatal])
    load: dict[int, int] = {}
    for places in held:
        for place in places:
            load[place] = load.get(place, 0) + 1
    count = 0
    for fullest in sorted(load.values(), reverse=True):
        if needed <= 0:
            break
        needed -= fullest
        count += 1
    return count


def _normal(holders: HoldersOf) -> tuple[int, ...]:
    """The same for all placements that differ in nothing but the names of the places."""
    names: dict[int, int] = {}
    return tuple(
        sum(1 << names.setdefault(place, len(names)) for place in sorted(places))
        for places in holders
    )


def _groups(layout: Layout) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(how many are needed, which) for every set, and for every fragment without one."""
    for erasure_set in layout.sets:
        yield len(erasure_set.data), (*erasure_set.data, *erasure_set.parity)
    for position, number in enumerate(layout.set_of):
        if number < 0:
            yield 1, (position,)


def shared(layout: Layout, holders: HoldersOf) -> list[int]:
    """The places that hold more than one fragment of some erasure set, rising."""
    found: set[int] = set()
    for erasure_set in layout.sets:
        seen: set[int] = set()
        for fragment in (*erasure_set.data, *erasure_set.parity):
            for place in holders[fragment]:
                (found if place in seen else seen).add(place)
    return sorted(found)


def happiness(holders: HoldersOf) -> int:
    """How many places can each stand for a fragment of its own ("servers of happiness").

    Any ``h - k`` places may then be lost: at least k pairs of the matching stay.
    """
    return len(matching(dict(enumerate(holders))))


def matching(edges: Mapping[int, Collection[int]]) -> dict[int, int]:
    """A maximum matching of a bipartite graph: left to right, each at most once.

    ``edges`` has the right neighbours of every left node. Augmenting paths, found breadth first:
    left nodes times edges in the worst case, so let the smaller side be the left one.
    """
    left_of: dict[int, int] = {}
    for start in edges:
        came_from: dict[int, int] = {}  # right node: the left one that it was reached from
        queue = deque([start])
        free = None
        while queue and free is None:
            left = queue.popleft()
            for right in edges[left]:
                if right in came_from:
                    continue
                came_from[right] = left
                if right not in left_of:
                    free = right
                    break
                queue.append(left_of[right])
        if free is None:
            continue
        right_of = {left: right for right, left in left_of.items()}
        at: int | None = free
        while at is not None:
            left = came_from[at]
            left_of[at], at = left, right_of.get(left)
    return {left: right for right, left in left_of.items()}
