"""A gateway that fetches before anybody asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regather.gateway.launch import GatewayServer
from tests.gateway.support import content_of, eventually, get, started
from tests.support.hosting import Hosting
from tests.support.small import Small, small

PIECE = 16 << 10
PIECES = 64


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, Path]:
    """1 MiB in two fragments and their parity."""
    made = small([PIECES // 2 * PIECE] * 2, parity=1, piece=PIECE)
    folder = tmp_path_factory.mktemp("prefetch")
    made.write(folder, {"1": [1], "2": [2], "3": [3]})
    return made, folder


def kept(gateway: GatewayServer) -> int:
    """How many pieces it has."""
    (hosted,) = gateway.catalogue.files
    return sum(hosted.live.snapshot()) if hosted.live else 0


@pytest.mark.parametrize("servers", ["123", "13"], ids=["all", "one-lost"])
@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
def test_all_is_there_before_anybody_asks(
    part: tuple[Small, Path], hosting: Hosting, tmp_path: Path, servers: str, on_disk: bool
) -> None:
    running = [hosting.serve(part[1] / name) for name in servers]
    how: dict[str, Any] = {"cache": tmp_path / "cache", "free_space": 0} if on_disk else {}
    manifest = part[1] / "small.regather.json"
    urls = [server.url for server in running]
    gateway = started(hosting, [manifest], servers=urls, prefetch=True, **how)
    assert eventually(lambda: kept(gateway) >= PIECES)
    for server in running:
        hosting.kill(server)
    assert get(gateway.url, "small").body == content_of(part[0])


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
def test_it_stops_where_the_cache_is_full(
    part: tuple[Small, Path], hosting: Hosting, tmp_path: Path, on_disk: bool
) -> None:
    """Nothing is dropped for what nobody asked for; what is asked for comes all the same."""
    how: dict[str, Any] = {"cache": tmp_path / "cache", "free_space": 0} if on_disk else {}
    gateway = started(
        hosting,
        [part[1] / "small.regather.json"],
        servers=[hosting.serve(part[1] / name).url for name in "123"],
        prefetch=True,
        cache_size=PIECES // 2 * PIECE,
        **how,
    )
    most = PIECES // 2 * 9 // 10
    assert eventually(lambda: most - 8 <= kept(gateway) <= most)
    assert get(gateway.url, "small").body == content_of(part[0])


def test_who_asks_comes_first(part: tuple[Small, Path], hosting: Hosting) -> None:
    """The last piece, from a slow server, before all the others that were wanted before."""
    slow = hosting.serve(part[1] / "2", faults=["slow:200kB"])
    gateway = started(
        hosting,
        [part[1] / "small.regather.json"],
        servers=[slow.url, hosting.serve(part[1] / "1").url],
        prefetch=True,
    )
    assert eventually(lambda: kept(gateway) > 0)
    content = content_of(part[0])
    last = get(gateway.url, "small", Range=f"bytes={len(content) - 9}-")
    assert last.body == content[-9:]
    assert kept(gateway) < PIECES
