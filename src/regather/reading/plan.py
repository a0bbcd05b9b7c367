"""Which pieces to ask of whom, for reads: decisions only, no I/O, no clock.

    want, release, ahead          what readers need, and what they will probably need next
    answered, piece_done, ...     what became of the requests
    decide(now) -> actions        requests to start or to break off, rows to compute

Pieces that a reader waits for come first, in order. Each is asked of the sound source that will
bring it first; neighbours go into one request. A request that falls silent, or that another source
would clearly overtake, is *late*: its pieces are asked of others as well, and whoever comes second
is broken off. Where no sound source has a piece, k others of its row are fetched and it is
computed; then liars and sources that know no ranges are asked, for it or for its row; then failing
ones waited for, until too many requests for it have failed.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from regather.model import Layout
from regather.reading.cache import Cache
from regather.reading.holders import Holders
from regather.reading.lateness import Lateness, patience
from regather.reading.rows import Rows
from regather.reading.wanted import Wanted
from regather.reading.wants import Action, Cancel, Request, Start, Want


class Plan:
    """The state of all reads of one file. Not thread-safe; ``now`` is in seconds and never falls.

    The caller puts a piece into ``cache`` before it reports it.
    """

    def __init__(
        self,
        layout: Layout,
        holdings: Sequence[frozenset[int] | None],
        cache: Cache,
        *,
        connections: int = 8,
        max_requests: int = 16,
        retries: int = 5,
        rng: random.Random | None = None,
    ) -> None:
        """``holdings`` has, by source, the positions of the fragments it holds (None: ask it)."""
        self.holders = Holders(holdings, connections, retries, rng or random.Random())
        self._wanted = Wanted(layout, cache)
        self.failed = self._wanted.failed
        """Wanted pieces that are not to be had: tell the reader. Cleared by release()."""
        self._layout = layout
        self._max_requests = max_requests
        self._requests: dict[int, Request] = {}
        self._next_id = 0
        self._rows = Rows(layout, cache, self.holders, self.failed, self.want, self.release)
        self._lateness = Lateness(layout, self.holders, self._rows)

    @property
    def idle(self) -> bool:
        """Whether nothing is wanted: then time changes nothing."""
        return not self._wanted.wants and not self._requests

    # -- what is wanted -------------------------------------------------------------------

    def want(self, number: int) -> bool:
        """A reader needs a piece, by its running number; it is pinned until ``release``.

        Returns whether it is not here yet.
        """
        return self._wanted.add(number, self._requests.values())

    def release(self, number: int) -> None:
        """A reader that wanted a piece is through with it, or does not need it any more."""
        if self._wanted.release(number):
            self._rows.released(number)

    def ahead(self, numbers: Iterable[int]) -> bool:
        """These pieces, and no others, will probably be needed; whether any is new.

        What is already asked for is not called back, but is not begun any more.
        """
        return self._wanted.look_ahead(numbers, self._requests.values())

    # -- what happened --------------------------------------------------------------------

    def answered(self, request_id: int, now: float) -> None:
        """The body of an answer begins."""
        if request := self._requests.get(request_id):
            self.holders.answered(request.source, now - request.began, now)
            request.moved = request.answered = now

    def progress(self, request_id: int, count: int, now: float) -> None:
        """``count`` bytes more of a piece came."""
        if request := self._requests.get(request_id):
            request.partial += count
            request.received += count
            request.moved = now

    def piece_done(self, request_id: int, piece: int, now: float) -> bool:
        """A piece is verified and in the cache; whether the request is to go on with the next."""
        request = self._requests[request_id]
        number = self._layout.number(request.fragment, piece)
        request.pos, request.partial, request.moved = piece + 1, 0, now
        self.holders.delivered(request.source)
        self.holders.paced(request.source, request.received, now - request.answered)
        self._wanted.arrived(number)
        return (
            not request.cancelled
            and request.pos < request.end
            and self._layout.number(request.fragment, request.pos) in self._wanted.wants
        )

    def ended(self, request_id: int) -> None:
        """A request is over, whole or broken off."""
        request = self._requests.pop(request_id)
        self._wanted.unbind(request)
        self.holders.health[request.source].active -= 1
        if request.late:
            self.holders.late[request.source] -= 1

    def piece_corrupt(self, request_id: int, piece: int, now: float) -> None:
        """A piece came wrong; the request is over."""
        request = self._requests[request_id]
        self.ended(request_id)
        self._failed_at(request)
        self.holders.corrupt_piece(request.source, request.fragment, piece, now)

    def fragment_absent(self, request_id: int) -> None:
        """The source does not have the fragment as it must be; the request is over."""
        request = self._requests[request_id]
        self.ended(request_id)
        self.holders.health[request.source].absent.add(request.fragment)

    def ranges_ignored(self, request_id: int) -> None:
        """The source would send all from the first byte; the request is over."""
        request = self._requests[request_id]
        self.ended(request_id)
        self.holders.health[request.source].ignores_ranges = True

    def source_failed(
        self, request_id: int, now: float, *, busy: bool = False, pause: float | None = None
    ) -> None:
        """A request failed, and is over; ``busy``: the source has no room for one more."""
        request = self._requests[request_id]
        self.ended(request_id)
        health = self.holders.health[request.source]
        if request.cancelled:
            return
        self._failed_at(request)
        if busy and health.active and not health.failures:
            health.busy(now, pause)
        else:
            self.holders.failed(request.source, now, request.began, pause)

    def _failed_at(self, request: Request) -> None:
        """A request failed: it counts for the piece that it was at."""
        number = self._layout.number(request.fragment, request.pos)
        if request.pos < request.end and (want := self._wanted.wants.get(number)):
            want.failures += 1

    def decoded(self, number: int, row: int, right: bool) -> None:
        """A row was computed, and is in the cache if it came out right."""
        for position in self._rows.ended(number, row, right):
            if right:
                self._wanted.arrived(self._layout.number(position, row))

    # -- deciding -------------------------------------------------------------------------

    def decide(self, now: float) -> list[Action]:
        """What to do now. Call it after each event, and every tenth second unless ``idle``."""
        actions: list[Action] = []
        for request in list(self._requests.values()):
            if not request.cancelled:
                self._judge(request, now, actions)
        actions += self._rows.ready(now)
        if self._look(now, actions):
            self._look(now, actions)  # what those rows are computed from is wanted at once
        return actions

    def _look(self, now: float, actions: list[Action]) -> bool:
        """Do something for every piece that nobody brings; whether rows were begun."""
        rows = self._rows.begun
        urgent, rest = self._wanted.in_order()
        order = urgent + rest
        at = 0
        while at < len(order):
            number = order[at]
            want = self._wanted.wants.get(number)
            took = 0
            if want is not None and not want.flying and not self._rows.busy(number):
                run = self._wanted.run(order, at)
                took = self._serve(number, run, want, now, actions, soon=at >= len(urgent))
            at += max(1, took)
        return self._rows.begun > rows

    def _serve(
        self, number: int, run: int, want: Want, now: float, actions: list[Action], *, soon: bool
    ) -> int:
        """Do something for a piece and up to ``run`` in a row; how many are asked for."""
        if soon and want.failures:
            return 0  # one try is enough for what nobody waits for yet
        fragment, piece = self._layout.locate(number)
        room = len(self._requests) < self._max_requests
        size = self._layout.length(fragment, piece)
        source, reach = -1, "no"
        # Sources that fail by turns are retried by turns: without a bound that would never end.
        bound = self.holders.patience(fragment)
        tired = want.failures > bound and not self.holders.steady(fragment, piece)
        if not tired:
            source, reach = self.holders.choose(fragment, piece, size, now)
        if reach == "now":
            spare = patience(self.holders.seconds(source, size))
            if spare > 0 and not soon and self._rows.begin(fragment, piece, now, spare):
                actions += self._rows.ready(now)
                return 0
            if not room:
                return 0
            count = min(run, -(-run // self.holders.lanes(fragment, piece, now)))
            if self.holders.health[source].failures:
                count = 1
            return self._start(source, fragment, piece, count, now, actions)
        if reach == "soon" or soon:
            return 0  # nothing costly is done for what nobody waits for yet
        if not tired and self._rows.begin(fragment, piece, now):
            actions += self._rows.ready(now)
            return 0
        if tired and want.failures > 2 * bound:
            self._not_to_be_had(number, bound)
            return 0
        if (want.late and not tired) or not room:
            return 0
        source = self.holders.last_resort(fragment, now)
        if source >= 0:
            return self._start(source, fragment, piece, 1, now, actions, drain=True)
        if not self.holders.hopeful(fragment, now):
            if self._rows.begin(fragment, piece, now, hoping=True):
                actions += self._rows.ready(now)
            elif not self._rows.hopeful(fragment, piece, now):
                self._not_to_be_had(number, bound)
        return 0

    def _not_to_be_had(self, number: int, bound: int) -> None:
        """Give a piece up, and one of two tries at what was to be computed from it."""
        self.failed.add(number)
        for other in self._rows.needing(number):
            if want := self._wanted.wants.get(other):
                want.failures += bound + 1

    def _start(
        self,
        source: int,
        fragment: int,
        piece: int,
        count: int,
        now: float,
        actions: list[Action],
        *,
        drain: bool = False,
    ) -> int:
        request = Request(self._next_id, source, fragment, piece, piece + count, now, now)
        self._next_id += 1
        self._requests[request.id] = request
        self.holders.health[source].active += 1
        self._wanted.bind(request)
        actions.append(Start(request.id, source, fragment, piece, piece + count, drain))
        return count

    def _judge(self, request: Request, now: float, actions: list[Action]) -> None:
        """Find out whether a request is late, or not needed any more."""
        wanted = self._wanted.brought_by(request)
        silent = self._lateness.silent(request, now)
        if not wanted and (silent or request.late):
            request.cancelled = True
            actions.append(Cancel(request.id))
            if silent:
                self.holders.failed(request.source, now, request.began)
            elif request.received:
                seconds = now - request.answered
                self.holders.paced(request.source, request.received, seconds)
        elif wanted and not request.late and (silent or self._lateness.overtaken(request, now)):
            request.late = True
            self.holders.late[request.source] += 1
            for want in wanted:
                want.flying.discard(request.id)
                want.late.add(request.id)
