"""A tree of relays and clients in virtual time, each with a real planner.

    python -m bench.simulate.tree [--shape N...] [--size SIZE] [--seed N]

Each relay passes pieces on when it has them. All clients begin at once, with nothing anywhere.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from bench.simulate.links import Flight, Link
from bench.simulate.setting import Setting, SourceModel, layout_of
from bench.simulate.supply import supply_of
from bench.simulate.world import World
from regather.model import Layout
from regather.planner import Begin, Event, Finished, GiveUp, Options, Planner, Release, Tick, Want
from regather.planner import Start as StartRequest
from regather.units import format_size, parse_size

SERVERS = 3
"""Of the origin, each with a third of the file."""
ORIGIN, RELAY = 375e6, 1.25e9
"""Bytes a second of the origin, and of each relay."""


class _Flights(dict[int, Flight]):
    """Requests of many planners have the same numbers, and no source of a tree fails."""

    def __setitem__(self, request: int, flight: Flight) -> None:
        pass

    def __delitem__(self, request: int) -> None:
        pass


def _link(number: int, rate: float, holds: frozenset[int], rtt: float) -> Link:
    """What one server or relay sends to all below it."""
    link = Link(number, SourceModel(supply_of(rate), holds, rtt=rtt))
    link.capacity = rate
    link.flights = _Flights()
    return link


class Node(World):
    """A relay or a client."""

    def __init__(
        self, tree: Tree, links: Sequence[Link], parent: Node | None, seed: int, uplink: Link | None
    ) -> None:
        """``links`` are those of the ``parent``, or of the origin; a client has no ``uplink``."""
        self._tree = tree
        models = [link.model for link in links]
        super().__init__(Setting(tree.layout, models, tree.options, seed=seed))
        self.links = list(links)
        self.uplink = uplink
        if uplink is not None:
            rng = random.Random(seed)
            holdings = [model.holds for model in models]
            self.planner = Planner(tree.layout, holdings, tree.options, rng, live=True)
        self.ended = 0.0
        self._parent = parent
        self._there: set[int] = set()
        self._waiting: dict[int, list[tuple[Node, Flight]]] = {}
        self._wake: float | None = None

    def _at(
        self, when: float, what: Callable[[Any, int], None], subject: object, stamp: int = 0
    ) -> None:
        self._tree.plan(when, self, what, subject, stamp)

    @property
    def _order(self) -> int:
        """All count together: they share links."""
        return self._tree.order

    @_order.setter
    def _order(self, order: int) -> None:
        self._tree.order = max(order, self._tree.order)

    def _touch(self, link: Link) -> None:
        self._tree.touch(link)

    def tell(self, event: Event) -> None:
        """See World.tell."""
        if self.ending is not None:
            return
        super().tell(event)
        wake = self.planner.wake_at
        if wake is not None and wake != self._wake:
            self._wake = wake
            self._at(wake, self._tick, wake)

    def _tick(self, wake: float, _stamp: int) -> None:
        if wake == self._wake:
            self._wake = None
            self.tell(Tick())

    def on_ending(self, ending: Finished | GiveUp) -> None:
        """See World.on_ending."""
        super().on_ending(ending)
        self.ended = self.now
        self._tree.left -= 1
        for flight in list(self.flights.values()):
            self._stop(flight)

    # -- requests to what is above ---------------------------------------------------------

    def on_start(self, start: StartRequest) -> None:
        """See World.on_start."""
        super().on_start(start)
        self._tree.owners[self.flights[start.request]] = self

    def _end(self, flight: Flight, *, kept: bool = False) -> None:
        if self._tree.owners.pop(flight, None) is not None and self._parent is not None:
            self._parent.release(flight, self.now)
        super()._end(flight, kept=kept)

    def _ask(self, flight: Flight, *, warm: bool) -> None:
        super()._ask(flight, warm=warm)
        if self._parent is not None:
            half = flight.link.model.rtt / 2
            self._tree.plan(self.now + half, self._parent, self._parent.want, flight, 0)

    def _answer(self, flight: Flight, stamp: int) -> None:
        if self._parent is None or self._parent.has(self, flight):
            super()._answer(flight, stamp)

    def _piece(self, flight: Flight, link: Link) -> None:
        fragment, piece = flight.start.fragment, flight.piece
        super()._piece(flight, link)
        if self.uplink is not None:
            self._came(self.layout.number(fragment, piece))
        if flight.active and self._parent is not None and not self._parent.has(self, flight):
            self._stop(flight)

    def go_on(self, flight: Flight, now: float) -> None:
        """What a request waited for is above now."""
        self.now = now
        if flight.request not in self.flights or flight.cancelled or self.ending is not None:
            return
        if not flight.began:
            super()._answer(flight, flight.stamp)
            return
        flight.link.settle(now)
        self._order += 1
        size = self.layout.length(flight.start.fragment, flight.piece)
        flight.link.join(flight, size, self._order)
        self._touch(flight.link)

    # -- requests from below ---------------------------------------------------------------

    def want(self, flight: Flight, _stamp: int) -> None:
        """A request has come: fetch what is missing of it."""
        if flight in self._tree.owners:
            start, end = self._numbers(flight)
            self.tell(Want(id(flight), start, end, urgent=True))

    def release(self, flight: Flight, now: float) -> None:
        """A request is over."""
        self.now = now
        self.tell(Release(id(flight), *self._numbers(flight)))

    def _numbers(self, flight: Flight) -> tuple[int, int]:
        first = self.layout.number(flight.start.fragment, 0)
        return first + flight.start.start, first + flight.start.end

    def has(self, child: Node, flight: Flight) -> bool:
        """Whether the piece that a request is at is here; if not, it is told later."""
        number = self.layout.number(flight.start.fragment, flight.piece)
        if number not in self._there:
            self._waiting.setdefault(number, []).append((child, flight))
        return number in self._there

    def _came(self, number: int) -> None:
        self._there.add(number)
        for child, flight in self._waiting.pop(number, ()):
            child.go_on(flight, self.now)


class Tree:
    """The origin, relays and clients, and the clock of all."""

    def __init__(
        self,
        shape: Sequence[int],
        size: int,
        *,
        piece: int = 1 << 20,
        origin: float = ORIGIN,
        relay: float = RELAY,
        rtt: float = 0.002,
        seed: int = 0,
    ) -> None:
        """``shape`` is how many stand below the origin, each of those, and so on to the clients."""
        self.layout: Layout = layout_of([size // SERVERS] * SERVERS, piece)
        self.options = Options(connections=4)
        self.owners: dict[Flight, Node] = {}
        self._queue: list[tuple[float, int, Node | None, Callable[[Any, int], None], Any, int]] = []
        self.order = 0
        self._dirty: list[Link] = []
        self.now = 0.0
        self.links = [[_link(n, origin / SERVERS, frozenset((n,)), rtt) for n in range(SERVERS)]]
        """Of the origin, then by level of relays."""
        everything = frozenset(range(SERVERS))
        above: list[tuple[Node | None, list[Link]]] = [(None, self.links[0])]
        self._nodes: list[Node] = []
        ideal = [shape[0] * size / origin]
        for level, width in enumerate(shape):
            is_relay = level + 1 < len(shape)
            made: list[tuple[Node | None, list[Link]]] = []
            for parent, links in above:
                for _ in range(width):
                    uplink = _link(0, relay, everything, rtt) if is_relay else None
                    number = seed * 1_000_003 + len(self._nodes)
                    node = Node(self, links, parent, number, uplink)
                    self._nodes.append(node)
                    if uplink is not None:
                        made.append((node, [uplink]))
            if is_relay:
                self.links.append([link for _, links in made for link in links])
                ideal.append(shape[level + 1] * size / relay)
                above = made
        self.ideal = max(ideal)
        """Seconds in which the busiest can have sent what stands below it needs: a lower bound."""
        self.left = sum(node.uplink is None for node in self._nodes)
        """Clients that have not ended."""

    def plan(
        self,
        when: float,
        node: Node | None,
        what: Callable[[Any, int], None],
        subject: object,
        stamp: int,
    ) -> None:
        """Call something later."""
        self.order += 1
        heapq.heappush(self._queue, (when, self.order, node, what, subject, stamp))

    def touch(self, link: Link) -> None:
        """See World: its rate, or what comes next from it, may have changed."""
        if not link.dirty:
            link.dirty = True
            self._dirty.append(link)

    def _flush(self) -> None:
        for link in self._dirty:
            link.dirty = False
            link.settle(self.now)
            link.rate = link.demand / link.active if link.active else 0.0
            link.stamp += 1
            due = link.next_due()
            if due < float("inf"):
                self.plan(due, None, self._due, link, link.stamp)
        self._dirty.clear()

    def _due(self, link: Link, stamp: int) -> None:
        if stamp != link.stamp:
            return
        self.touch(link)
        for flight in link.whole(self.now):
            node = self.owners[flight]
            node.now = self.now
            node._piece(flight, link)

    def run(self) -> None:
        """Until each client has the file."""
        for node in self._nodes:
            node.tell(Begin())
        while self.left:
            self._flush()
            self.now, _, whose, what, subject, stamp = heapq.heappop(self._queue)
            if whose is not None:
                whose.now = self.now
            what(subject, stamp)

    @property
    def copies(self) -> list[float]:
        """What the origin sent, and each level of relays, in sizes of the file."""
        size = self.layout.size
        return [sum(link.received for link in level) / size for level in self.links]

    @property
    def ends(self) -> list[float]:
        """When each client had the file."""
        return [node.ended for node in self._nodes if node.uplink is None]


def main() -> None:
    """Run one tree, and print a row of docs/simulation.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", nargs="+", type=int, default=[10, 10, 100])
    parser.add_argument("--size", type=parse_size, default=96 << 20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    tree = Tree(args.shape, args.size, seed=args.seed)
    tree.run()
    last, median = max(tree.ends) / tree.ideal, statistics.median(tree.ends) / tree.ideal
    shape = " x ".join(map(str, args.shape))
    copies = ", ".join(f"{copies:,.2f}" for copies in tree.copies)
    figures = f"{tree.ideal:.2f} | {last:.3f} | {median:.3f} | {copies}"
    print(f"| {shape} | {format_size(args.size)} | {figures} |")


if __name__ == "__main__":
    main()
