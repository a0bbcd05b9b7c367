"""Connects to the first of several addresses that answers, IPv6 and IPv4 in turn (RFC 8305)."""

from __future__ import annotations

import errno
import itertools
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from regather.names import idna

__all__ = ["HURRY", "OnMade", "SilentAddresses", "dial", "in_turn"]

OnMade = Callable[[socket.socket | None], bool]
"""Told a socket before it is used, and None before it is closed; False: the attempt is to end."""

SocketAddress = tuple[int, int, int, str, tuple[Any, ...]]
"""As getaddrinfo() has it."""

HURRY = 5
"""The part of the time-out that is waited for an answer where the host has other addresses."""
_HEAD_START = 0.25
"""Seconds before the next address is tried as well."""
_LOOK = 0.05
"""Seconds between looks whether the attempt is to end."""


class SilentAddresses:
    """Which addresses of hosts accept connections and then say nothing. Shared by threads."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], set[str]] = {}
        self._silent: set[tuple[str, int, str]] = set()

    def ordered(self, host: str, port: int) -> list[SocketAddress]:
        """The addresses of a host as they are to be tried: those that are silent last.

        Raises OSError, UnicodeError.
        """
        # As bytes: for a text, Python imports the tables of its codec.
        addresses = socket.getaddrinfo(idna(host).encode(), port, type=socket.SOCK_STREAM)
        self._known[host, port] = {str(a[4][0]) for a in addresses}
        return sorted(in_turn(addresses), key=lambda a: (host, port, str(a[4][0])) in self._silent)

    def others(self, host: str, port: int, address: str) -> bool:
        """Whether the host has another address, of which nothing bad is known."""
        known = self._known.get((host, port), set()) - {address}
        return any(self.speaks(host, port, one) for one in known)

    def speaks(self, host: str, port: int, address: str) -> bool:
        """Whether nothing bad is known of an address."""
        return (host, port, address) not in self._silent

    def add(self, host: str, port: int, address: str) -> None:
        """Note one that says nothing."""
        self._silent.add((host, port, address))


def in_turn(addresses: Sequence[SocketAddress]) -> list[SocketAddress]:
    """The addresses with the families taking turns, otherwise in their order."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    other = [a for a in addresses if a[0] != addresses[0][0]]
    pairs = itertools.zip_longest(first, other)
    return [a for pair in pairs for a in pair if a is not None]


def dial(waiting: list[SocketAddress], timeout: float, wanted: Callable[[], bool]) -> socket.socket:
    """Connect to one of the addresses; those that were tried are taken out of ``waiting``.

    Each gets ``timeout`` seconds. Returns a socket that does not block. Raises the OSError of the
    last one that failed, and InterruptedError once it is not ``wanted`` any longer.
    """
    tried: dict[int, tuple[socket.socket, float]] = {}  # by descriptor, with its deadline
    poll = select.poll()
    last: OSError = TimeoutError(errno.ETIMEDOUT, "no address")
    due = time.monotonic()

    def give_up(descriptor: int, error: OSError) -> None:
        nonlocal last, due
        poll.unregister(descriptor)
        tried.pop(descriptor)[0].close()
        last, due = error, time.monotonic()

    try:
        while waiting or tried:
            now = time.monotonic()
            if waiting and (now >= due or not tried):
                family, kind, protocol, _, address = waiting.pop(0)
                try:
                    made = socket.socket(family, kind, protocol)
                except OSError as error:  # a family that this machine has not
                    last = error
                    continue
                made.setblocking(False)
                poll.register(made, select.POLLOUT)
                tried[made.fileno()] = made, now + timeout
                due = now + _HEAD_START
                code = made.connect_ex(address)
                if code not in (0, errno.EINPROGRESS):
                    give_up(made.fileno(), OSError(code, os.strerror(code)))
            ready = poll.poll(_LOOK * 1000)
            if not wanted():
                raise InterruptedError("aborted")
            for descriptor, _ in ready:
                made = tried[descriptor][0]
                code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not code:
                    del tried[descriptor]
                    return made
                give_up(descriptor, OSError(code, os.strerror(code)))
            now = time.monotonic()
            for descriptor, (_, deadline) in list(tried.items()):
                if now >= deadline:
                    give_up(descriptor, TimeoutError(errno.ETIMEDOUT, "connection timed out"))
        raise last
    finally:
        for made, _ in tried.values():
            made.close()
