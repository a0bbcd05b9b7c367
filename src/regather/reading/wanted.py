"""The pieces that readers need, or will probably need, and the requests that bring them."""

from __future__ import annotations

from collections.abc import Iterable

from regather.model import Layout
from regather.reading.cache import Cache
from regather.reading.wants import Request, Want

_MOST_BYTES = 16 << 20
"""Bytes of a request."""


class Wanted:
    """What is not here yet, by the running numbers of pieces."""

    def __init__(self, layout: Layout, cache: Cache) -> None:
        self._layout = layout
        self._cache = cache
        self.wants: dict[int, Want] = {}
        self.ahead: dict[int, None] = {}
        """What will probably be needed, in order."""
        self.failed: set[int] = set()
        """Those that are not to be had, until they are released."""

    # -- readers --------------------------------------------------------------------------

    def add(self, number: int, requests: Iterable[Request]) -> bool:
        """Pin a piece that a reader needs; whether it is not here yet.

        One of ``requests``, all that there are, may bring it already.
        """
        self._cache.pin(number)
        if number in self._cache:
            return False
        if number not in self.wants:
            self._add(number, requests)
        return True

    def _add(self, number: int, requests: Iterable[Request]) -> None:
        want = self.wants[number] = Want()
        for request in requests:  # one may bring it that was begun for another want
            if number in self._numbers(request) and not request.cancelled:
                (want.late if request.late else want.flying).add(request.id)

    def release(self, number: int) -> bool:
        """Unpin a piece; whether no reader needs it any more."""
        self._cache.unpin(number)
        if self._cache.pinned(number):
            return False
        self.failed.discard(number)
        if number not in self.ahead:
            self.wants.pop(number, None)
        return True

    def look_ahead(self, numbers: Iterable[int], requests: Iterable[Request]) -> bool:
        """These, and no others, will probably be needed; whether any is new."""
        old, self.ahead = self.ahead, dict.fromkeys(n for n in numbers if n not in self._cache)
        for number in old:
            if number not in self.ahead and not self._cache.pinned(number):
                self.wants.pop(number, None)
        new = False
        for number in self.ahead:
            if number not in self.wants:
                self._add(number, requests)
                new = True
        return new

    def arrived(self, number: int) -> None:
        """A piece is here."""
        self.ahead.pop(number, None)
        self.wants.pop(number, None)
        self.failed.discard(number)

    def in_order(self) -> tuple[list[int], list[int]]:
        """What readers wait for and may be had, and what they will probably need."""
        urgent = [n for n in self.wants if self._cache.pinned(n) and n not in self.failed]
        return sorted(urgent), [n for n in self.ahead if not self._cache.pinned(n)]

    # -- requests -------------------------------------------------------------------------

    def run(self, order: list[int], at: int) -> int:
        """How many pieces from ``order[at]`` on can be asked for in one request."""
        end = self._layout.first_pieces[self._layout.locate(order[at])[0] + 1]
        most = max(1, _MOST_BYTES // self._layout.piece_size)
        count = 1
        while count < min(most, len(order) - at, end - order[at]):
            number = order[at + count]
            want = self.wants.get(number)
            if number != order[at] + count or want is None or want.flying or want.late:
                break
            count += 1
        return count

    def bind(self, request: Request) -> None:
        """A request begins; all that it brings is wanted."""
        for number in self._numbers(request):
            self.wants[number].flying.add(request.id)

    def unbind(self, request: Request) -> None:
        """A request brings nothing any more."""
        for want in self.brought_by(request):
            want.flying.discard(request.id)
            want.late.discard(request.id)

    def brought_by(self, request: Request) -> list[Want]:
        """Of what a request is still to bring, what is wanted."""
        return [w for n in self._numbers(request) if (w := self.wants.get(n)) is not None]

    def _numbers(self, request: Request) -> range:
        first = self._layout.number(request.fragment, 0)
        return range(first + request.pos, first + request.end)
