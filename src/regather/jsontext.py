"""JSON decoded into the types that describe it."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

import msgspec

from regather.forking import free_after_fork

T = TypeVar("T")

_preparing = free_after_fork(threading.Lock())


class JsonDecoder(Generic[T]):
    """Decodes JSON into values of one type; thread-safe.

    msgspec prepares a type when it first meets it, and puts the half-prepared one where other
    threads find it: two that began at once crashed the process. So each type is prepared under a
    lock, when it is first needed (a millisecond that most commands need not spend).
    """

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._decoder: msgspec.json.Decoder[T] | None = None

    def __call__(self, data: bytes | msgspec.Raw) -> T:
        """Decode; raises msgspec.DecodeError, UnicodeDecodeError and RecursionError."""
        if self._decoder is None:
            with _preparing:
                self._decoder = msgspec.json.Decoder(self._kind)
        return self._decoder.decode(data)
