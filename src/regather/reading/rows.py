"""Rows of erasure sets that are fetched in order to compute a piece of them: decisions only."""

from __future__ import annotations

import math
from collections.abc import Callable, Set

from regather.model import Layout
from regather.reading.cache import Cache
from regather.reading.holders import NEGLIGIBLE, SLOWER, Holders
from regather.reading.wants import Decode, Request, Row


class Rows:
    """The rows under way. Their members are wanted, and so pinned, as if a reader needed them."""

    def __init__(
        self,
        layout: Layout,
        cache: Cache,
        holders: Holders,
        failed: Set[int],
        want: Callable[[int], object],
        release: Callable[[int], object],
    ) -> None:
        """``failed``, ``want`` and ``release`` are those of the plan."""
        self._layout = layout
        self._cache = cache
        self._holders = holders
        self._failed = failed
        self._want = want
        self._release = release
        self._members: dict[Row, tuple[int, ...]] = {}
        """By row: the k fragments it is to be computed from."""
        self._decoding: dict[Row, Decode] = {}
        self._broken: set[Row] = set()
        """Rows whose parity does not fit the data, although all hashes do."""
        self.begun = 0
        """How many were begun."""

    def busy(self, number: int) -> bool:
        """Whether a data piece is going to be computed."""
        fragment, row = self._layout.locate(number)
        key = self._layout.set_of[fragment], row
        members = self._members.get(key)
        return members is not None and fragment not in members and self._layout.is_data(fragment)

    def begin(
        self,
        fragment: int,
        row: int,
        now: float,
        within: float = math.inf,
        *,
        hoping: bool = False,
    ) -> bool:
        """Fetch what a data piece can be computed from.

        False where there is not enough, or it clearly takes more than ``within`` seconds. With
        ``hoping`` what no sound source has is counted on too, if some other may bring it.
        """
        number = self._layout.set_of[fragment]
        key = number, row
        if number < 0 or not self._layout.is_data(fragment):
            return False
        if key in self._members or key in self._broken:
            return False
        erasure_set = self._layout.sets[number]
        members = (*erasure_set.data, *erasure_set.parity)
        there = [m for m in members if self._there(m, row)]
        length = self._layout.length(erasure_set.parity[0], row)
        others = {
            m: min(self._holders.seconds(s, length) for s in sound)
            for m in members
            if m not in there and (sound := self._holders.sound(m, row, now))
        }
        if hoping:
            for m in members:
                if m not in there and m not in others and self._holders.hopeful(m, now):
                    others[m] = math.inf
        slow = SLOWER * min(others.values(), default=0.0) + NEGLIGIBLE
        # Data first, unless it comes slowly: it may be read itself.
        order = sorted(others, key=lambda m: (others[m] > slow, not self._layout.is_data(m)))
        chosen = (*there, *order)[: len(erasure_set.data)]
        if len(chosen) < len(erasure_set.data):
            return False
        if max((others.get(m, 0.0) for m in chosen), default=0.0) > within:
            return False
        self._members[key] = tuple(sorted(chosen, key=members.index))
        for number in self._pieces(key):
            self._want(number)
        self.begun += 1
        return True

    def hopeful(self, fragment: int, row: int, now: float) -> bool:
        """Whether a piece may be computed yet, when failing sources are back."""
        number = self._layout.set_of[fragment]
        if number < 0 or not self._layout.is_data(fragment) or (number, row) in self._broken:
            return False
        erasure_set = self._layout.sets[number]
        members = (*erasure_set.data, *erasure_set.parity)
        hope = sum(self._there(m, row) or self._holders.hopeful(m, now) for m in members)
        return hope >= len(erasure_set.data)

    def without(self, request: Request, now: float, guess: Callable[[int], float]) -> float:
        """Seconds until others have brought what replaces the next piece of a request.

        ``guess`` tells how long a source takes for one piece. Infinite where others cannot.
        """
        number, row = self._layout.set_of[request.fragment], request.pos
        if number < 0:
            return math.inf
        erasure_set = self._layout.sets[number]
        costs = []
        for member in (*erasure_set.data, *erasure_set.parity):
            if member == request.fragment:
                continue
            if self._there(member, row):
                costs.append(0.0)
            elif others := set(self._holders.sound(member, row, now)) - {request.source}:
                costs.append(min(map(guess, others)))
        k = len(erasure_set.data)
        return sorted(costs)[k - 1] if len(costs) >= k else math.inf

    def ready(self, now: float) -> list[Decode]:
        """The rows that are complete; those that cannot be completed like this are given up."""
        orders = []
        for key, members in list(self._members.items()):
            if key in self._decoding:
                continue
            number, row = key
            make = self._to_make(key)
            missing = [m for m in members if not self._there(m, row)]
            lost = [m for m in missing if not self._holders.sound(m, row, now)]
            given_up = any(self._layout.number(m, row) in self._failed for m in missing)
            if not make or given_up or (lost and not self._worth_waiting(key, make, lost, now)):
                self._drop(key)
            elif not missing:
                self._decoding[key] = Decode(number, row, members, make)
                orders.append(self._decoding[key])
        return orders

    def needing(self, number: int) -> list[int]:
        """The pieces that are to be computed from this one."""
        fragment, row = self._layout.locate(number)
        key = self._layout.set_of[fragment], row
        if fragment not in self._members.get(key, ()):
            return []
        return [self._layout.number(f, row) for f in self._to_make(key)]

    def released(self, number: int) -> None:
        """Nobody needs a piece any more: nor, perhaps, what it was to be computed from."""
        fragment, row = self._layout.locate(number)
        key = self._layout.set_of[fragment], row
        if key in self._members and key not in self._decoding and not self._to_make(key):
            self._drop(key)

    def _to_make(self, key: Row) -> tuple[int, ...]:
        """The fragments whose pieces are needed of a row, and are not what it is computed from."""
        number, row = key
        return tuple(
            f
            for f in self._layout.sets[number].data
            if f not in self._members[key]
            and self._layout.pieces_of(f) > row
            and (n := self._layout.number(f, row)) not in self._cache
            and self._cache.pinned(n)
        )

    def _worth_waiting(self, key: Row, make: tuple[int, ...], lost: list[int], now: float) -> bool:
        """Whether to keep a row although no sound source can bring ``lost`` of it now.

        It is where nothing else would do either: then what is on its way, though late, is best.
        """
        number, row = key
        erasure_set = self._layout.sets[number]
        members = (*erasure_set.data, *erasure_set.parity)
        at_hand = [m for m in members if self._there(m, row) or self._holders.sound(m, row, now)]
        other_way = len(at_hand) >= len(erasure_set.data)
        itself = any(self._holders.sound(f, row, now) for f in make)
        return not other_way and not itself and all(self._holders.hopeful(m, now) for m in lost)

    def ended(self, number: int, row: int, right: bool) -> tuple[int, ...]:
        """A row was computed; returns the fragments whose pieces were made."""
        order = self._decoding.pop((number, row))
        if not right:
            self._broken.add((number, row))
        self._drop((number, row))
        return order.make

    def _there(self, fragment: int, row: int) -> bool:
        """Whether a piece is in the cache, or stands for zeros since the fragment is shorter."""
        layout = self._layout
        return layout.pieces_of(fragment) <= row or layout.number(fragment, row) in self._cache

    def _pieces(self, key: Row) -> list[int]:
        _, row = key
        layout = self._layout
        return [layout.number(m, row) for m in self._members[key] if layout.pieces_of(m) > row]

    def _drop(self, key: Row) -> None:
        numbers = self._pieces(key)
        del self._members[key]
        for number in numbers:
            self._release(number)
