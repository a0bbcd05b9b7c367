"""A fork in the middle of a body: the child has connections of its own, the parent reads on."""

from __future__ import annotations

import random

import pytest

from regather.schemes import STORES, scheme_of
from regather.transport import RequestFailed
from tests.conformance.places import Place
from tests.support.forks import in_child

SIZE = 400_003
DATA = random.Random(1).randbytes(SIZE)
NAME = "f.dat"

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def test_a_fork_within_a_body(place: Place) -> None:
    place.put(NAME, DATA)
    target = place.target(NAME)
    with place.connection() as connection:
        buffer = bytearray(SIZE)
        got = memoryview(buffer)
        assert connection.request(target, 0, SIZE, SIZE)
        at = connection.receive(got[:1000])

        def child() -> None:
            connection.forsake()
            with place.connection() as own:
                if scheme_of(place.base) in STORES:  # obstore itself does not survive it
                    with pytest.raises(RequestFailed, match="fork"):
                        own.request(target, 1000, 1009, SIZE)
                    return
                own.request(target, 1000, 1009, SIZE)
                into, count = memoryview(bytearray(9)), 0
                while count < 9:
                    count += own.receive(into[count:])
                assert bytes(into) == DATA[1000:1009]

        in_child(child)
        while at < SIZE:
            at += connection.receive(got[at:])
        connection.finish()
        assert buffer == DATA
        # And the connection is as good as before.
        assert connection.request(target, 5, 14, SIZE)
        at = connection.receive(got[:9])
        assert buffer[:at] == DATA[5 : 5 + at]
