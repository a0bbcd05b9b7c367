"""The limit on bytes a second, in virtual time."""

from __future__ import annotations

import heapq
import random

import pytest

from regather.engine.rate_limit import RateLimiter

MB = 1_000_000
PIECE = 1 << 20


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def let_through(
    rate: float,
    *,
    seconds: float,
    workers: int = 12,
    line: float = 1000 * MB,
    start: float = 0.0,
    late: float = 0.0,
    stall: tuple[float, float] = (0.0, 0.0),
) -> list[tuple[float, int]]:
    """Workers take, wait and receive, as the engine's do; returns (time, bytes so far) by receipt.

    Each gets ``line`` bytes a second, from ``start`` on; wakes up to ``late`` seconds late, by
    chance; and nobody receives anything between the two times of ``stall``.
    """
    clock, rng = Clock(), random.Random(5)
    began = clock.now
    limiter = RateLimiter(rate, clock=clock)
    gulp = limiter.gulp(PIECE)
    total = 0
    seen: list[tuple[float, int]] = []
    # A worker takes, waits and receives, by turns; only what it does next is in the queue.
    queue: list[tuple[float, int, bool]] = [(began + start, n, False) for n in range(workers)]
    while True:
        clock.now, worker, allowed = heapq.heappop(queue)
        if began + stall[0] <= clock.now < began + stall[1]:
            heapq.heappush(queue, (began + stall[1], worker, allowed))
            continue
        if clock.now - began > seconds:
            return seen
        if allowed:
            total += gulp
            seen.append((clock.now - began, total))
            heapq.heappush(queue, (clock.now, worker, False))
        else:
            pause = limiter.take(gulp)
            pause += rng.random() * late if pause else 0.0
            heapq.heappush(queue, (clock.now + pause + gulp / line, worker, True))


@pytest.mark.parametrize("rate", [0.01, 0.1, 1, 5, 20, 50, 100, 200])
@pytest.mark.parametrize("workers", [1, 4, 12])
@pytest.mark.parametrize("late", [0.0, 0.002, 0.03])
def test_the_rate_is_kept_within_2_percent(rate: float, workers: int, late: float) -> None:
    # With little to hand out, a few gulps more or less must not be 2 %.
    seconds = max(5.0, 100 * workers * 16384 / (rate * MB))
    seen = let_through(rate * MB, seconds=seconds, workers=workers, late=late)
    assert seen[-1][1] / seconds == pytest.approx(rate * MB, rel=0.02)


def test_what_was_lost_before_the_first_byte_is_made_good() -> None:
    seen = let_through(10 * MB, seconds=5, start=0.5)
    assert seen[-1][1] / 5 == pytest.approx(10 * MB, rel=0.02)


def test_a_short_stall_is_made_good_and_a_long_one_only_in_part() -> None:
    short = let_through(10 * MB, seconds=10, stall=(3, 3.8))[-1][1]
    assert short / 10 == pytest.approx(10 * MB, rel=0.02)
    long = let_through(10 * MB, seconds=10, stall=(3, 7))[-1][1]
    assert long == pytest.approx((10 - 4 + 1) * 10 * MB, rel=0.03)


def test_never_more_than_the_rate_since_the_start_but_for_a_gulp() -> None:
    gulp = RateLimiter(10 * MB).gulp(PIECE)
    seen = let_through(10 * MB, seconds=5, workers=12, late=0.03, stall=(1, 1.5))
    assert all(total <= 10 * MB * at + gulp for at, total in seen)


def test_a_line_slower_than_the_limit_is_not_slowed_down() -> None:
    seen = let_through(100 * MB, seconds=5, workers=1, line=10 * MB)
    assert seen[-1][1] / 5 == pytest.approx(10 * MB, rel=0.02)


def test_gulps_are_small_beside_the_rate_and_no_larger_than_asked_for() -> None:
    assert RateLimiter(1 * MB).gulp(PIECE) == 16 << 10
    assert RateLimiter(20 * MB).gulp(PIECE) == 200_000
    assert RateLimiter(1000 * MB).gulp(PIECE) == PIECE


def test_what_did_not_come_is_left_for_others() -> None:
    clock = Clock()
    limiter = RateLimiter(10 * MB, clock=clock)
    assert limiter.take(10 * MB) == 0
    assert limiter.take(1) == pytest.approx(1.0)
    limiter.give_back(5 * MB + 1)
    assert limiter.take(1) == pytest.approx(0.5)


def test_time_before_its_making_may_count() -> None:
    clock = Clock()
    limiter = RateLimiter(10 * MB, clock.now - 0.5, clock)
    assert limiter.take(5 * MB) == 0
    assert limiter.take(5 * MB) == 0
    assert limiter.take(1) == pytest.approx(0.5)
