"""The fluid limit: against sums done by hand, against cuts tried out one by one, against runs."""

from __future__ import annotations

import itertools
import math

import pytest
from bench.simulate.limit import fluid_limit
from bench.simulate.setting import Setting, SourceModel, layout_of
from bench.simulate.supply import Absence
from bench.simulate.world import Stuck, World
from hypothesis import given, settings

from regather.planner import Finished, Options
from tests.bench.simulate.settings import MIB, source
from tests.bench.simulate.settings import settings as any_setting

MB = 10**6


def made(sizes: list[int], models: list[SourceModel], *bottlenecks: float, **more: int) -> Setting:
    layout = layout_of(sizes, **more)
    for model in models:
        model.holds &= frozenset(range(len(layout.fragments)))
    return Setting(layout, models, bottlenecks=list(bottlenecks))


def limit(sizes: list[int], models: list[SourceModel], **more: int) -> float:
    return fluid_limit(made(sizes, models, **more))


def only(*fragments: int) -> frozenset[int]:
    return frozenset(fragments)


def test_one_source_sends_from_its_first_byte_on() -> None:
    assert limit([10 * MB], [source(10e6, rtt=0.03)]) == pytest.approx(1.06)


def test_two_sources_begin_at_different_times() -> None:
    # 10 (T - 0.2) + 30 (T - 0.4) = 40
    models = [source(10e6, rtt=0.1), source(30e6, rtt=0.2)]
    assert limit([40 * MB], models) == pytest.approx(1.35)


def test_most_of_a_file_is_there_before_a_slow_source_has_sent_the_rest() -> None:
    # The fast one is through at 1 s; 95 % of 20 MB are there when the slow one has sent nine.
    setting = made([10 * MB] * 2, [source(10e6, holds=only(0)), source(5e6, holds=only(1))])
    assert fluid_limit(setting) == pytest.approx(2.0)
    assert fluid_limit(setting, 0.95) == pytest.approx(1.8)


def test_most_of_a_file_by_fragments_of_which_some_are_enough() -> None:
    # Any two of three: 10 T + 5 T + 2.5 T, the first until it is through at 1 s.
    models = [source(r, holds=only(n)) for n, r in enumerate((10e6, 5e6, 2.5e6))]
    setting = made([10 * MB] * 2, models, parity=1)
    assert fluid_limit(setting) == pytest.approx(10 / 7.5)
    assert fluid_limit(setting, 0.95) == pytest.approx(9 / 7.5)


def test_an_empty_file_takes_no_time() -> None:
    assert limit([0], [source(1e6)]) == 0


def test_the_fragment_with_one_slow_holder_decides() -> None:
    models = [source(1e6, holds=only(0)), source(50e6, holds=only(1, 2))]
    assert limit([5 * MB] * 3, models) == pytest.approx(5)


def test_holders_share_what_they_both_have() -> None:
    # Fragment 1 is on both, so 20 MB of all are divided as the rates are: 4 s.
    models = [source(3e6, holds=only(0, 1)), source(2e6, holds=only(1, 2))]
    assert limit([6 * MB, 8 * MB, 6 * MB], models) == pytest.approx(4)


def test_a_dead_source_counts_until_its_death() -> None:
    models = [source(10e6, absences=(Absence(1, math.inf, False),)), source(10e6)]
    assert limit([50 * MB], models) == pytest.approx(4)


def test_after_a_death_requests_are_sent_anew_but_not_after_silence() -> None:
    def one(silent: bool) -> float:
        absence = Absence(1, 3, silent)
        return limit([20 * MB], [source(10e6, absences=(absence,), rtt=0.1)])

    assert one(silent=True) == pytest.approx(4.2)
    assert one(silent=False) == pytest.approx(4.4)


def test_rates_that_change_are_added_up() -> None:
    # 10 MB/s for 1 s, 5 for 2 s, 20 from then on.
    assert limit([40 * MB], [source(10e6, varying=((1, 0.5), (3, 2)))]) == pytest.approx(4)


def test_connections_bound_a_source() -> None:
    model = source(100e6)
    model.per_connection = 4e6
    setting = made([32 * MB], [model])
    setting.options = Options(connections=8)
    assert fluid_limit(setting) == pytest.approx(1)
    model.max_connections = 2
    assert fluid_limit(setting) == pytest.approx(4)


def test_a_bottleneck_bounds_the_sum() -> None:
    models = [source(30e6, bottleneck=0), source(30e6, bottleneck=0), source(10e6)]
    assert fluid_limit(made([100 * MB], models, 40e6)) == pytest.approx(2)


def test_a_bottleneck_cannot_save_for_later() -> None:
    # Alone for the first second, one cannot use more than its own rate: 30, then 40 together.
    late = source(30e6, bottleneck=0, absences=(Absence(0, 1, True),))
    setting = made([110 * MB], [source(30e6, bottleneck=0), late], 40e6)
    assert fluid_limit(setting) == pytest.approx(3)


