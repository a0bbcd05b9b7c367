"""What there is, and that it is still the same."""

from __future__ import annotations

import random

import pytest

from regather.transport import Failure, RequestFailed
from tests.conformance.places import Place
from tests.conformance.test_ranges import get

SIZE = 200_003
OLD, NEW = (random.Random(seed).randbytes(SIZE) for seed in (1, 2))
NAME = "f.dat"


def test_changed_while_read(remote: Place) -> None:
    """Of the same length: what was there before tells them apart."""
    remote.put(NAME, OLD)
    with remote.askable() as connection:
        size, validator = connection.probe(remote.target(NAME))
        assert size == SIZE
        assert validator
        assert get(remote, connection, 0, 9, SIZE, NAME, validator) == OLD[:9]
        remote.put(NAME, NEW)
        with pytest.raises(RequestFailed) as caught:
            get(remote, connection, 0, 9, SIZE, NAME, validator)
        assert caught.value.failure is Failure.CHANGED
        assert get(remote, connection, 0, 9, SIZE, NAME) == NEW[:9]


def test_a_body_that_has_begun_is_one_version(remote: Place) -> None:
    """Whatever becomes of the object: old to the end, or a failure."""
    remote.put(NAME, OLD)
    buffer = memoryview(bytearray(SIZE))
    with remote.connection() as connection:
        connection.request(remote.target(NAME), 0, SIZE, SIZE)
        have = connection.receive(buffer[:1])
        remote.put(NAME + ".new", NEW)
        while have < SIZE:
            have += connection.receive(buffer[have:])
        connection.finish()
    assert bytes(buffer) == OLD


def test_a_look_tells_size_version_and_the_first_bytes(remote: Place) -> None:
    remote.put(NAME, OLD)
    remote.put("empty.dat", b"")
    with remote.askable() as connection:
        look = connection.look(remote.target(NAME), 1000)
        assert (look.size, look.start, look.ranged) == (SIZE, OLD[:1000], True)
        assert (look.size, look.validator) == connection.probe(remote.target(NAME))
        assert look.date.endswith("GMT")
        short = connection.look(remote.target(NAME), SIZE + 1)
        assert short.start == OLD
        empty = connection.look(remote.target("empty.dat"), 1000)
        assert (empty.size, empty.start) == (0, b"")


def test_small_objects_whole(remote: Place) -> None:
    remote.put(NAME, OLD)
    remote.put("empty.dat", b"")
    with remote.askable() as connection:
        assert connection.fetch(remote.target(NAME), SIZE) == (OLD, remote.target(NAME))
        assert connection.fetch(remote.target("empty.dat"), SIZE)[0] == b""
        with pytest.raises(RequestFailed, match="larger than") as caught:
            connection.fetch(remote.target(NAME), SIZE - 1)
        assert caught.value.failure is Failure.BAD_RESPONSE


def test_asked_for_what_is_not_there(remote: Place) -> None:
    with remote.askable() as connection:
        for ask in (
            connection.probe,
            lambda t: connection.look(t, 9),
            lambda t: connection.fetch(t, 9),
        ):
            with pytest.raises(RequestFailed) as caught:
                ask(remote.target("none.dat"))
            assert caught.value.failure is Failure.MISSING
