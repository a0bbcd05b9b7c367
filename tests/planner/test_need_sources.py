"""Further sources are asked for before anything is given up."""

from __future__ import annotations

import random

import pytest

from regather.planner import (
    Action,
    AddSource,
    Answered,
    Begin,
    Blame,
    Event,
    Failed,
    Finished,
    GiveUp,
    NeedSources,
    NoMoreSources,
    Options,
    PieceDone,
    Planner,
    Start,
    Unavailable,
    Want,
)
from tests.simulation.books import Books
from tests.simulation.world import layout_of

MIB = 1 << 20


class Plan:
    """A planner that may ask for further sources; its books are checked after each event."""

    def __init__(
        self,
        sizes: list[int],
        holdings: list[frozenset[int] | None],
        *,
        parity: int = 0,
        live: bool = False,
        wanted: list[tuple[int, int]] | None = None,
    ) -> None:
        self.plan = Planner(
            layout_of(sizes, parity=parity),
            holdings,
            Options(connections=1, retries=0),
            random.Random(1),
            wanted=wanted,
            live=live,
            more_sources=True,
        )
        self.books = Books(self.plan)
        self.now = 0.0
        self.requests: dict[int, Start] = {}

    def tell(self, event: Event) -> list[Action]:
        self.now += 0.1
        actions = self.plan.handle(event, self.now)
        self.books.check(self.now)
        self.requests |= {a.request: a for a in actions if isinstance(a, Start)}
        return actions

    def bring_all(self) -> list[Action]:
        """All requests in flight bring all their pieces; what that led to, save requests."""
        actions: list[Action] = []
        while self.requests:
            start = self.requests.pop(min(self.requests))
            self.tell(Answered(start.request))
            for piece in range(start.start, start.end):
                actions += self.tell(PieceDone(start.request, piece))
        return [a for a in actions if not isinstance(a, Start)]


def test_sources_are_asked_for_at_once_while_others_bring_the_rest() -> None:
    plan = Plan([4 * MIB, 4 * MIB], [frozenset({0})])
    begun = plan.tell(Begin())
    assert begun[-1] == NeedSources((1,))
    assert isinstance(begun[0], Start)
    added = plan.tell(AddSource(frozenset({1})))
    assert [(a.source, a.fragment) for a in added if isinstance(a, Start)] == [(1, 1)]
    assert plan.bring_all() == [Finished()]


def test_no_more_sources_ends_it_when_all_that_can_be_had_is_there() -> None:
    plan = Plan([2 * MIB, 2 * MIB], [frozenset({0})])
    assert plan.tell(Begin())[-1] == NeedSources((1,))
    assert plan.tell(NoMoreSources()) == []
    assert plan.bring_all() == [GiveUp((1,), corrupt=False)]


def test_without_an_answer_it_waits_at_the_end() -> None:
    plan = Plan([2 * MIB, 2 * MIB], [frozenset({0})])
    plan.tell(Begin())
    assert plan.bring_all() == []
    assert plan.plan.wake_at is None
    assert plan.tell(NoMoreSources()) == [GiveUp((1,), corrupt=False)]


def test_a_source_that_does_not_help_makes_it_ask_again() -> None:
    plan = Plan([2 * MIB, 2 * MIB], [frozenset({0})])
    plan.tell(Begin())
    plan.bring_all()
    assert plan.tell(AddSource(frozenset({0}))) == [NeedSources((1,))]
    (begun,) = plan.tell(AddSource(None))
    assert isinstance(begun, Start)
    assert plan.tell(Failed(begun.request, Blame.FRAGMENT)) == [NeedSources((1,))]
    assert plan.tell(NoMoreSources()) == [GiveUp((1,), corrupt=False)]


def test_a_source_that_failed_is_replaced() -> None:
    plan = Plan([2 * MIB], [None])
    (begun,) = plan.tell(Begin())
    assert isinstance(begun, Start)
    assert plan.tell(Failed(begun.request, Blame.SOURCE)) == [NeedSources((0,))]
    plan.requests.clear()
    plan.tell(AddSource(None))
    assert plan.bring_all() == [Finished()]


def test_parity_that_suffices_needs_no_further_source() -> None:
    plan = Plan([2 * MIB, 2 * MIB], [frozenset({1, 2})], parity=1)
    assert all(isinstance(a, Start) for a in plan.tell(Begin()))


@pytest.mark.parametrize("wanted", [None, [(0, 1)]])
def test_parity_that_does_not_suffice_is_named_as_well(
    wanted: list[tuple[int, int]] | None,
) -> None:
    plan = Plan([2 * MIB, 2 * MIB, 2 * MIB], [frozenset({2, 3})], parity=2, wanted=wanted)
    needs = [a for a in plan.tell(Begin()) if isinstance(a, NeedSources)]
    plan.bring_all()
    assert needs == [NeedSources((0, 1, 4) if wanted is None else (0, 4))]


def test_readers_wait_for_the_answer() -> None:
    plan = Plan([4 * MIB, 4 * MIB], [frozenset({0})], live=True)
    plan.tell(Begin())
    assert plan.tell(Want(1, 4, 6, urgent=True)) == [NeedSources((1,))]
    assert plan.tell(Want(2, 6, 7, urgent=True)) == [NeedSources((1,))]
    (begun,) = plan.tell(AddSource(frozenset({1})))
    assert isinstance(begun, Start)
    assert plan.tell(Failed(begun.request, Blame.FRAGMENT)) == [NeedSources((1,))]
    gone = plan.tell(NoMoreSources())
    assert gone == [Unavailable(4, 7, corrupt=False)]
    # From now on what cannot be had is said at once.
    assert plan.tell(Want(1, 7, 8)) == [Unavailable(7, 8, corrupt=False)]
