"""Which source is asked for a piece, by what is known of them."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from regather.reading.holders import Holders


def holders(*holdings: frozenset[int] | None, retries: int = 1) -> Holders:
    return Holders(holdings, 4, retries, random.Random(1))


def test_who_may_have_a_fragment() -> None:
    three = holders(frozenset({0}), None, frozenset({1}))
    assert (three.of(0), three.of(1), three.of(2)) == ([0, 1], [1, 2], [1])
    three.health[1].absent.add(0)
    assert (three.of(0), three.of(1)) == ([0], [1, 2])


def test_the_one_that_brings_it_first_is_asked() -> None:
    two = holders(None, None)
    two.rates = [1e6, 2e6]
    assert two.choose(0, 0, 1000_000, 0.0) == (1, "now")
    two.health[1].active = 1
    assert two.choose(0, 0, 1000_000, 0.0)[0] in (0, 1)
    two.health[1].active = 2
    assert two.choose(0, 0, 1000_000, 0.0) == (0, "now")


def test_a_busy_fast_one_is_waited_for_instead_of_a_slow_one() -> None:
    two = holders(None, None)
    two.rates = [1e6, 1e4]
    two.health[0].active = 2
    assert two.choose(0, 0, 100_000, 0.0) == (-1, "soon")
    # But not when it said that it wants a pause.
    two.health[0].busy(0.0, 60.0)
    assert two.choose(0, 0, 100_000, 0.0) == (1, "now")
    assert two.choose(0, 0, 100_000, 61.0)[1] == "soon"


def test_failing_ones_pause_and_are_given_up_for_a_while() -> None:
    one = holders(None, retries=1)
    one.failed(0, 1.0, 0.5)
    assert one.choose(0, 0, 1, 1.0) == (-1, "no")
    assert one.hopeful(0, 1.0)
    assert one.steady(0, 0)
    one.failed(0, 2.0, 1.5)
    assert not one.hopeful(0, 2.0)
    assert not one.steady(0, 0)
    assert one.hopeful(0, 60.0)
    assert one.choose(0, 0, 1, 60.0) == (0, "now")
    one.delivered(0)
    assert one.steady(0, 0)


def test_a_liar_is_the_last_resort() -> None:
    two = holders(None, frozenset({1}), retries=5)
    two.corrupt_piece(0, 0, 7, 0.0)
    assert two.sound(0, 7, 0.0) == []
    assert two.sound(0, 8, 0.0) == [0]
    two.corrupt_piece(0, 0, 8, 0.0)
    assert two.sound(0, 9, 10.0) == []
    assert two.last_resort(0, 0.0) == -1, "lies in a row are asked for ever more slowly"
    assert two.last_resort(0, 10.0) == 0
    assert two.sound(1, 0, 0.0) == [1]


@given(st.data())
def test_what_is_chosen_has_it_and_may_be_asked(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    holding = st.one_of(st.none(), st.frozensets(st.integers(0, 2)))
    all_of_them = holders(*[data.draw(holding) for _ in range(count)])
    now = 0.0
    for _ in range(data.draw(st.integers(0, 25))):
        now += data.draw(st.sampled_from([0.0, 0.1, 1.0, 20.0]))
        source = data.draw(st.integers(0, count - 1))
        health = all_of_them.health[source]
        match data.draw(st.integers(0, 6)):
            case 0:
                all_of_them.failed(source, now, now)
            case 1:
                all_of_them.corrupt_piece(source, 0, data.draw(st.integers(0, 2)), now)
            case 2:
                all_of_them.delivered(source)
            case 3:
                health.active = data.draw(st.integers(0, 3))
            case 4:
                health.busy(now, data.draw(st.sampled_from([None, 5.0])))
            case 5:
                all_of_them.paced(source, data.draw(st.integers(0, 10**6)), 0.5)
            case 6:
                health.ignores_ranges = not health.ignores_ranges
        fragment, piece = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))
        chosen, reach = all_of_them.choose(fragment, piece, 1000, now)
        sound = all_of_them.sound(fragment, piece, now)
        assert set(sound) <= set(all_of_them.of(fragment))
        assert (reach == "no") == (not sound)
        assert (chosen >= 0) == (reach == "now")
        if reach == "now":
            assert chosen in sound
            assert all_of_them.health[chosen].has_slot(now)
        last = all_of_them.last_resort(fragment, now)
        assert last < 0 or all_of_them.hopeful(fragment, now)
        assert not sound or all_of_them.hopeful(fragment, now)
        assert all_of_them.lanes(fragment, piece, now) >= 1
