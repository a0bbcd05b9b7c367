"""The recipes of docs/caches.md, in the real programs, between a server and many clients."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

import regather
from tests.support.caches import nginx_cache, nginx_front, recipe
from tests.support.files import random_file
from tests.support.nginx import Nginx, needs_nginx
from tests.support.varnish import Varnish, needs_varnish

SIZE = 24 << 20
CLIENTS = 6


class Origin:
    """An nginx with fragments, and what it sent of them."""

    def __init__(self, folder: Path) -> None:
        hosted = folder / "hosted"
        self.file = random_file(folder / "file.bin", SIZE)
        self._log = folder / "origin.log"
        self._log.touch()
        regather.split(self.file, hosted, fragments=3, parity=1)
        name = "file.bin.regather.json"
        self.manifest = Path(shutil.copy(hosted / name, folder / name))
        self.server = Nginx(
            hosted,
            access_log=self._log,
            http="log_format sent '$body_bytes_sent $request_uri';",
            extra="access_log access.log sent;",
        )

    @property
    def address(self) -> str:
        return f"{self.server.host}:{self.server.port}"

    def copies(self) -> float:
        """Stop it, and tell how many times the file it sent."""
        self.server.stop()  # the log is whole then
        lines = [line.split() for line in self._log.read_text().splitlines()]
        return sum(int(size) for size, uri in lines if not uri.endswith(".json")) / SIZE


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    origin = Origin(tmp_path)
    with origin.server:
        yield origin


@pytest.fixture
def cache(origin: Origin, tmp_path: Path) -> Iterator[Callable[[], Nginx]]:
    """Start one more nginx as a cache."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(nginx_cache(origin.address, tmp_path))


def fetch(origin: Origin, servers: list[str], to: Path) -> None:
    """Download the file, and compare it."""
    report = regather.download(origin.manifest, to, servers=servers)
    assert Path(report.path).read_bytes() == origin.file.read_bytes()


def fetch_many(origin: Origin, servers: list[str], folder: Path) -> None:
    """As many clients at the same time."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        jobs = [pool.submit(fetch, origin, servers, folder / f"out{n}") for n in range(CLIENTS)]
    for job in jobs:
        job.result()


@needs_nginx
def test_nginx(origin: Origin, cache: Callable[[], Nginx], tmp_path: Path) -> None:
    caches = [cache().url for _ in range(3)]
    fetch_many(origin, caches, tmp_path)
    assert origin.copies() <= 3.6
    fetch(origin, caches, tmp_path / "later")  # the origin has stopped


@needs_nginx
def test_nginx_has_the_manifest_as_well(
    origin: Origin, cache: Callable[[], Nginx], tmp_path: Path
) -> None:
    url = cache().url + origin.manifest.name
    for name in ("first", "again"):
        report = regather.download(url, tmp_path / name)
        assert Path(report.path).read_bytes() == origin.file.read_bytes()
    assert origin.copies() <= 1.4


@needs_nginx
def test_nginx_in_front_of_caches(
    origin: Origin, cache: Callable[[], Nginx], tmp_path: Path
) -> None:
    caches = [cache() for _ in range(3)]
    with nginx_front([f"{c.host}:{c.port}" for c in caches], tmp_path) as front:
        fetch_many(origin, [front.url], tmp_path)
        caches[0].kill()
        fetch(origin, [front.url], tmp_path / "later")
        assert origin.copies() <= 1.8, "once, and again what the dead one had"


@needs_varnish
@needs_nginx
def test_varnish(origin: Origin, tmp_path: Path) -> None:
    host, port = origin.address.split(":")
    changes = [("origin.example.org", host), ('"8080"', f'"{port}"')]
    with Varnish(recipe("vcl", "backend default", changes)) as varnish:
        fetch_many(origin, [varnish.url], tmp_path)
        assert origin.copies() <= 1.4
        fetch(origin, [varnish.url], tmp_path / "later")
