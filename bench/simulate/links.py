"""How sources and bottlenecks share their bandwidth among requests.

All requests of a source get the same rate, so one counter a source is enough: ``service``, the
bytes that each request in transfer would have got if it had been there from the start. A piece is
whole when the counter reaches its target. A change of the rate touches the source, never its
requests; a request costs O(log n) a piece.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator

from bench.simulate.setting import SourceModel
from bench.simulate.supply import Mode
from regather.planner import Start


class Flight:
    """A request in flight."""

    __slots__ = (
        "active",
        "admitted",
        "began",
        "cancelled",
        "deferred",
        "doomed",
        "end",
        "follower",
        "link",
        "partial",
        "piece",
        "piece_bytes",
        "request",
        "sent",
        "stamp",
        "start",
        "target",
        "waits",
    )

    def __init__(self, start: Start, link: Link, sent: float) -> None:
        self.start = start
        self.sent = sent
        self.follower: Flight | None = None
        """What waits behind it on its connection."""
        self.request = start.request
        self.link = link
        self.piece = start.start
        self.end = start.end
        self.waits = False
        """Whether it has its turn only when another one has ended."""
        self.active = False
        """Whether it takes part in its source's bandwidth."""
        self.admitted = False
        """Whether the source counts it among its connections."""
        self.cancelled = False
        self.deferred = False
        """Whether its answer was due while the source was frozen."""
        self.doomed = False
        """Whether it is going to fail in any case."""
        self.stamp = 0
        """Counted up to make what was planned for it void."""
        self.target = 0.0
        self.piece_bytes = 0
        self.began = 0.0
        self.partial = 0.0
        """Bytes of the current piece, where it is not active."""

    def received(self) -> float:
        """Bytes of the current piece that are here, as of the link's last settling."""
        if not self.active:
            return self.partial
        return max(0.0, self.piece_bytes - (self.target - self.link.service))


class Link:
    """One source at run time."""

    __slots__ = (
        "active",
        "at",
        "capacity",
        "dirty",
        "flights",
        "frozen_times",
        "idle",
        "in_use",
        "mode",
        "model",
        "number",
        "rate",
        "received",
        "requests",
        "service",
        "stamp",
        "targets",
    )

    def __init__(self, number: int, model: SourceModel) -> None:
        self.number = number
        self.model = model
        self.mode = Mode.UP
        self.capacity = 0.0
        self.active = 0
        """Requests in transfer."""
        self.rate = 0.0
        """Bytes a second of each of them."""
        self.service = 0.0
        self.at = 0.0
        self.targets: list[tuple[float, int, Flight]] = []
        self.flights: dict[int, Flight] = {}
        self.in_use = 0
        self.idle = 0
        """Connections that are open and free."""
        self.frozen_times = 0
        self.stamp = 0
        self.dirty = False
        self.received = 0.0
        """Bytes of bodies, wanted or not."""
        self.requests = 0

    def settle(self, now: float) -> None:
        """Count what was sent up to ``now``."""
        if now > self.at:
            self.service += self.rate * (now - self.at)
            self.at = now

    def join(self, flight: Flight, size: int, order: int) -> None:
        """Begin to send a piece of ``size`` bytes; the link is settled."""
        flight.piece_bytes = size
        flight.target = self.service + size
        flight.active = True
        self.active += 1
        heapq.heappush(self.targets, (flight.target, order, flight))

    def go_on(self, flight: Flight, size: int, order: int) -> None:
        """Send the following piece at once."""
        flight.piece_bytes = size
        flight.target += size
        heapq.heappush(self.targets, (flight.target, order, flight))

    def leave(self, flight: Flight) -> None:
        """Send no more of a request; the link is settled."""
        flight.partial = flight.received()
        flight.active = False
        self.active -= 1

    def next_due(self) -> float:
        """When the next piece is whole, if nothing changes; inf: never."""
        targets = self.targets
        while targets and (not targets[0][2].active or targets[0][2].target != targets[0][0]):
            heapq.heappop(targets)
        if not targets or self.rate <= 0.0:
            return math.inf
        return self.at + max(0.0, targets[0][0] - self.service) / self.rate

    def whole(self, now: float) -> Iterator[Flight]:
        """The requests whose piece is whole now; the next piece of each may follow at once."""
        targets = self.targets
        # What is due now is so by definition: a sum of floats may fall short of it.
        self.service, self.at = max(self.service, targets[0][0]), now
        while targets and targets[0][0] <= self.service:
            target, _, flight = heapq.heappop(targets)
            if flight.active and flight.target == target:
                yield flight

    @property
    def demand(self) -> float:
        """Bytes a second that all its requests would take without a bottleneck."""
        return min(self.capacity, self.active * self.model.per_connection)


class Bottleneck:
    """A link that several sources share; max-min fair between requests."""

    def __init__(self, bandwidth: float) -> None:
        self.bandwidth = bandwidth
        self.links: list[Link] = []
        self.tight = False
        """Whether some request gets less than its source would send."""

    def divide(self) -> list[tuple[Link, float]]:
        """The rate of each request of every link in use."""
        busy = [(link.demand / link.active, link) for link in self.links if link.active]
        total = sum(rate * link.active for rate, link in busy)
        self.tight = total > self.bandwidth
        if not self.tight:
            return [(link, rate) for rate, link in busy]
        busy.sort(key=lambda pair: pair[0])
        left, weight = self.bandwidth, sum(link.active for _, link in busy)
        shares: list[tuple[Link, float]] = []
        for rate, link in busy:
            fair = min(rate, left / weight)
            shares.append((link, fair))
            left -= fair * link.active
            weight -= link.active
        return shares
