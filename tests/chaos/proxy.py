"""A TCP proxy that fails on purpose, before any server: ours, nginx or another.

What befalls connection *n* of a proxy depends on (seed, place, *n*) alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter

from regather.server.connections import abort
from regather.server.pacer import Pacer
from tests.chaos.schedule import Link
from tests.support.net import HOST

_STEP = 16 << 10
_KINDS = ("refuse", "cut", "reset", "stall", "flip")
"""The first that is drawn is the one that happens."""


class Proxy:
    """Relays ``port`` to ``target``; both are ports on loopback."""

    def __init__(self, link: Link, port: int, target: int, seed: str, *, usual: int) -> None:
        """``usual`` is about how many bytes a connection carries: faults strike within."""
        self._link = link
        self.port = port
        self._target = target
        self._seed = seed
        self._usual = max(usual, 1000)
        self._count = 0
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None
        self.calm = False
        """Whether it only relays, from the next connection on."""
        self.struck: Counter[str] = Counter()
        """Faults that happened, by kind."""
        self.relayed = 0
        """Bytes towards clients."""

    @property
    def listening(self) -> bool:
        """Whether it was started."""
        return self._server is not None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for writer in self._open.values():
            abort(writer.transport)
        if self._open:  # each sees that its client is gone, and ends in order
            await asyncio.wait(list(self._open), timeout=10)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            await self._relay(reader, writer)
        except (OSError, asyncio.CancelledError):
            abort(writer.transport)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            del self._open[task]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rng = random.Random(f"{self._seed} {self._count}")
        self._count += 1
        link = Link() if self.calm else self._link
        drawn = [kind for kind in _KINDS if rng.random() < getattr(link, kind)]
        # Evenly over the magnitudes: in the head of an answer as well as far into its body.
        spot = int(self._usual ** rng.uniform(0.2, 1))
        fault = drawn[0] if drawn else ""
        if fault == "refuse":
            self.struck[fault] += 1
            abort(writer.transport)
            return
        try:
            inward, outward = await asyncio.open_connection(HOST, self._target)
        except OSError:  # nobody there: as near to a refused connection as a proxy can come
            abort(writer.transport)
            return
        asking = asyncio.ensure_future(self._pump_requests(reader, outward))
        try:
            answer = _Answer(self, link, fault, spot, rng.randrange(8), asking)
            await answer.pump(inward, writer)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            abort(outward.transport)
            with contextlib.suppress(OSError):
                await outward.wait_closed()

    @staticmethod
    async def _pump_requests(reader: asyncio.StreamReader, outward: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_STEP):
                outward.write(data)
                await outward.drain()
        # The client is gone: so is whoever waits for the server's answer.
        abort(outward.transport)


class _Answer:
    """The way of a server's bytes to the client, and what befalls them there."""

    def __init__(
        self,
        proxy: Proxy,
        link: Link,
        fault: str,
        spot: int,
        bit: int,
        asking: asyncio.Future[None],
    ) -> None:
        """``asking`` ends when the client goes away."""
        self._asking = asking
        self._proxy = proxy
        self._link = link
        self._fault = fault
        self._spot = spot
        self._bit = bit
        self._pacer = Pacer(link.rate) if link.rate else None

    async def pump(self, inward: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        step = min(self._pacer.step, _STEP) if self._pacer is not None else _STEP
        at = 0
        idle = True
        while True:
            try:
                data = await inward.read(step)
            except OSError:
                abort(writer.transport)
                return
            if not data:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
                return
            if idle and self._link.delay:
                await asyncio.sleep(self._link.delay)
            idle = len(data) < step
            if self._pacer is not None:
                await self._pacer.pass_through(len(data))
            if self._fault and at <= self._spot < at + len(data):
                data = await self._strike(data, self._spot - at, writer)
                if not data:
                    return
            at += len(data)
            self._proxy.relayed += len(data)
            writer.write(data)
            await writer.drain()

    async def _strike(self, data: bytes, here: int, writer: asyncio.StreamWriter) -> bytes:
        """Let it happen; returns what goes on to the client, or nothing where that is the end."""
        self._proxy.struck[self._fault] += 1
        if self._fault == "flip":
            changed = bytearray(data)
            changed[here] ^= 1 << self._bit
            return bytes(changed)
        writer.write(data[:here])
        await writer.drain()
        self._proxy.relayed += here
        match self._fault:
            case "stall":
                await asyncio.wait([self._asking])
                abort(writer.transport)
            case "reset":
                abort(writer.transport)
            case _:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        return b""
