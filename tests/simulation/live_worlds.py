"""Random worlds in which readers and sources come and go, and what must hold in each."""

from __future__ import annotations

import random
from collections.abc import Iterator

from bench.simulate.links import Link

from regather.model import Layout
from regather.planner import (
    AddSource,
    Decode,
    Event,
    Evicted,
    Finished,
    Planner,
    RemoveSource,
    Unavailable,
)
from tests.simulation.books import Books
from tests.simulation.random_worlds import has_fragment, is_good, random_world
from tests.simulation.readers import Reader, Readers
from tests.simulation.world import Checked, Model, World

_NEVER = float("inf")


class Live(Readers, Checked):
    """Runs until every reader has read all that can be had, or has gone."""

    def __init__(
        self,
        world: World,
        readers: list[Reader],
        stays: list[tuple[float, float]],
        cached: int,
    ) -> None:
        """``stays`` has, by model, when its source comes and when it goes."""
        order = sorted(range(len(stays)), key=lambda n: stays[n][0])
        world.models = [world.models[n] for n in order]
        stays = [stays[n] for n in order]
        Checked.__init__(self, world)
        told = [m.holds for m, (come, _) in zip(world.models, stays, strict=True) if not come]
        rng = random.Random(world.seed + 1)
        self.planner = Planner(world.layout, told, world.options, rng, live=True)
        self.planner.already_done(world.resumed)
        self._books = Books(self.planner)
        self.attach(readers, _NEVER, cached)
        self.present = [not come for come, _ in stays]
        for number, (come, go) in enumerate(stays):
            if come:
                self._at(come, self._come, self.links[number])
            if go < _NEVER:
                self._at(go, self._go, self.links[number])
        self.there |= {world.layout.number(f, p) for f, p in world.resumed}

    @property
    def check_every(self) -> int:
        """The books are checked after every so many events; 0: never."""
        return self._world.check_every

    @check_every.setter
    def check_every(self, every: int) -> None:
        self._world.check_every = every

    def _come(self, link: Link, _stamp: int) -> None:
        self.present[link.number] = True
        self.tell(AddSource(self._world.models[link.number].holds))

    def _go(self, link: Link, _stamp: int) -> None:
        self.present[link.number] = False
        self.tell(RemoveSource(link.number))

    def tell(self, event: Event) -> None:
        if isinstance(event, Evicted):
            for number in range(event.start, event.end):
                self._world.done.discard(self.layout.locate(number))
        super().tell(event)
        if isinstance(event, Evicted):
            self._parity_evicted(event)
        if self.ending is None and all(
            reader.gone or (reader.at >= len(reader.order) and reader.joins <= self.now)
            for reader in self.readers.values()
        ):
            self.ending = Finished()

    def _parity_evicted(self, event: Evicted) -> None:
        """With a data piece goes the parity of a row that was through."""
        fragment, row = self.layout.locate(event.start)
        number = self.layout.set_of[fragment]
        for parity in self.layout.sets[number].parity if number >= 0 else ():
            if not self.planner.is_done(parity, row):
                self._world.done.discard((parity, row))

    def on_unavailable(self, action: Unavailable) -> None:
        world, layout = self._world, self.layout
        models = [m for m, here in zip(world.models, self.present, strict=True) if here]
        good = [m for m in models if is_good(m)]
        if not world.corrupt_pieces:
            for number in range(action.start, action.end):
                fragment, row = layout.locate(number)
                assert number in self.wanting or not self.planner.is_wanted(fragment, row)
                assert not any(has_fragment(m, fragment) for m in good), "a good source has it"
                members = layout.set_of[fragment]
                if members < 0 or (members, row) in world.bad_rows:
                    continue
                others = self._obtainable(good, members, row)
                data = [f for f in layout.sets[members].data if row < layout.pieces_of(f)]
                assert sum(others) < len(data), "its row could have been computed"
        super().on_unavailable(action)

    def _obtainable(self, good: list[Model], members: int, row: int) -> Iterator[bool]:
        everyone = self.layout.sets[members]
        for fragment in (*everyone.data, *everyone.parity):
            if row < self.layout.pieces_of(fragment):
                yield any(has_fragment(m, fragment) for m in good)

    def on_decode(self, decode: Decode) -> None:
        assert decode.make
        super().on_decode(decode)

    def _check_that_something_comes(self, event: Event) -> None:
        if self.planner.pieces_left:
            super()._check_that_something_comes(event)
        else:
            self._idle_ticks = 0


def live_world(seed: int) -> Live:
    """The world of a seed: small, so that many can be tried."""
    world = random_world(seed)
    rng = random.Random(f"{seed}/live")
    stays = [
        (
            0.0 if rng.random() < 0.6 else rng.uniform(0.01, 3.0),
            _NEVER if rng.random() < 0.7 else rng.uniform(0.1, 5.0),
        )
        for _ in world.models
    ]
    stays = [(come, max(go, come + 0.01)) for come, go in stays]
    readers = [_random_reader(rng, world.layout, number) for number in range(rng.randint(1, 5))]
    cached = rng.choice([0, 1, 4, 1 << 30])
    return Live(world, readers, stays, cached)


def _random_reader(rng: random.Random, layout: Layout, number: int) -> Reader:
    total = layout.data_pieces
    order = list(range(total))
    kind = rng.choice(["all", "run", "random"])
    if kind == "run":
        first = rng.randrange(total)
        order = order[first : first + rng.randint(1, total)]
    elif kind == "random":
        order = rng.sample(order, rng.randint(1, total))
    urgent = rng.choice([0, 1, 1, 2, 4])
    reader = Reader(number, order, urgent, ahead=rng.choice([0, 2, 5]) if urgent else total)
    if rng.random() < 0.5:
        reader.joins = rng.uniform(0.0, 3.0)
    if rng.random() < 0.3:
        reader.leaves = reader.joins + rng.uniform(0.0, 2.0)
    if rng.random() < 0.1:
        reader.stalls_after = rng.randint(0, 3)
        reader.leaves = min(reader.leaves, reader.joins + 10.0)
    return reader
