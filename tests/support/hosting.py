"""Our server on real sockets, in the test's own process: quick to start, many at once.

The `die` fault ends the process, so tests of it use a Cluster of processes instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from regather.server.authorization import Tokens
from regather.server.faults import parse_fault
from regather.server.run import HttpServer, Server
from regather.server.serving import tls_context
from regather.server.writing import Limits
from tests.support.net import PATIENCE, keep_port
from tests.support.tls import TlsFiles

Result = TypeVar("Result")
Listening = TypeVar("Listening", bound=HttpServer)


class Hosting:
    """Servers in an event loop of their own; use as a context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hosting")
        self._servers: list[HttpServer] = []
        self._kept: dict[int, socket.socket] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run something in the servers' loop, to its end, from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def serve(
        self,
        path: Path,
        *,
        faults: Sequence[str] = (),
        seed: int = 0,
        port: int = 0,
        tokens: Tokens | None = None,
        limits: Limits | None = None,
        tls: TlsFiles | None = None,
    ) -> Server:
        """Start a server; its address is ``.url``."""
        context = tls_context(str(tls.certificate), str(tls.key)) if tls is not None else None

        return self.start(
            lambda: Server(
                path,
                faults=[parse_fault(f) for f in faults],
                fault_seed=seed,
                port=port,
                tokens=tokens,
                limits=limits,
                tls=context,
            )
        )

    def start(self, make: Callable[[], Listening]) -> Listening:
        """Start any server of ours, made in the loop."""

        async def start() -> Listening:
            server = make()
            await server.start()
            return server

        server = self.run(start())
        self._servers.append(server)
        if (kept := self._kept.pop(server.port, None)) is not None:
            kept.close()
        return server

    def kill(self, server: HttpServer) -> None:
        """Break all its connections, at once.

        Its port refuses from then on, and is kept for another server of the same test.
        """
        self._servers.remove(server)

        async def stop() -> None:
            await server.stop(grace=0)
            with contextlib.suppress(OSError):
                self._kept[server.port] = keep_port(server.port)
            # Aborted connections are closed by callbacks of the loop: let them run.
            await asyncio.sleep(0.02)

        self.run(stop())

    def __exit__(self, *_: object) -> None:
        for server in list(self._servers):
            self.kill(server)

        async def end_the_rest() -> None:
            """Handlers that wait a second for the rest of a refused body."""
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        self.run(end_the_rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()
        for kept in self._kept.values():
            kept.close()
