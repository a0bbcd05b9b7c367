"""Readers and sources come and go: what can be had is had, and the planner's books agree."""

from __future__ import annotations

import pytest
from bench.simulate.limit import fluid_limit
from hypothesis import given, settings
from hypothesis import strategies as st

from regather.planner import Finished
from tests.simulation.coming import coming
from tests.simulation.live_worlds import live_world


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_reader_gets_what_can_be_had(seed: int) -> None:
    assert live_world(seed).run().ending == Finished()


@pytest.mark.parametrize(
    "seed",
    [
        7330527,  # the only source of a piece turned out not to have it, and parity was not used
        7322866,  # parity that was on its way for a piece that was settled was not counted on
        7406993,  # parity on its way for a piece that could be had itself was not counted on
        7714583,  # slow sources left read-ahead to a faster one that had sent that piece wrong
        7300573,  # the piece for whose sake a row was wanted came, and another one was lost, too
        7301206,  # a race of which all but a cancelled request had ended began anew
        7315461,  # a row that nobody wanted was wanted for pieces that it alone wanted
        7317850,  # as 7304184, where the one that had gone was in the other line
        7304184,  # in a line, a reader was replaced by one of the same number that had gone
        7300629,  # a piece came by itself, and went again while its row was still needed
        65,  # a piece that could not be had, of a row that was wanted as a whole
        73,  # a source that had gone was taken for one that holds something
        280,  # the only source that had a piece left it to faster ones, which had not
        295,  # parity of a row that could not be computed was counted on
        755,  # the faster source had sent that piece wrong
        500774596,  # parity that was free again could have replaced a piece
        7813467,  # a reader went on wanting after its end: a flaw of the simulation
        2276,  # a source that came could have replaced a piece by its parity
    ],
)
def test_what_was_found_once_is_not_found_again(seed: int) -> None:
    assert live_world(seed).run().ending == Finished()


def makespan(seed: int, *, parts: bool) -> float:
    """Over the fluid limit."""
    world, limit = coming(seed, parts=parts, check_every=499)
    outcome = world.run()
    assert outcome.ending == Finished()
    assert outcome.received <= 1.02 * world.layout.size
    return outcome.makespan / fluid_limit(limit)


@pytest.mark.parametrize("seed", range(2))
def test_sources_that_come_and_go_are_used_to_the_full(seed: int) -> None:
    assert makespan(seed, parts=False) <= 1.1


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_sources_that_come_and_go_over_many_seeds() -> None:
    assert max(makespan(seed, parts=False) for seed in range(50)) <= 1.1
    # The limit knows who will come with which fragments; a planner saves what it cannot know of.
    assert sorted(makespan(seed, parts=True) for seed in range(50))[47] <= 1.1
