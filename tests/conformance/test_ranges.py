"""Ranges: every byte that was asked for and no other, or a failure that says what it means."""

from __future__ import annotations

import random

import pytest

from regather.transport import Connection, Failure, RequestFailed
from regather.transport.ranges import read_range
from tests.conformance.places import Place

SIZE = 300_007
DATA = random.Random(5).randbytes(SIZE)
NAME = "f.dat"
ODD = "näme with spaces & 100%.dat"


def get(
    place: Place,
    connection: Connection,
    start: int,
    stop: int,
    size: int | None = SIZE,
    name: str = NAME,
    validator: str = "",
) -> bytes:
    """One request, read to its end."""
    assert connection.request(place.target(name), start, stop, size, validator)
    buffer = memoryview(bytearray(stop - start))
    have = 0
    while have < len(buffer):
        have += connection.receive(buffer[have:])
    connection.finish()
    return bytes(buffer)


def test_ranges_at_every_edge(place: Place) -> None:
    place.put(NAME, DATA)
    edges = [0, 1, 2, 4095, 4096, 65536, SIZE - 2, SIZE - 1, SIZE]
    with place.connection() as connection:
        for start in edges:
            for stop in edges:
                if start < stop:
                    assert get(place, connection, start, stop) == DATA[start:stop], (start, stop)


def test_the_size_may_be_unknown(place: Place) -> None:
    place.put(NAME, DATA)
    with place.connection() as connection:
        assert get(place, connection, 5, 10, size=None) == DATA[5:10]


def test_names_that_need_quoting(place: Place) -> None:
    place.put(ODD, DATA)
    with place.connection() as connection:
        assert get(place, connection, 0, 9, name=ODD) == DATA[:9]


def test_small_buffers(place: Place) -> None:
    place.put(NAME, DATA)
    got = b""
    buffer = memoryview(bytearray(7))
    with place.connection() as connection:
        connection.request(place.target(NAME), 10, 1010, SIZE)
        while len(got) < 1000:
            got += bytes(buffer[: connection.receive(buffer[: 1000 - len(got)])])
        connection.finish()
    assert got == DATA[10:1010]


def test_a_request_left_early_does_not_harm_the_next(place: Place) -> None:
    place.put(NAME, DATA)
    with place.connection() as connection:
        for _ in range(3):
            connection.request(place.target(NAME), 0, SIZE, SIZE)
            connection.receive(memoryview(bytearray(100)))
            connection.finish()
            assert get(place, connection, 7, 77) == DATA[7:77]


def test_what_is_announced_comes_and_what_comes_otherwise_too(place: Place) -> None:
    place.put(NAME, DATA)
    with place.connection() as connection:
        for asked in ((50_000, 90_000), (7, 77)):
            connection.request(place.target(NAME), 0, 50_000, SIZE)
            connection.receive(memoryview(bytearray(100)))
            connection.ahead(place.target(NAME), *asked)
            left = memoryview(bytearray(49_900))
            have = 0
            while have < len(left):
                have += connection.receive(left[have:])
            connection.finish()
            assert bytes(left) == DATA[100:50_000]
            assert get(place, connection, *asked) == DATA[slice(*asked)]


def test_as_an_iterator(place: Place) -> None:
    place.put(NAME, DATA)
    with place.connection() as connection:
        for start, stop in ((0, SIZE), (5, 5), (3, SIZE - 3)):
            steps = read_range(connection, place.target(NAME), start, stop)
            assert b"".join(map(bytes, steps)) == DATA[start:stop]


def failure(place: Place, start: int, stop: int, size: int | None, name: str = NAME) -> Failure:
    with place.connection() as connection, pytest.raises(RequestFailed) as caught:
        get(place, connection, start, stop, size, name)
    assert "\n" not in caught.value.what
    assert len(caught.value.what) < 400
    return caught.value.failure


def test_missing(place: Place) -> None:
    place.put(NAME, DATA)
    with place.connection() as connection:
        with pytest.raises(RequestFailed) as caught:
            get(place, connection, 0, 5, 5, "none.dat")
        assert caught.value.failure is Failure.MISSING
        assert get(place, connection, 0, 5) == DATA[:5]


def test_another_length(place: Place) -> None:
    place.put(NAME, DATA)
    place.put("empty.dat", b"")
    assert failure(place, 0, 5, SIZE + 1) is Failure.BAD_RESPONSE
    assert failure(place, 0, 5, SIZE - 1) is Failure.BAD_RESPONSE
    assert failure(place, 0, 5, 5, "empty.dat") is Failure.BAD_RESPONSE


def test_beyond_the_end(place: Place) -> None:
    place.put(NAME, DATA)
    assert failure(place, SIZE, SIZE + 5, None) is Failure.BAD_RESPONSE
    assert failure(place, SIZE - 1, SIZE + 5, None) is Failure.BAD_RESPONSE


def test_shorter_than_it_was(place: Place) -> None:
    """An error, and not a byte made up."""
    place.put(NAME, DATA)
    with place.connection() as connection:
        assert get(place, connection, 0, 5) == DATA[:5]
        place.put(NAME, DATA[:1000])
        with pytest.raises(RequestFailed) as caught:
            get(place, connection, 5000, 6000)
    assert caught.value.failure in (Failure.BAD_RESPONSE, Failure.TRUNCATED, Failure.RESET)


def test_aborted(place: Place) -> None:
    place.put(NAME, DATA)
    buffer = memoryview(bytearray(SIZE))
    with place.connection() as connection:
        connection.request(place.target(NAME), 0, SIZE, SIZE)
        connection.abort()

        def receive_all() -> None:
            for _ in range(SIZE):
                connection.receive(buffer)

        with pytest.raises(RequestFailed) as caught:
            receive_all()
    assert caught.value.failure is Failure.ABORTED
