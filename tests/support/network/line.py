"""What one direction of a link does to packets. Pure: no sockets, no clock of its own."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

MTU = 1500
_LEAST_PACKETS = 64
"""Even a router of a slow line has room for so many packets."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """A link, the same in both directions. It carries IP packets of up to MTU bytes."""

    rate: float
    """Bits a second of IP packets, their headers included."""
    rtt: float = 0.0
    """Seconds there and back with nothing queued."""
    loss: float = 0.0
    """Share of the packets that is lost at random, in each direction."""
    jitter: float = 0.0
    """Seconds that a packet may be late at random, at most; packets stay in order."""
    buffer: int = 0
    """Bytes that may be queued; 0: a bandwidth-delay product, and 64 packets at least."""
    seed: int = 1

    @property
    def queue(self) -> int:
        """Bytes that may be queued."""
        return self.buffer or max(_LEAST_PACKETS * MTU, int(self.rate / 8 * self.rtt))

    @property
    def payload(self) -> float:
        """Bytes of payload a second that TCP can bring at best.

        Of a full packet of 1500 bytes, 20 are IPv4's head, 20 TCP's and 12 its time stamp.
        """
        return self.rate / 8 * (MTU - 52) / MTU


@dataclass(slots=True)
class Count:
    """What became of the packets of one direction."""

    packets: int = 0
    """Delivered."""
    carried: int = 0
    """Bytes delivered, heads of IP included."""
    overflowed: int = 0
    """Packets that found the queue full."""
    lost: int = 0
    """Packets lost at random, or because the device of the other end was down."""


class Line:
    """One direction: a queue that drains at the rate, drop-tail, and then a fixed delay.

    The queue is computed, not simulated: a packet that comes while the line is busy waits until
    the moment at which all before it are sent.
    """

    def __init__(self, settings: LinkSettings, seed: int) -> None:
        self._seconds_a_byte = 8 / settings.rate
        self._longest_wait = settings.queue * 8 / settings.rate
        self._delay = settings.rtt / 2
        self._loss = settings.loss
        self._jitter = settings.jitter
        self._rng = random.Random(seed)
        self._free_at = 0.0
        self._last_due = 0.0
        self.flying: deque[tuple[float, bytes]] = deque()
        """Packets on their way, with the time at which each arrives, in order."""
        self.count = Count()

    def enter(self, packet: bytes, now: float) -> None:
        """A packet comes at ``now``, in seconds on a clock that never goes back."""
        start = self._free_at
        if start < now:
            start = now
        elif start - now > self._longest_wait:
            self.count.overflowed += 1
            return
        self._free_at = start + len(packet) * self._seconds_a_byte
        if self._loss and self._rng.random() < self._loss:
            self.count.lost += 1
            return
        due = self._free_at + self._delay
        if self._jitter:
            due += self._rng.random() * self._jitter
            due = max(due, self._last_due)
            self._last_due = due
        self.flying.append((due, packet))
