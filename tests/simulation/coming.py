"""A download from sources that come and go while it runs, in virtual time."""

from __future__ import annotations

import random
from dataclasses import replace

from bench.simulate.links import Link
from bench.simulate.setting import Setting, SourceModel, layout_of
from bench.simulate.supply import Absence, supply_of

from bench.simulate import world as simulator
from regather.planner import AddSource, Event, Options, Planner, RemoveSource
from tests.simulation.books import Books

MIB = 1 << 20
_NEVER = float("inf")


class Coming(simulator.World):
    """Tells the planner of sources as they come and go."""

    def __init__(
        self, setting: Setting, stays: list[tuple[float, float]], *, check_every: int = 0
    ) -> None:
        """``stays`` has, by source in order of their coming, when it comes and when it goes."""
        super().__init__(setting)
        first = [m.holds for m, (come, _) in zip(setting.sources, stays, strict=True) if not come]
        rng = random.Random(setting.seed + 1)
        self.planner = Planner(setting.layout, first, setting.options, rng)
        self._books = Books(self.planner)
        self._check_every = check_every
        for link, (come, go) in zip(self.links, stays, strict=True):
            if come:
                self._at(come, self._come, link)
            if go < _NEVER:
                self._at(go, self._go, link)

    def _come(self, link: Link, _stamp: int) -> None:
        self.tell(AddSource(link.model.holds))

    def _go(self, link: Link, _stamp: int) -> None:
        self.tell(RemoveSource(link.number))

    def tell(self, event: Event) -> None:
        super().tell(event)
        if self._check_every and self.events % self._check_every == 0:
            self._books.check(self.now)


def coming(seed: int, *, parts: bool = False, check_every: int = 0) -> tuple[Coming, Setting]:
    """A world by its seed, and what the fluid limit is computed of.

    Two sources stay; up to ten others come and go at random. With ``parts`` half of these hold half
    of the fragments: then the limit knows beforehand who will come with what, and no planner can.
    """
    rng = random.Random(f"{seed}/coming")
    layout = layout_of([96 * MIB] * 8)
    everything = frozenset(range(8))
    stays = [(0.0, _NEVER), (0.0, _NEVER)]
    for _ in range(rng.randint(3, 10)):
        come = rng.uniform(0.0, 8.0) if rng.random() < 0.7 else 0.0
        stays.append((come, come + rng.expovariate(1 / 5.0) + 0.5))
    stays.sort(key=lambda stay: stay[0])
    sources: list[SourceModel] = []
    limits: list[SourceModel] = []
    for come, go in stays:
        held = everything
        if parts and go < _NEVER and rng.random() < 0.5:
            held = frozenset(f for f in everything if rng.random() < 0.5) or everything
        rate = rng.choice([10e6, 20e6, 40e6])
        model = SourceModel(supply_of(rate), held, rtt=rng.choice([0.002, 0.02, 0.05]))
        away = [Absence(0.0, come, silent=False)] if come else []
        away += [Absence(go, _NEVER, silent=False)] if go < _NEVER else []
        sources.append(model)
        limits.append(replace(model, supply=supply_of(rate, away)))
    setting = Setting(layout, sources, Options(connections=4), seed=seed)
    return Coming(setting, stays, check_every=check_every), replace(setting, sources=limits)
