"""The plan for reads in virtual time: what is asked of whom, and what comes of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reading.world import PIECE, Server, World, layout_of

PLAIN = layout_of([10 * PIECE + 1, 10 * PIECE, 9 * PIECE])
CODED = layout_of([8 * PIECE, 8 * PIECE, 8 * PIECE, 7 * PIECE + 5], parity=2)


def asked(world: World) -> list[int]:
    """The running numbers of all pieces that were asked for, in order."""
    return [
        world.layout.number(start.fragment, piece)
        for _, start in world.starts
        for piece in range(start.start, start.end)
    ]


def test_what_is_wanted_is_asked_once_and_nothing_else() -> None:
    world = World(PLAIN, [Server(), Server()])
    reader = world.read(range(5, 17))
    world.run()
    assert (reader.done, reader.failed) == (12, None)
    assert sorted(asked(world)) == list(range(5, 17))


def test_no_more_than_the_window_is_asked_ahead() -> None:
    world = World(PLAIN, [Server(rate=1e4)])
    reader = world.read(range(PLAIN.data_pieces), window=3)
    world.run()
    assert reader.done == PLAIN.data_pieces
    for _, start in world.starts:
        assert start.end - start.start <= 3


def test_neighbours_go_into_one_request() -> None:
    world = World(PLAIN, [Server()], connections=1)
    world.read(range(10), window=10)
    world.run()
    assert [(s.start, s.end) for _, s in world.starts] == [(0, 10)]


def test_sources_share_the_work() -> None:
    world = World(PLAIN, [Server(rate=1e5), Server(rate=1e5)])
    reader = world.read(range(PLAIN.data_pieces), window=16)
    world.run()
    assert {start.source for _, start in world.starts} == {0, 1}
    alone = World(PLAIN, [Server(rate=1e5)])
    slower = alone.read(range(PLAIN.data_pieces), window=16)
    alone.run()
    assert reader.ended_at < slower.ended_at


def test_what_is_here_is_not_asked_again() -> None:
    world = World(PLAIN, [Server()])
    world.read(range(8))
    world.read(range(8), at=5)
    world.run()
    assert sorted(asked(world)) == list(range(8))


def test_two_readers_of_one_piece_cost_it_once() -> None:
    world = World(PLAIN, [Server(), Server()])
    readers = [world.read([3, 4]), world.read([4, 3], at=0.001), world.read([4], at=0.015)]
    world.run()
    assert all(reader.failed is None for reader in readers)
    assert sorted(asked(world)) == [3, 4]


def test_read_ahead_comes_last_and_may_be_called_back() -> None:
    world = World(PLAIN, [Server(rate=1e4)], connections=1)
    world.read([0, 1])
    world.after(0.0, lambda: world.ahead([10, 11]))
    world.after(0.05, lambda: world.ahead([20]))
    world.run()
    assert asked(world) == [0, 1, 20]


def test_a_reader_that_goes_away() -> None:
    world = World(PLAIN, [Server(rate=1e3)], connections=1)
    reader = world.read(range(10), window=10)
    world.after(1.5, lambda: world.give_up(reader))
    world.run()
    assert world.sent <= 3 * PIECE, "the piece on its way at most, and no further one"


# -- sources that fail -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        Server(dead=(0, math.inf)),
        Server(dead=(0.02, math.inf), rate=1e4),
        Server(silent=(0, math.inf)),
        Server(silent=(0.05, math.inf), rate=2e4),
        Server(fails=0.5),
        Server(lies=frozenset(range(30))),
        Server(lies=frozenset({3, 11})),
        Server(whole=True),
        Server(rate=100.0),
        Server(holds=frozenset(), told=False),
        Server(most=1),
        Server(most=0, pause=300.0),
    ],
    ids=repr,
)
def test_one_bad_source_beside_a_good_one(bad: Server) -> None:
    for servers in ([bad, Server()], [Server(), bad]):
        world = World(PLAIN, servers)
        reader = world.read(range(PLAIN.data_pieces))
        world.run()
        assert reader.failed is None
        assert reader.ended_at < 10, "it is waited for too long"


def test_a_source_that_comes_back() -> None:
    world = World(PLAIN, [Server(dead=(0.02, 2.0), rate=1e5)])
    reader = world.read(range(PLAIN.data_pieces))
    world.run()
    assert reader.failed is None


def test_nobody_has_it() -> None:
    world = World(PLAIN, [Server(holds=frozenset({0, 1}))])
    reader = world.read(range(PLAIN.data_pieces))
    world.run()
    assert reader.failed == PLAIN.first_pieces[2]


def test_nobody_has_it_and_nobody_said_so() -> None:
    world = World(PLAIN, [Server(holds=frozenset({0, 1}), told=False)])
    reader = world.read(range(PLAIN.data_pieces))
    world.run()
    assert reader.failed == PLAIN.first_pieces[2]


def test_all_are_dead() -> None:
    world = World(PLAIN, [Server(dead=(0, math.inf)), Server(dead=(0, math.inf))], retries=2)
    reader = world.read([0])
    world.run()
    assert reader.failed == 0


def test_a_liar_alone_has_what_it_does_not_lie_about() -> None:
    world = World(PLAIN, [Server(lies=frozenset({4}))], retries=2)
    good = world.read([*range(4), *range(5, 20)])
    bad = world.read([4], at=5)
    world.run()
    assert (good.failed, bad.failed) == (None, 4)


def test_only_sources_that_know_no_ranges() -> None:
    world = World(PLAIN, [Server(whole=True)])
    reader = world.read([0, 5, 12, 28])
    world.run()
    assert reader.failed is None


def test_a_fast_source_that_wants_a_pause_is_not_waited_for() -> None:
    """It refuses a second request for a minute; the slow one has all the same."""
    servers = [Server(rate=1e6, most=1, pause=60.0), Server(rate=4e3)]
    world = World(PLAIN, servers)
    world.plan.holders.rates = [1e6, 4e3]
    reader = world.read(range(PLAIN.data_pieces), window=16)
    world.run()
    assert reader.failed is None
    assert reader.ended_at < 15


def test_sources_that_are_silent_by_turns() -> None:
    """One is asked while the pause of the other passes; this must not go on for ever."""
    silent = Server(silent=(0, math.inf))
    world = World(PLAIN, [silent, silent, silent], retries=1)
    reader = world.read([3])
    world.run()
    assert reader.failed == 3
    world = World(PLAIN, [silent, silent, Server(whole=True)], retries=0)
    reader = world.read([3])
    world.run()
    assert reader.failed is None


def test_last_resorts_are_bounded_too() -> None:
    """The world counts the requests: each holds a piece in memory."""
    world = World(PLAIN, [Server(whole=True, rate=1e4)] * 8, max_requests=2)
    reader = world.read(range(1, PLAIN.data_pieces), window=8)
    world.run()
    assert reader.failed is None


def test_read_ahead_gives_up_early() -> None:
    """Nobody waits for it: a source that fails is not asked for it again and again."""
    world = World(PLAIN, [Server(silent=(0.05, math.inf))])
    world.read([0])
    world.after(0.2, lambda: world.ahead([9]))
    world.run(until=60)
    assert len(world.starts) == 2


# -- erasure rows ------------------------------------------------------------------------------


def coded(*gone: int, rate: float = 1e6, whole: bool = False) -> list[Server]:
    """A server a fragment; those of some are gone."""
    return [
        Server(
            holds=frozenset({f}),
            dead=(0, math.inf) if f in gone else (math.inf, math.inf),
            rate=rate,
            whole=whole,
        )
        for f in range(len(CODED.fragments))
    ]


def test_parity_is_not_asked_for_while_all_data_is_there() -> None:
    world = World(CODED, coded())
    reader = world.read(range(CODED.data_pieces))
    world.run()
    assert reader.failed is None
    assert max(asked(world)) < CODED.data_pieces
    assert not world.decoded


@pytest.mark.parametrize("gone", [(0,), (3,), (1, 2), (0, 3)])
def test_lost_fragments_are_computed(gone: tuple[int, ...]) -> None:
    world = World(CODED, coded(*gone))
    reader = world.read(range(CODED.data_pieces))
    world.run()
    assert reader.failed is None
    assert {f for order in world.decoded for f in order.make} == set(gone)


def test_a_row_is_asked_for_at_once() -> None:
    """Not with the next tick: a read of one piece would take a tenth of a second more."""
    servers = [Server(holds=frozenset({f})) for f in range(1, 6)]
    world = World(CODED, servers)
    reader = world.read([2])
    world.run()
    assert reader.failed is None
    assert {start.fragment for at, start in world.starts if at == 0} >= {1, 2, 3}
    assert reader.ended_at < 0.05


def test_more_is_lost_than_there_is_parity_for() -> None:
    world = World(CODED, coded(0, 1, 2), retries=1)
    reader = world.read(range(8, 16))
    other = world.read(range(24, 32))
    world.run()
    assert reader.failed is not None
    assert other.failed is None


def test_lies_are_computed_around() -> None:
    servers = coded()
    servers[1].lies = frozenset(range(8, 16))
    world = World(CODED, servers)
    reader = world.read(range(CODED.data_pieces))
    world.run()
    assert reader.failed is None


def test_a_crawling_fragment_is_computed() -> None:
    servers = coded()
    servers[1].rate = 50.0
    world = World(CODED, servers)
    reader = world.read(range(8, 16))
    world.run()
    assert reader.failed is None
    assert reader.ended_at < 20, "eight pieces would take 160 s"


@pytest.mark.parametrize("one_server", [True, False])
def test_rows_over_slow_links(one_server: bool) -> None:
    """A piece takes seconds, and nobody has another: what is on its way is waited for.

    It was once taken for overtaken, broken off, and asked for again, for ever.
    """
    servers = coded(0, rate=200.0)
    if one_server:
        servers = [Server(holds=frozenset(range(1, 6)), rate=200.0)]
    world = World(CODED, servers)
    reader = world.read(range(3))
    world.run()
    assert reader.failed is None
    assert reader.ended_at < 120


def test_rows_of_servers_that_know_no_ranges() -> None:
    """All of what is there has to come, but it is had."""
    world = World(CODED, coded(0, whole=True))
    reader = world.read([0, 7])
    world.run()
    assert reader.failed is None


def test_a_row_goes_with_its_reader() -> None:
    world = World(CODED, coded(0, rate=1e3))
    reader = world.read([0])
    world.after(0.3, lambda: world.give_up(reader))
    world.run()
    assert not world.decoded


# -- whatever happens --------------------------------------------------------------------------

TIMES = st.sampled_from([0.0, 0.005, 0.05, 0.5, 3.0])
SPANS = st.one_of(
    st.just((math.inf, math.inf)), st.tuples(TIMES, st.sampled_from([0.1, 1.0, 5.0, math.inf]))
)


@st.composite
def servers_for(draw: st.DrawFn, fragments: int, pieces: int) -> Server:
    holds = draw(st.one_of(st.none(), st.frozensets(st.integers(0, fragments - 1))))
    return Server(
        holds=holds,
        told=draw(st.booleans()),
        rate=draw(st.sampled_from([1e3, 1e4, 1e5, 1e7])),
        latency=draw(st.sampled_from([0.0, 0.001, 0.05, 0.4])),
        dead=draw(SPANS),
        silent=draw(SPANS),
        lies=draw(st.frozensets(st.integers(0, pieces - 1), max_size=5)),
        fails=draw(st.sampled_from([0.0, 0.0, 0.2])),
        whole=draw(st.sampled_from([False, False, False, True])),
        most=draw(st.sampled_from([100, 100, 1, 3])),
        pause=draw(st.sampled_from([None, 0.5, 20.0])),
    )


@given(st.data())
@settings(deadline=None)
def test_whatever_happens(data: st.DataObject) -> None:
    """Every read ends, nothing is asked in vain, and nothing is left. The world sees to the rest.

    A piece that a faultless source has is always had.
    """
    layout = data.draw(st.sampled_from([PLAIN, CODED, layout_of([0, 1, 3000, 0], parity=1)]))
    count = len(layout.fragments)
    one = servers_for(count, max(1, layout.piece_count))
    servers = data.draw(st.lists(one, min_size=1, max_size=5))
    sure = data.draw(st.frozensets(st.integers(0, count - 1)))
    if sure:
        servers.append(Server(holds=sure))
    world = World(
        layout,
        servers,
        cache=data.draw(st.sampled_from([0, 3 * PIECE, 100 * PIECE])),
        connections=data.draw(st.sampled_from([1, 2, 8])),
        max_requests=data.draw(st.sampled_from([2, 16])),
        retries=data.draw(st.sampled_from([0, 2])),
        seed=data.draw(st.integers(0, 1000)),
    )
    places = st.integers(0, layout.data_pieces - 1)
    for _ in range(data.draw(st.integers(1, 3))):
        numbers = data.draw(st.lists(places, min_size=1, max_size=20, unique=True))
        begin = data.draw(TIMES)
        reader = world.read(numbers, at=begin, window=data.draw(st.integers(1, 8)))
        if data.draw(st.booleans()):
            world.after(
                data.draw(TIMES),
                lambda reader=reader: None if reader.over else world.give_up(reader),  # type: ignore[misc]
            )
    if data.draw(st.booleans()):
        ahead = data.draw(st.lists(places, max_size=6, unique=True))
        world.after(data.draw(TIMES), lambda: world.ahead(ahead))
    world.run(until=300)
    for reader in world.readers:
        if reader.failed is not None:
            assert layout.locate(reader.failed)[0] not in sure
