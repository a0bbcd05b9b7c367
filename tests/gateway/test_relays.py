"""A gateway as a source: of ``get``, of other gateways, and of itself."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import regather
from regather.errors import TransportError
from regather.gateway.launch import GatewayServer
from regather.sources.settings import Settings
from tests.gateway.support import content_of, get, received, started
from tests.support.hosting import Hosting
from tests.support.mirrors import stock_server
from tests.support.net import free_port
from tests.support.small import PIECE, Small, small


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, Path]:
    part, folder = small([300 * PIECE, 300 * PIECE], parity=1), tmp_path_factory.mktemp("relays")
    part.write(folder, {"1": [1], "2": [2], "3": [3]})
    return part, folder


def top(part: tuple[Small, Path], hosting: Hosting, **options: Any) -> GatewayServer:
    servers = [hosting.serve(part[1] / name).url for name in "123"]
    return started(hosting, [part[1] / "small.regather.json"], servers=servers, **options)


def test_get_by_manifest_and_by_server(
    part: tuple[Small, Path], hosting: Hosting, tmp_path: Path
) -> None:
    gateway = top(part, hosting)
    content = content_of(part[0])
    first = regather.download(f"{gateway.url}small.regather.json", tmp_path / "a")
    assert [source.url for source in first.sources] == [
        f"{gateway.url}d/{part[0].manifest.digest}/"
    ]
    alone = tmp_path / "alone"
    alone.mkdir()
    manifest = alone / "small.regather.json"
    manifest.write_bytes(part[0].manifest.to_bytes())
    regather.download(manifest, tmp_path / "b", servers=[gateway.url])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == content


def test_a_chain_of_three(part: tuple[Small, Path], hosting: Hosting) -> None:
    """By the manifest's URL, and by that of the listing."""
    first = top(part, hosting)
    second = started(hosting, [f"{first.url}small.regather.json"])
    third = started(hosting, [second.url])
    answers = [get(gateway.url, "small") for gateway in (third, second, first)]
    assert [answer.body for answer in answers] == [content_of(part[0])] * 3
    assert len({answer.headers["ETag"] for answer in answers}) == 1


@pytest.mark.parametrize("has_top", [False, True], ids=["three", "one above three"])
def test_sixty_clients_of_three_relays(has_top: bool, hosting: Hosting, tmp_path: Path) -> None:
    """Each relay fetches the file once; with one above them, the origin sends it once."""
    piece = 64 << 10
    part = small([24 * piece, 24 * piece], parity=1, piece=piece)
    part.write(tmp_path, {"1": [1], "2": [2], "3": [3]})
    first = [top((part, tmp_path), hosting) for _ in range(1 if has_top else 3)]
    relays = first
    if has_top:
        manifest = tmp_path / "small.regather.json"
        relays = [started(hosting, [manifest], servers=[first[0].url]) for _ in range(3)]
    content, urls = content_of(part), [relay.url for relay in relays] * 20
    with ThreadPoolExecutor(60) as pool:
        assert set(pool.map(lambda url: get(url, "small").body, urls)) == {content}
    assert sum(map(received, first)) <= 1.1 * len(first) * len(content)


def test_a_parent_is_killed(part: tuple[Small, Path], hosting: Hosting) -> None:
    """T5: in the middle of the transfer; the client sees no break. T4: it costs little."""
    dying, other = top(part, hosting), top(part, hosting)
    relay = started(hosting, [f"{dying.url}small.regather.json"], servers=[other.url])
    threading.Timer(0.05, lambda: hosting.kill(dying)).start()
    assert get(relay.url, "small").body == content_of(part[0])


def test_parents_by_the_urls_of_their_manifests(part: tuple[Small, Path], hosting: Hosting) -> None:
    """The first one is dead when the relay starts, the second one dies later."""
    parents = [top(part, hosting), top(part, hosting)]
    urls = [f"http://127.0.0.1:{free_port()}/", *(parent.url for parent in parents)]
    relay = started(hosting, [f"{url}small.regather.json" for url in urls])
    (hosted,) = relay.catalogue.files
    digest = part[0].manifest.digest
    assert [s.url for s in hosted.target.sources] == [f"{p.url}d/{digest}/" for p in parents]
    hosting.kill(parents[0])
    assert get(relay.url, "small").body == content_of(part[0])
    with pytest.raises(TransportError):
        started(hosting, [f"{urls[0]}small.regather.json"])


def test_a_loop_is_refused(part: tuple[Small, Path], hosting: Hosting) -> None:
    """Of three gateways; with a real source beside the loop all is served."""
    port = free_port()
    below = started(
        hosting,
        [part[1] / "small.regather.json"],
        servers=[f"http://127.0.0.1:{port}/"],
        settings=Settings(timeout=5, retries=1),
    )
    middle = started(hosting, [part[1] / "small.regather.json"], servers=[below.url])
    upper = started(hosting, [part[1] / "small.regather.json"], servers=[middle.url], port=port)
    began = time.monotonic()
    answer = get(upper.url, "small")
    assert answer.status in (502, 503), "nobody has it"
    assert time.monotonic() - began < 60
    looped = get(upper.url, "small", CDN_Loop=f"a, {upper.catalogue.files[0].loops.own}")
    assert (looped.status, looped.headers["Content-Type"]) == (508, "application/problem+json")
    right = top(part, hosting)
    beside = started(hosting, [part[1] / "small.regather.json"], servers=[upper.url, right.url])
    assert get(beside.url, "small").body == content_of(part[0])


def test_a_source_that_ignores_ranges(part: tuple[Small, Path], hosting: Hosting) -> None:
    """T1: what the client asks for is right, whatever the source sends."""
    content = content_of(part[0])
    with stock_server(part[1] / "1") as one, stock_server(part[1] / "2") as two:
        gateway = started(hosting, [part[1] / "small.regather.json"], servers=[one, two])
        got = get(gateway.url, "small", Range="bytes=400000-400099")
        assert (got.status, got.body) == (206, content[400000:400100])
        assert get(gateway.url, "small").body == content
