"""What a network does to a transport: each failure is told for what it is, and soon."""

from __future__ import annotations

import random
import threading

import pytest

from regather.transport import TICK, Failure, RequestFailed
from tests.conformance.line import Fault
from tests.conformance.places import Place
from tests.conformance.test_ranges import get

SIZE = 2_000_003
DATA = random.Random(3).randbytes(SIZE)
NAME = "f.dat"


def test_slow(remote: Place) -> None:
    """It takes longer than the time-out, but something comes all the time."""
    remote.put(NAME, DATA)
    assert remote.line is not None
    with (
        remote.line(Fault(rate=100_000)) as slow,
        slow.impatient().connection() as connection,
    ):
        assert get(slow, connection, 5, 220_005, SIZE) == DATA[5:220_005]


def test_a_receive_does_not_wait_for_long(remote: Place) -> None:
    """So that progress is seen, and a request that became pointless is broken off."""
    remote.put(NAME, DATA)
    assert remote.line is not None
    with remote.line(Fault(silent_after=100_000)) as silent, silent.connection() as connection:
        connection.request(silent.target(NAME), 0, SIZE, SIZE)
        buffer = memoryview(bytearray(SIZE))
        have, empty = 0, 0
        while have < 50_000:  # heads, and what is on its way, count as well
            have += connection.receive(buffer[have:])
        while not empty:
            count = connection.receive(buffer[have:])
            have += count
            empty += not count
        assert bytes(buffer[:have]) == DATA[:have]
        assert 0 < TICK < 1


def fails(place: Place, stop: int = SIZE) -> Failure:
    with place.connection() as connection, pytest.raises(RequestFailed) as caught:
        get(place, connection, 0, stop, SIZE)
    assert "\n" not in caught.value.what
    return caught.value.failure


@pytest.mark.parametrize("after", [0, 20, 60_000, 1_500_000])
def test_cut(remote: Place, after: int) -> None:
    """In the head, behind it, and far into the body."""
    remote.put(NAME, DATA)
    assert remote.line is not None
    with remote.line(Fault(cut_after=after)) as cut:
        assert fails(cut) in (Failure.TRUNCATED, Failure.RESET)


@pytest.mark.parametrize("after", [0, 60_000])
def test_silent(remote: Place, after: int) -> None:
    remote.put(NAME, DATA)
    assert remote.line is not None
    with remote.line(Fault(silent_after=after)) as silent:
        assert fails(silent.impatient()) is Failure.TIMEOUT


def test_nobody_there(remote: Place) -> None:
    assert remote.nowhere is not None
    assert fails(remote.nowhere()) is Failure.UNREACHABLE


def test_forbidden(remote: Place) -> None:
    remote.put(NAME, DATA)
    assert remote.closed is not None
    with remote.closed() as closed:
        assert fails(closed) is Failure.FORBIDDEN
        with closed.askable() as connection:
            for ask in (connection.probe, lambda t: connection.fetch(t, SIZE)):
                with pytest.raises(RequestFailed) as caught:
                    ask(closed.target(NAME))
                assert caught.value.failure is Failure.FORBIDDEN


@pytest.mark.parametrize("after", [0, 60_000])
def test_aborted_while_it_waits(remote: Place, after: int) -> None:
    """From another thread: for a head that does not come, and in the middle of a body."""
    remote.put(NAME, DATA)
    assert remote.line is not None
    with remote.line(Fault(silent_after=after)) as silent, silent.connection() as connection:
        over = threading.Event()

        def abort() -> None:
            # Again and again: it reaches a connection only while that waits.
            while not over.wait(0.05):
                connection.abort()

        thread = threading.Thread(target=abort)
        timer = threading.Timer(0.3, thread.start)
        timer.start()
        try:
            with pytest.raises(RequestFailed) as caught:
                get(silent, connection, 0, SIZE, SIZE)
            assert caught.value.failure is Failure.ABORTED
        finally:
            timer.join()
            over.set()
            thread.join()
