"""Pauses: they grow, they vary, and they are never shorter than a server asks for."""

from __future__ import annotations

import threading

import pytest

from regather.backoff import STORES, Backoff
from regather.transport import Failure, RequestFailed, TransportOptions
from regather.transport.stores.retrying import RetryPolicy


def pauses(policy: Backoff, attempt: int, told: float | None = None) -> list[float]:
    found = [policy.pause(attempt, told) for _ in range(200)]
    return [pause for pause in found if pause is not None]


def test_pauses_grow_up_to_a_cap_and_vary() -> None:
    for attempt, middle in ((0, 0.5), (1, 1.0), (3, 4.0), (10, 10.0), (100_000, 10.0)):
        found = pauses(STORES, attempt)
        assert all(0.5 * middle <= pause <= 1.5 * middle for pause in found)
        assert len({round(pause, 6) for pause in found}) > 100, "all clients come back at once"


def test_what_a_server_asks_for_is_waited_in_full_and_no_longer_than_a_tenth_more() -> None:
    found = pauses(STORES, 0, 30.0)
    assert len(found) == 200
    assert all(30 <= pause <= 33 for pause in found)
    assert len(set(found)) > 100
    assert min(pauses(STORES, 10, 1.0)) > 4, "a short one does not shorten ours"


def test_who_asks_for_too_much_is_not_waited_for() -> None:
    assert STORES.pause(0, STORES.most_told) is not None
    assert STORES.pause(0, STORES.most_told + 1) is None


class Clock(threading.Event):
    """Notes how long it is waited for, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return False


def busy(told: float | None) -> RequestFailed:
    return RequestFailed(Failure.BUSY, "http://a/x: HTTP 503", retry_after=told, status=503)


def ask(clock: Clock, told: float | None, retries: int) -> None:
    policy = RetryPolicy(TransportOptions(), retries)
    policy.scope._ended = clock

    def call() -> None:
        raise busy(told)

    policy.call(call)


def test_publish_check_and_repair_keep_to_it() -> None:
    clock = Clock()
    with pytest.raises(RequestFailed):
        ask(clock, 30.0, 3)
    assert len(clock.waits) == 3
    assert all(wait is not None and 30 <= wait <= 33 for wait in clock.waits)
    clock = Clock()
    with pytest.raises(RequestFailed, match="503"):
        ask(clock, 3600.0, 3)
    assert clock.waits == [], "that long nobody waits: others are asked, or the user is told"
    clock = Clock()
    with pytest.raises(RequestFailed):
        ask(clock, None, 60)
    assert len(clock.waits) == 60
    assert len(set(clock.waits)) > 50, "no two clients come back together"
