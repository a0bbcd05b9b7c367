"""When a source that failed is asked again."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from regather.planner import Begin, Blame, Failed, GiveUp, Options, Planner, Start, Tick
from regather.planner.health import Health
from tests.simulation.world import layout_of

MINUTE, HOUR = 60.0, 3600.0


def attempts(seconds: float, *, refused: bool, seed: int = 1) -> list[tuple[float, int]]:
    """When a source that is away for so long is asked, and the failures that count by then."""
    health, rng, now = Health(4), random.Random(seed), 0.0
    found = []
    while now < seconds:
        health.failed(now, now, None, rng, refused=refused)
        found.append((now, health.failures))
        now = health.retry_at
    return found


def longest_pause(times: list[float]) -> float:
    return max(b - a for a, b in pairwise(times))


@pytest.mark.parametrize(
    ("away", "pause", "most"), [(MINUTE, 0.6, 180), (10 * MINUTE, 6.0, 600), (HOUR, 15.0, 1200)]
)
def test_a_refused_connection_is_tried_again_soon(away: float, pause: float, most: int) -> None:
    """While it was away for a minute or less, within a second: later it is asked less often."""
    for seed in range(20):
        times = [at for at, _ in attempts(away, refused=True, seed=seed)]
        assert longest_pause(times) <= pause
        assert len(times) < most


def test_the_pauses_of_clients_differ() -> None:
    """All of them lost the same server at the same moment."""
    clients = [attempts(MINUTE, refused=True, seed=seed)[-1][0] for seed in range(1000)]
    assert max(clients) - min(clients) > 0.4
    assert len(set(clients)) == 1000


def test_refused_connections_count_as_seldom_as_other_failures() -> None:
    for seed in range(20):
        quick, slow = (attempts(MINUTE, refused=refused, seed=seed) for refused in (True, False))
        assert len(quick) > 4 * len(slow)
        sixth = [next(at for at, count in of if count == 6) for of in (quick, slow)]
        assert all(3 < at < 24 for at in sixth)
        assert longest_pause([at for at, _ in slow]) > 5


def test_a_pause_that_a_server_asked_for_is_kept() -> None:
    """Also where it refuses connections since."""
    health, rng = Health(4), random.Random(1)
    health.failed(0.0, 0.0, 30.0, rng)
    health.failed(1.0, 0.0, None, rng, refused=True)
    assert health.retry_at == 30.0


def refusals(answer: Callable[[int], Blame]) -> tuple[float, int]:
    """When the only source is given up, and after how many requests; ``answer`` by request."""
    plan = Planner(layout_of([1 << 20]), [None], Options(retries=5), random.Random(1))
    now, count = 0.0, 0
    actions = plan.handle(Begin(), now)
    while not any(isinstance(one, GiveUp) for one in actions):
        starts = [one for one in actions if isinstance(one, Start)]
        if starts:
            count += 1
            actions = plan.handle(Failed(starts[0].request, answer(count)), now)
        else:
            assert plan.wake_at is not None
            now = plan.wake_at
            actions = plan.handle(Tick(), now)
    return now, count


def test_a_source_that_refuses_is_given_up_no_sooner() -> None:
    failing, requests = refusals(lambda _: Blame.SOURCE)
    refusing, more = refusals(lambda _: Blame.REFUSED)
    mixed, _ = refusals(lambda count: Blame.REFUSED if count > 1 else Blame.SOURCE)
    assert requests == 6
    assert more > 12
    assert min(failing, refusing, mixed) > 5
