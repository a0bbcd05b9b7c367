"""Random worlds of sources that do whatever sources do, and what must hold at the end of each."""

from __future__ import annotations

import math
import random

from regather.model import Layout
from regather.planner import Finished, GiveUp, Options
from tests.simulation.world import Model, World, layout_of

MIB = 1 << 20
_BEHAVIOUR: dict[str, list[object]] = {
    "dies_at": [0.0, 0.2, 1.0, 5.0],
    "freezes_at": [0.0, 0.2, 1.0, 5.0],
    "flaps": [0.3, 2.0, 20.0],
    "fail_rate": [0.1, 0.5, 1.0],
    "corrupt_rate": [0.02, 0.3, 1.0],
    "stall_rate": [0.05, 0.3, 1.0],
    "ignores_ranges": [True],
    "odd_rate": [0.1, 0.5, 1.0],
    "break_rate": [0.1, 0.5, 1.0],
    "late_rate": [0.3, 1.0],
    "max_connections": [1, 2],
}
"""What may be wrong with a source."""


def random_world(seed: int) -> World:
    """The world of a seed: small, so that many can be tried."""
    rng = random.Random(seed)
    k = rng.randint(1, 4)
    most = rng.choice([100, MIB, 3 * MIB, 6 * MIB])
    sizes = [rng.randint(1, most) for _ in range(k)]
    parity = rng.choice([0, 0, 1, 2, 3])
    layout = layout_of(sizes, parity=parity, set_size=rng.randint(1, k))
    models = [_random_model(rng, layout) for _ in range(rng.randint(1, 6))]
    options = Options(
        connections=rng.randint(1, 4),
        max_requests=rng.choice([1, 2, 3, 32]),
        retries=rng.randint(0, 5),
    )
    world = World(layout, models, options, seed=seed)
    pieces = [(f, p) for f in range(len(layout.fragments)) for p in range(layout.pieces_of(f))]
    if rng.random() < 0.3:
        world.resumed = set(rng.sample(pieces, rng.randint(0, len(pieces))))
    if rng.random() < 0.2:
        world.corrupt_pieces = set(rng.sample(pieces, rng.randint(0, min(3, len(pieces)))))
    if layout.sets and rng.random() < 0.2:
        world.bad_rows = {
            (number, row)
            for number, members in enumerate(layout.sets)
            for row in range(members.rows)
            if rng.random() < 0.3
        }
    return world


def random_selection(seed: int) -> World:
    """The world of a seed, of which some pieces are wanted."""
    world = random_world(seed)
    rng = random.Random(f"{seed}/selection")
    pieces = range(world.layout.data_pieces)
    chosen = sorted(rng.sample(pieces, rng.randint(0, len(pieces))))
    world.wanted = [(number, number + 1) for number in chosen]
    return world


def _random_model(rng: random.Random, layout: Layout) -> Model:
    model = Model(
        bandwidth=rng.choice([1e5, 1e6, 2e7, 1e8]), latency=rng.choice([0.0005, 0.01, 0.3])
    )
    everything = range(len(layout.fragments))
    really = frozenset(f for f in everything if rng.random() < rng.choice([0.3, 0.6, 1.0]))
    claim = rng.random()
    if claim < 0.5:
        model.holds = really
    else:
        model.really_holds = really
        if claim < 0.7:  # what it is said to hold is not true
            model.holds = frozenset(f for f in everything if rng.random() < 0.7)
    for what in rng.sample(sorted(_BEHAVIOUR), rng.choice([0, 0, 1, 2, 3, 5])):
        setattr(model, what, rng.choice(_BEHAVIOUR[what]))
    if rng.random() < 0.5:
        model.returns_at = model.dies_at + rng.choice([0.3, 2.0, 30.0])
        model.thaws_at = model.freezes_at + rng.choice([0.3, 2.0, 30.0])
    model.retry_after = rng.choice([None, 0.1, 60.0])
    return model


def judge(world: World, ending: Finished | GiveUp) -> None:
    """Raise AssertionError where an ending is not what it should be."""
    layout = world.layout
    runs = [(0, layout.data_pieces)] if world.wanted is None else world.wanted
    wanted = [layout.locate(number) for run in runs for number in range(*run)]
    missing = {f for f, p in wanted if (f, p) not in world.done}
    if isinstance(ending, Finished):
        assert not missing, "finished without all pieces"
        return
    assert missing == {f for f in ending.fragments if layout.is_data(f)}, "missing, and not told"
    if world.corrupt_pieces:
        return  # then every source sends wrong pieces, and may be given up for that
    good = [model for model in world.models if is_good(model)]
    for f in missing:
        assert not any(has_fragment(model, f) for model in good), f"a good source has fragment {f}"
    for number, members in enumerate(layout.sets):
        if not missing & set(members.data) or any(number == n for n, _ in world.bad_rows):
            continue
        everyone = {*members.data, *members.parity}
        there = {f for f in everyone if any(has_fragment(model, f) for model in good)}
        assert len(there) < len(members.data), f"set {number} could have been computed"


def has_fragment(model: Model, fragment: int) -> bool:
    return all(held is None or fragment in held for held in (model.holds, model.really_holds))


def is_good(model: Model) -> bool:
    """Whether a source always answers, with what it was asked for."""
    trouble = model.fail_rate + model.corrupt_rate + model.stall_rate + model.break_rate
    trouble += model.max_connections < 4
    return not trouble and not model.flaps and math.inf == model.dies_at == model.freezes_at
