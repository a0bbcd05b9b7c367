"""How many further failures an erasure set survives: pure arithmetic, no I/O."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Survival", "survival"]

_MOST_TRIALS = 20_000
"""Sets of sources that are tried out; beyond that a lower bound has to do."""


@dataclass(frozen=True, slots=True)
class Survival:
    """What may fail, whichever it is, so that all data can still be had."""

    fragments: int
    """Stored copies of fragments; -1 where there is not enough even now."""
    sources: int
    """Whole sources; -1 where there is not enough even now."""
    exact: bool
    """Whether one more failure can be too many; else the numbers are safe, but may be too low."""


def survival(needed: int, holders: Sequence[frozenset[int]]) -> Survival:
    """What a set survives of which ``needed`` distinct fragments must remain.

    ``holders`` are, for each fragment of the set, the sources with a good copy of it.
    """
    good = [h for h in holders if h]
    if len(good) < needed:
        return Survival(-1, -1, True)
    union = frozenset[int]().union(*good)
    copies = sorted(map(len, good))
    if needed <= 0:
        return Survival(sum(copies), len(union), True)
    # It is lost once so many fragments have lost their last copy:
    fatal = len(good) - needed + 1
    least = sum(copies[:fatal])
    if fatal == len(good):
        return Survival(least - 1, len(union) - 1, True)
    if fatal == 1:
        return Survival(least - 1, copies[0] - 1, True)
    sources, exact = _sources(good, fatal, least)
    return Survival(least - 1, sources, exact)


def _sources(good: Sequence[frozenset[int]], fatal: int, least: int) -> tuple[int, bool]:
    names = sorted(frozenset[int]().union(*good))
    load = sorted((sum(name in h for h in good) for name in names), reverse=True)
    # No fewer sources than these hold as many copies as must be lost.
    bound = next(t for t in range(1, len(load) + 1) if sum(load[:t]) >= least) - 1
    trials = 0
    for count in range(bound + 1, len(names) + 1):
        trials += math.comb(len(names), count)
        if trials > _MOST_TRIALS:
            return count - 1, False
        for gone in itertools.combinations(names, count):
            away = frozenset(gone)
            if sum(h <= away for h in good) >= fatal:
                return count - 1, True
    raise AssertionError("without any source nothing remains")
