"""Servers that are asked each half second how they are: for commands that start servers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence

import aiohttp
from msgspec.structs import replace

from regather.manifest import Manifest
from regather.page.samples import Condition, FileSample, Sample, ServerSample

_PAUSE = 0.4
_PATIENCE = 1.0
"""Seconds after which a server that does not answer is called stalled."""
_LOOK = 3.0
"""Seconds between two looks at which fragments are in the folders."""


class PolledServers:
    """Servers of folders on this machine: the Sampled of their page."""

    def __init__(
        self, servers: Sequence[tuple[str, str]], manifest: Manifest | None = None
    ) -> None:
        """``servers`` has the URL and the folder of each; ``manifest`` says what they host."""
        self._servers = [ServerSample(url) for url, _ in servers]
        self._folders = [folder for _, folder in servers]
        self._manifest = manifest
        self._layout = None if manifest is None else manifest.layout
        self._holdings: list[frozenset[int]] = []
        self._looked = float("-inf")

    async def poll(self) -> None:
        """Ask all servers again and again, until cancelled."""
        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            while True:
                await asyncio.gather(*(self._ask(session, server) for server in self._servers))
                await asyncio.sleep(_PAUSE)

    async def _ask(self, session: aiohttp.ClientSession, server: ServerSample) -> None:
        await self._look(session, server)
        server.heard += 1

    async def _look(self, session: aiohttp.ClientSession, server: ServerSample) -> None:
        try:
            headers = {"Connection": "close"}
            async with session.get(f"{server.url}-/health", headers=headers) as response:
                response.raise_for_status()
                health = await response.json()
            began = int(health["bytes_sent"]), int(health["connections"])
        except (TimeoutError, aiohttp.ServerTimeoutError):
            self._failed(server, "stalled", "does not answer")
            return
        except aiohttp.ClientConnectorError as error:
            self._failed(server, "gone", os.strerror(error.errno) if error.errno else str(error))
            return
        except (aiohttp.ClientError, ValueError, KeyError, TypeError) as error:
            self._failed(server, "failing", f"wrong answer ({error})")
            return
        server.sent = began[0]
        server.connections = max(began[1] - 1, 0)  # one is ours
        server.condition = "ok"

    def _failed(self, server: ServerSample, condition: Condition, why: str) -> None:
        server.connections = 0
        if server.condition != condition:
            server.condition = condition
            server.last_error = why
            server.errors = {**server.errors, condition: server.errors.get(condition, 0) + 1}

    def sample(self) -> Sample:
        """See Sampled.sample."""
        servers = [replace(server) for server in self._servers]
        files = []
        if self._layout is not None and self._manifest is not None:
            if time.monotonic() - self._looked > _LOOK:
                self._looked = time.monotonic()
                self._holdings = [self._held(folder) for folder in self._folders]
            files.append(
                FileSample(
                    name=self._manifest.name,
                    layout=self._layout,
                    here=b"",
                    servers=[server.url for server in servers],
                    holdings=list(self._holdings),
                )
            )
        return Sample(
            servers=servers,
            files=files,
            sent=sum(server.sent for server in servers),
            readers=sum(server.connections for server in servers),
        )

    def _held(self, folder: str) -> frozenset[int]:
        """The fragments that a folder has, in their right size."""
        held = set()
        for position, fragment in enumerate(self._layout.fragments if self._layout else ()):
            try:
                size = os.stat(os.path.join(folder, fragment.name)).st_size
            except OSError:
                continue
            if size == fragment.size:
                held.add(position)
        return frozenset(held)