def test_any_k_of_n_are_enough() -> None:
    models = [source(10e6, holds=only(n)) for n in range(3)]
    # 40 MB are wanted, from three sources: in 4/3 s each sends two thirds of its fragment.
    assert limit([20 * MB] * 2, models, parity=1) == pytest.approx(4 / 3)
    # Without one of them the others send all of theirs.
    assert limit([20 * MB] * 2, models[:2], parity=1) == pytest.approx(2)
    assert limit([20 * MB] * 2, models[1:], parity=1) == pytest.approx(2)
    assert limit([20 * MB] * 2, models[1:2], parity=1) == math.inf


def test_no_byte_of_a_fragment_counts_twice() -> None:
    # Three fast copies of fragment 0 do not help: half of what is wanted must be other fragments.
    models = [source(100e6, holds=only(0)) for _ in range(3)] + [source(5e6, holds=only(1))]
    assert limit([20 * MB] * 2, models, parity=1) == pytest.approx(4)


def test_behind_the_end_of_a_short_fragment_fewer_are_wanted() -> None:
    # Fragment 0 is lost. Its first half needs both others, its second half only the parity.
    models = [source(10e6, holds=only(1)), source(10e6, holds=only(2))]
    assert limit([40 * MB, 20 * MB], models, parity=1) == pytest.approx(4)
    # The short one is lost: nothing but its rows is wanted of the parity.
    models = [source(10e6, holds=only(0)), source(1e6, holds=only(2))]
    assert limit([40 * MB, 5 * MB], models, parity=1) == pytest.approx(5)


@pytest.mark.parametrize("what", ["refuse", "stall", "corrupt"])
def test_sources_that_never_do_right_count_for_nothing(what: str) -> None:
    bad = source(10e6)
    setattr(bad, what, 1.0)
    assert limit([10 * MB], [bad]) == math.inf
    assert limit([10 * MB], [bad, source(1e6)]) == pytest.approx(10)


def test_what_dies_too_early_is_never_had() -> None:
    assert limit([10 * MB], [source(1e6, absences=(Absence(1, math.inf, True),))]) == math.inf


def able(setting: Setting, members: list[SourceModel], until: float) -> float:
    """What these sources can have sent, added up in stretches without a change."""
    spans = [
        (
            m.bottleneck,
            list(
                m.supply.spans(
                    until,
                    m.rtt + m.connect,
                    m.per_connection * min(setting.options.connections, m.max_connections),
                )
            ),
        )
        for m in members
    ]
    edges = sorted({e for _, own in spans for s in own for e in (s.start, s.end)})
    total = 0.0
    for start, end in itertools.pairwise(edges):
        rates: dict[int, float] = {}
        for group, own in spans:
            rate = sum(s.rate for s in own if s.start <= start and s.end >= end)
            rates[group] = rates.get(group, 0.0) + rate
        total += (end - start) * sum(
            rate if group < 0 else min(rate, setting.bottlenecks[group])
            for group, rate in rates.items()
        )
    return total


def bands(setting: Setting) -> list[tuple[int, int, tuple[int, ...]]]:
    """(fragments wanted, height, of these), one for each stretch of rows."""
    layout = setting.layout
    size = [f.size for f in layout.fragments]
    alone = (f for f in range(layout.data_count) if layout.set_of[f] < 0)
    found: list[tuple[int, int, tuple[int, ...]]] = [(1, size[f], (f,)) for f in alone]
    for members in layout.sets:
        edges = sorted({0, *(size[f] for f in members.data)})
        for low, high in itertools.pairwise(edges):
            data = tuple(f for f in members.data if size[f] >= high)
            found.append((len(data), high - low, data + members.parity))
    return found


def possible(setting: Setting, until: float) -> bool:
    """Whether no cut through sources and fragments lets less through than is wanted."""
    good = [m for m in setting.sources if not m.hopeless]
    wanted = bands(setting)
    need = sum(k * height for k, height, _ in wanted)
    for chosen in itertools.product([False, True], repeat=len(good)):
        held = {f for m, kept in zip(good, chosen, strict=True) if kept for f in m.holds}
        cut = able(setting, [m for m, kept in zip(good, chosen, strict=True) if not kept], until)
        cut += sum(min(k, len(held & set(fs))) * height for k, height, fs in wanted)
        if cut < need * (1 - 1e-9):
            return False
    return True


@settings(max_examples=100, deadline=None)
@given(any_setting())
def test_the_limit_is_that_of_the_smallest_cut(setting: Setting) -> None:
    found = fluid_limit(setting)
    if math.isinf(found):
        assert not possible(setting, 1e4)
    else:
        assert possible(setting, found * (1 + 1e-5) + 1e-6)
        assert not possible(setting, found * (1 - 1e-5) - 1e-6)


@settings(max_examples=100, deadline=None)
@given(any_setting())
def test_no_run_is_ever_faster_than_the_limit(setting: Setting) -> None:
    bound = fluid_limit(setting)
    try:
        outcome = World(setting, deadline=200).run()
    except Stuck:
        return  # a dead source may be waited for very long: that run is not faster at least
    if isinstance(outcome.ending, Finished):
        assert outcome.makespan >= bound * (1 - 1e-6)
        assert outcome.received >= setting.layout.size * (1 - 1e-6)


def test_a_run_can_come_close_to_the_limit() -> None:
    setting = made([64 * MIB] * 2, [source(10e6), source(20e6)])
    outcome = World(setting).run()
    assert outcome.makespan < 1.02 * fluid_limit(setting)
