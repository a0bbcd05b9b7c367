"""The transports: for each a place that holds objects, and can be reached through a bad line.

To add one, write a function like those below, decorate it, and that is all.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from msgspec import Struct, field
from msgspec.structs import replace

from regather.server.authorization import Tokens
from regather.transport import (
    Askable,
    Connection,
    TransportOptions,
    locate,
    open_connection,
)
from regather.transport.host_options import HostOptions, Hosts
from regather.transport.objects.store_options import StoreOptions
from regather.transport.proxies import Proxies, parse_proxy
from tests.conformance.line import Fault, FtpLine, Line
from tests.support.ftp import FtpServer
from tests.support.hosting import Hosting
from tests.support.net import HOST, free_port
from tests.support.nginx import MISSING, Nginx, find_nginx
from tests.support.proxies import SocksProxy
from tests.support.sftp import SftpServer, make_key
from tests.support.stores import ObjectStorage

TIMEOUT = 30.0
"""Seconds: nothing that answers comes near it, however busy the machine is."""


class Place(Struct, frozen=True):
    """Objects at a transport's other end."""

    base: str
    """URL or folder, with a slash at its end."""
    put: Callable[[str, bytes], None]
    """Makes or replaces an object, behind the transport's back."""
    options: TransportOptions = field(default_factory=lambda: TransportOptions(timeout=TIMEOUT))
    line: Callable[[Fault], AbstractContextManager[Place]] | None = None
    """The same objects through a line with a fault; None where there is no line."""
    nowhere: Callable[[], Place] | None = None
    """A place of which nobody answers."""
    closed: Callable[[], AbstractContextManager[Place]] | None = None
    """The same objects where we may not read them."""

    def impatient(self) -> Place:
        """The same place, whoever is silent at which is soon given up."""
        return replace(self, options=replace(self.options, timeout=1.5))

    def target(self, name: str) -> str:
        """The URL or path of an object."""
        return locate(self.base, name)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection."""
        made = open_connection(self.base, self.options)
        try:
            yield made
        finally:
            made.close()

    @contextmanager
    def askable(self) -> Iterator[Askable]:
        """One that can be asked what there is."""
        made = open_connection(self.base, self.options)
        try:
            yield made
        finally:
            made.close()


Maker = Callable[[pytest.FixtureRequest, Path], AbstractContextManager[Place]]
LOCAL: dict[str, Maker] = {}
NETWORKED: dict[str, Maker] = {}


def networked(make: Callable[[pytest.FixtureRequest, Path], Iterator[Place]]) -> None:
    """Make a transport known that has a line, a ``nowhere`` and a ``closed``."""
    NETWORKED[make.__name__] = contextmanager(make)


def at_port(place: Place, port: int) -> Place:
    """The same place of HTTP at another port."""
    parts = urlsplit(place.base)
    return replace(
        place,
        base=parts._replace(netloc=f"{HOST}:{port}").geturl(),
        options=TransportOptions(timeout=TIMEOUT),
    )


def with_line(
    place: Place, port: int, moved: Callable[[Place, int], Place], kind: type[Line] = Line
) -> Place:
    """The place, which is at ``port``, with a line; ``moved`` tells how it is at another one."""

    @contextmanager
    def line(fault: Fault) -> Iterator[Place]:
        with kind(port, fault) as made:
            yield moved(place, made.port)

    return replace(place, line=line, nowhere=lambda: moved(place, free_port()))


# -- each transport ---------------------------------------------------------------------------


def in_folder(folder: Path) -> Callable[[str, bytes], None]:
    """Writes a file: each a second later than the one before, which is all that nginx sees."""
    began, seconds = time.time(), itertools.count()

    def put(name: str, data: bytes) -> None:
        (folder / name).write_bytes(data)
        os.utime(folder / name, times=(began + next(seconds),) * 2)

    return put


@contextmanager
def local(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    """A folder of this machine."""
    yield Place(f"{folder}/", in_folder(folder))


LOCAL["local"] = local


@networked
def own(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    """Our own server."""
    with Hosting() as hosting:
        server = hosting.serve(folder)
        place = Place(server.url, in_folder(folder))

        @contextmanager
        def closed() -> Iterator[Place]:
            locked = hosting.serve(folder, tokens=Tokens(read="another"))
            yield Place(locked.url, place.put)

        yield replace(with_line(place, urlsplit(server.url).port or 0, at_port), closed=closed)


@networked
def nginx(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    """A stock nginx."""
    if find_nginx() is None:
        pytest.skip(MISSING)
    with Nginx(folder) as running:
        place = Place(running.url, in_folder(folder))

        @contextmanager
        def closed() -> Iterator[Place]:
            with Nginx(folder, extra="deny all;") as refusing:
                yield Place(refusing.url, place.put)

        yield replace(with_line(place, running.port, at_port), closed=closed)


@networked
def socks(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    """Our own server through a SOCKS proxy: HTTP by libcurl."""
    with Hosting() as hosting, SocksProxy() as proxy:
        proxies = Proxies({"all": parse_proxy(proxy.address(), "")})
        options = TransportOptions(timeout=TIMEOUT, proxies=proxies)
        server = hosting.serve(folder)
        place = Place(server.url, in_folder(folder), options)

        def moved(place: Place, port: int) -> Place:
            return replace(at_port(place, port), options=options)

        @contextmanager
        def closed() -> Iterator[Place]:
            locked = hosting.serve(folder, tokens=Tokens(read="another"))
            yield replace(place, base=locked.url)

        yield replace(with_line(place, urlsplit(server.url).port or 0, moved), closed=closed)


@networked
def ftp(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    """A stock FTP server."""
    with FtpServer(folder) as server:
        place = Place(server.url, in_folder(folder))

        @contextmanager
        def closed() -> Iterator[Place]:
            with FtpServer(folder, extra="<Limit READ>\nDenyAll\n</Limit>\n") as refusing:
                yield Place(refusing.url, place.put)

        yield replace(with_line(place, server.port, at_port, FtpLine), closed=closed)


@networked
def sftp(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    """A stock SSH server."""
    with SftpServer(folder) as server:
        plain = TransportOptions(timeout=TIMEOUT)
        place = Place(server.url, in_folder(folder), server.reached_by(plain))

        def moved(place: Place, port: int) -> Place:
            return replace(at_port(place, port), options=server.reached_by(plain, port))

        @contextmanager
        def closed() -> Iterator[Place]:
            stranger = HostOptions(ssh_key=str(make_key(server.prefix / "stranger")))
            yield replace(place, options=replace(place.options, hosts=Hosts({HOST: stranger})))

        yield replace(with_line(place, server.port, moved), closed=closed)


@networked
def s3(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    """A store that speaks S3."""
    yield from _in_store(request.getfixturevalue("swift"))


@networked
def gs(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    """Google's."""
    yield from _in_store(request.getfixturevalue("gcs"))


@networked
def az(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    """Azure's."""
    yield from _in_store(request.getfixturevalue("azurite"))


def _in_store(store: ObjectStorage) -> Iterator[Place]:
    import obstore

    bucket = store.bucket()
    client = store.client(bucket)

    def put(name: str, data: bytes) -> None:
        obstore.put(client, f"a folder/{name}", data)

    def options(given: dict[str, str]) -> TransportOptions:
        return TransportOptions(timeout=TIMEOUT, stores=StoreOptions(given))

    def moved(place: Place, port: int) -> Place:
        return replace(place, options=options({**store.options, **store.at(port)}))

    place = Place(f"{store.scheme}://{bucket}/a%20folder/", put, options(store.options))

    @contextmanager
    def closed() -> Iterator[Place]:
        yield replace(place, options=options(store.refused))

    yield replace(with_line(place, store.port, moved), closed=closed)
