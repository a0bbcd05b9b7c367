"""A range of an object as an iterator, for those who are not in a hurry."""

from __future__ import annotations

from collections.abc import Iterator

from regather.transport.base import Connection

STEP = 1 << 20
"""Bytes in memory at a time."""


def read_range(connection: Connection, target: str, start: int, stop: int) -> Iterator[memoryview]:
    """The bytes ``start`` up to ``stop``, in steps of at most 1 MiB, each valid until the next.

    Raises RequestFailed.
    """
    if start >= stop:
        return
    buffer = memoryview(bytearray(min(stop - start, STEP)))
    ranged = connection.request(target, start, stop, None)
    skip = 0 if ranged else start  # a source that knows no ranges sends all from the first byte
    left = stop - start
    try:
        while left:
            count = connection.receive(buffer[: min(skip or left, len(buffer))])
            if skip:
                skip -= count
            elif count:
                left -= count
                yield buffer[:count]
    finally:
        connection.finish()
