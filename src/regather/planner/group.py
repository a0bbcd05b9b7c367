"""One group of fragments: those that the same sources hold."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Protocol, TypeVar

from regather.planner.health import MAX_CORRUPT, Health
from regather.planner.readers import Line

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
    now: float

    def mean_rate(self) -> float:
        """Mean rate of the sources that have one."""
        ...


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
    free_heap: list[int]
    """Heap of the fragments with free pieces; may name some that have none any more."""
    untouched_heap: list[int]
    """Heap of those that nobody had begun when they came in; may name some that are begun."""
    urgent: Line | None = None
    """Readers that wait for pieces of the group."""
    ahead: Line | None = None
    """Readers whose read-ahead is of the group."""
    trusted: bool = False
    """Whether some holder neither fails nor sent wrong bytes; as of ``judged``."""
    judged: int = -1
    known_supply: float = 0.0
    """Bytes a second that the holders bring together; stands until then, or so many have a rate."""
    known_until: float = float("-inf")
    known_rated: int = -1
    _pick: Callable[[Sequence[Any]], tuple[Any, ...]] | None = None
    _rates: list[float]
    _faster: list[float]
    _ranked_until: float = float("-inf")

    def __init__(self, holders: frozenset[int]) -> None:
        self.holders = holders
        self.free_heap, self.untouched_heap = [], []
        self._rates, self._faster = [], []

    def supply(self, pool: Pool) -> float:
        """Bytes a second that the holders bring together, at most; for all that they hold."""
        if pool.now < self.known_until and pool.rated <= self.known_rated:
            return self.known_supply
        self.known_until = pool.now + self._keep
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

    def faster(self, pool: Pool, rate: float) -> float:
        """Bytes a second of the holders whose connections bring more than ``rate``."""
        if pool.now >= self._ranked_until:
            self._ranked_until = pool.now + self._keep
            rated = sorted(
                [
                    (h.rate, h.rate * (h.active or 1))
                    for h in self._of_holders(pool.sources)
                    if h.rate
                    and pool.now >= h.retry_at
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

    def line(self, *, urgent: bool) -> Line:
        """The line of readers that wait, or of their read-ahead."""
        if urgent:
            line = self.urgent = self.urgent or Line()
        else:
            line = self.ahead = self.ahead or Line()
        return line

    def replace_holders(self, holders: frozenset[int]) -> None:
        """Other sources hold all of it now."""
        self.holders = holders
        self._pick = None
        self.judged = -1
        self.invalidate()

    def invalidate(self) -> None:
        """Sum anew at the next question: a holder came or went."""
        self.known_until = self._ranked_until = float("-inf")
