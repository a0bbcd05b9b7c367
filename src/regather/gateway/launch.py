"""Runs a gateway until it is told to stop: for the command, and for Python."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypedDict, Unpack

from regather.engine.shared_room import SharedRoom
from regather.errors import UsageError
from regather.files.platform import give_memory_back
from regather.gateway.application import GatewayApplication
from regather.gateway.catalogue import Catalogue
from regather.gateway.disk_families import DiskFamilies
from regather.gateway.hosted import HostedFile
from regather.gateway.loops import new_id
from regather.gateway.prefetch import Prefetch
from regather.gateway.session_families import SessionFamilies
from regather.gateway.sizes import BESIDE_DISK, DISK, MEMORY
from regather.gateway.watched import WatchedGateway
from regather.manifest import Manifest
from regather.names import texts
from regather.reading.recipe import Recipe
from regather.server.authorization import Tokens
from regather.server.run import HttpServer
from regather.server.serving import checked, run_server
from regather.server.threads import in_thread
from regather.sources.download_target import DownloadTarget
from regather.sources.probing import Prober
from regather.sources.settings import Settings, transport_options, trust_rules
from regather.store.disk_cache import BACKLOG, FREE_SHARE, DiskCache

_LOOK_SECONDS = 2.0
"""How often the manifests are looked at again."""


class Listening(TypedDict, total=False):
    """Where and how a server listens: see HttpServer."""

    host: str
    port: int
    access_log: bool
    log_format: str
    tls: ssl.SSLContext | None


def gateway(
    sources: str | Path | Sequence[str | Path],
    *,
    servers: Sequence[str | Path] = (),
    digest: str = "",
    settings: Settings | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    cache: str | Path | None = None,
    cache_size: int | None = None,
    free_space: float = FREE_SHARE,
    prefetch: bool = False,
    read_token: str | None = None,
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
    max_clients: int | None = None,
    public_url: str = "",
    access_log: bool = False,
    log_format: str = "text",
    page: Callable[[WatchedGateway], AbstractContextManager[object]] | None = None,
    on_listening: Callable[[str, int], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve hosted files over HTTP, recombined and verified while they are read.

    - ``sources``: manifests and folders of manifests, as paths or URLs.
    - ``servers``, ``digest``, ``settings``: as for ``download``.
    - ``cache``: a folder for verified pieces, which are served from there also after a new start.
    - ``cache_size``: the most bytes of pieces in that folder; without it, in memory.
    - ``free_space``: the share of the file system of ``cache`` that stays free.
    - ``prefetch``: fetch all files before anybody asks for them, as far as the cache has room.
    - ``max_clients``: the most requests that are answered at a time; others get 503.
    - ``public_url``: its address for clients, if they reach it through a proxy.
    - ``page``: gets what a page shows, and returns what serves it, a ``PageServer`` for example.
    - ``port``, ``read_token``, ``tls_cert``, ``tls_key``, ``access_log``, ``log_format``, ``stop``:
      as for ``serve``.

    Ends as ``serve`` does. Raises what ``open`` raises for a manifest, too, and StorageError where
    ``cache`` is in use by another process or cannot be used.
    """
    tls = checked(port, log_format, tls_cert, tls_key, read_token)
    give_memory_back()
    make = prepared(
        texts(sources),
        servers=texts(servers),
        digest=digest,
        settings=settings or Settings(),
        host=host,
        port=port,
        cache=cache,
        cache_size=cache_size,
        free_space=free_space,
        prefetch=prefetch,
        tokens=Tokens(read=read_token),
        max_clients=max_clients,
        public_url=public_url,
        access_log=access_log,
        log_format=log_format,
        tls=tls,
        has_page=page is not None,
    )
    with contextlib.ExitStack() as stack:

        def made() -> GatewayServer:
            server = make()
            if page is not None:
                stack.enter_context(page(server.watched))
            return server

        run_server(made, on_listening, stop)


def prepared(
    sources: Sequence[str],
    *,
    settings: Settings,
    servers: Sequence[str] = (),
    digest: str = "",
    cache: str | Path | None = None,
    cache_size: int | None = None,
    free_space: float = FREE_SHARE,
    prefetch: bool = False,
    tokens: Tokens | None = None,
    max_clients: int | None = None,
    public_url: str = "",
    has_page: bool = False,
    **listening: Unpack[Listening],
) -> Callable[[], GatewayServer]:
    """Read the manifests; return what makes the server, in its event loop. See ``gateway``."""
    if max_clients is not None and max_clients < 1:
        raise UsageError(f"max_clients must be at least 1, not {max_clients}")
    called_off, own_id = threading.Event(), new_id()
    prober = Prober(transport_options(settings), trust_rules(settings), retries=1, stop=called_off)

    size = cache_size if cache_size is not None else DISK if cache else MEMORY
    memory = SharedRoom(BESIDE_DISK - BACKLOG if cache else size)

    def hosted(manifest: Manifest, target: DownloadTarget) -> HostedFile:
        return HostedFile(manifest, target, Recipe(target, settings), own_id, memory, disk, watched)

    sessions = SessionFamilies(lambda: set(catalogue.by_digest.values()), memory.budget)
    watched = WatchedGateway(sessions, has_page=has_page)
    catalogue = Catalogue(sources, servers, digest, prober, hosted)
    disk: DiskCache | None = None
    found = catalogue.scan(first=True)
    if cache:
        disk = DiskCache(Path(cache), size, free_share=free_space)

    def server() -> GatewayServer:
        catalogue.adopt(found)
        application = GatewayApplication(
            catalogue,
            tokens=tokens,
            max_clients=max_clients,
            public_url=f"{public_url.rstrip('/')}/" if public_url else "",
            seconds=2 * settings.timeout,
        )
        application.tallied.append(sessions)
        watched.serves(catalogue, application.state, disk)
        return GatewayServer(
            application,
            catalogue,
            called_off,
            watched,
            memory,
            disk,
            public_url=application.public_url,
            prefetch=prefetch,
            **listening,
        )

    return server


class GatewayServer(HttpServer):
    """Serves a catalogue, and looks after it."""

    def __init__(
        self,
        application: GatewayApplication,
        catalogue: Catalogue,
        called_off: threading.Event,
        watched: WatchedGateway,
        memory: SharedRoom,
        disk: DiskCache | None = None,
        public_url: str = "",
        *,
        prefetch: bool = False,
        **listening: Unpack[Listening],
    ) -> None:
        """``public_url`` is its address for clients, if it is not the one that it listens at."""
        super().__init__(application, **listening)
        self.catalogue = catalogue
        self.watched = watched
        self._public_url = public_url
        self._called_off = called_off
        self._memory = memory
        self._disk = disk
        if disk is not None:
            application.tallied.append(DiskFamilies(disk))
        self._prefetch: Prefetch | None = None
        if prefetch:
            self._prefetch = Prefetch(lambda: self.catalogue.files, memory.budget, disk)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """See HttpServer.start."""
        await super().start()
        self.watched.url = self._public_url or self.url
        self._tasks.append(asyncio.create_task(self._look()))
        if self._prefetch is not None:
            self._tasks.append(asyncio.create_task(self._prefetch.run()))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.catalogue.adopt(await in_thread(self.catalogue.scan))

    async def stop(self, grace: float = 5.0) -> None:
        """See HttpServer.stop."""
        self._called_off.set()
        self.watched.outcome = "done"
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await super().stop(grace)
        await in_thread(self.catalogue.close)
        await in_thread(self._memory.close)
        if self._disk is not None:
            await in_thread(self._disk.close)
