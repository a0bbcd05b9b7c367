"""Stores: places that objects can be put into, whole, verified and atomically.

A store belongs to one thread, as a Connection does; use one a thread. Only ``abort`` may be
called from another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from msgspec import Struct

from regather.digest import new_hasher
from regather.errors import UsageError
from regather.names import flaw_of
from regather.transport.base import Askable, Failure, RequestFailed

__all__ = ["ReadInto", "Stat", "Store", "blake3_of", "check_name", "stat_of"]

ReadInto = Callable[[int, memoryview], None]
"""``read(offset, into)`` fills the buffer with an object's bytes from ``offset`` on.

It may be called again from an earlier offset, where a connection broke at once.
"""


class Stat(Struct, frozen=True):
    """What a store says of an object."""

    size: int
    """Bytes."""
    validator: str
    """What tells this version from others, as for Connection.request; may be empty."""


class Store(Protocol):
    """A place for objects. Names are plain file names (else UsageError).

    All methods raise RequestFailed, whose ``failure`` says what it means; none retries, save
    where an idle connection turned out to be closed.
    """

    def stat(self, name: str) -> Stat | None:
        """Size and validator of an object; None where there is none."""
        ...

    def put(
        self, name: str, size: int, read: ReadInto, blake3: bytes, *, replace: bool = True
    ) -> None:
        """Store ``size`` bytes, which ``read`` gives, under ``name``: whole and right, or not.

        ``blake3`` are the 32 bytes of their hash. Holds at most 1 MiB in memory. Raises what
        ``read`` raises, and RequestFailed: EXISTS where the name is taken and ``replace`` is
        false, NO_SPACE, TOO_LARGE where no objects of that size are taken, DAMAGED where the bytes
        do not have the hash, and others.
        """
        ...

    def delete(self, name: str) -> None:
        """Remove an object. Failure.MISSING where there is none."""
        ...

    def read(self, name: str, start: int, stop: int) -> Iterator[memoryview]:
        """The bytes ``start`` up to ``stop`` of an object, in steps of at most 1 MiB.

        Each step is valid until the next is asked for. Finish or close the iterator before the
        next call of another method.
        """
        ...

    def abort(self) -> None:
        """Make a pending call in another thread, and all later ones, fail with ABORTED."""
        ...

    def close(self) -> None:
        """Free everything."""
        ...


def stat_of(connection: Askable, target: str) -> Stat | None:
    """What a connection tells of an object; None where there is none. Raises RequestFailed."""
    try:
        return Stat(*connection.probe(target, verified=True))
    except RequestFailed as error:
        if error.failure is Failure.MISSING:
            return None
        raise


def blake3_of(steps: Iterable[memoryview]) -> bytes:
    """The hash of an object that comes in steps."""
    hasher = new_hasher()
    for step in steps:
        hasher.update(step)
    return hasher.digest()


def check_name(name: str) -> None:
    """Raise UsageError where ``name`` is no plain file name."""
    if flaw := flaw_of(name):
        raise UsageError(f"cannot store {name!r}: the name {flaw}", help="use a plain file name")
