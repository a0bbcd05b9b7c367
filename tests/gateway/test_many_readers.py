"""Many clients at once, slow ones, and those that leave: complaints about other such systems."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

import regather
from regather.gateway.launch import GatewayServer
from regather.sources.settings import Settings
from tests.gateway.support import asking, content_of, eventually, get, received, started
from tests.support.files import random_file
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE
from tests.support.small import Small, small

PIECE = 64 << 10


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, Path]:
    """16 MiB in two fragments and their parity."""
    part, folder = small([128 * PIECE, 128 * PIECE], parity=1, piece=PIECE), None
    folder = tmp_path_factory.mktemp("large")
    part.write(folder, {"1": [1], "2": [2], "3": [3]})
    return part, folder


def held(gateway: GatewayServer) -> int:
    (hosted,) = gateway.catalogue.files
    return len(hosted.live._room._holders) if hosted.live else 0


def test_many_cold_clients_cost_one_fetch(large: tuple[Small, Path], hosting: Hosting) -> None:
    """T6: 200 clients at once; the sources send the file once, and hedges."""
    part, folder = large
    servers = [hosting.serve(folder / name).url for name in "123"]
    gateway = started(hosting, [folder / "small.regather.json"], servers=servers)
    content = content_of(part)
    sockets = [asking(gateway.url, "small", Connection="close") for _ in range(200)]
    wrong = []

    def read(connection: socket.socket) -> None:
        with closing(connection), connection.makefile("rb") as stream:
            head, _, body = stream.read().partition(b"\r\n\r\n")
            if b" 200 " not in head or body != content:
                wrong.append(head[:100])

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(read, sockets))
    assert wrong == []
    assert received(gateway) <= 1.1 * len(content)


def test_slow_clients_hold_nothing(large: tuple[Small, Path], hosting: Hosting) -> None:
    """T9: 100 clients that read nothing, at different places, and one that reads."""
    part, folder = large
    servers = [hosting.serve(folder / name).url for name in "123"]
    gateway = started(
        hosting, [folder / "small.regather.json"], servers=servers, cache_size=16 * PIECE
    )
    content = content_of(part)
    stalled = []
    try:
        for n in range(100):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(PATIENCE)
            connection.connect(("127.0.0.1", gateway.port))
            start = n * 2 * PIECE
            request = f"GET /small HTTP/1.1\r\nHost: x\r\nRange: bytes={start}-\r\n\r\n"
            connection.sendall(request.encode())
            stalled.append((start, connection))
        assert get(gateway.url, "small").body == content
        assert eventually(lambda: held(gateway) == 0), "who reads nothing holds pieces"

        def all_wait() -> bool:
            transfers = gateway.watched.sample().transfers
            return [one.waits for one in transfers] == ["waits for its client"] * 100

        assert eventually(all_wait)
        for start, connection in stalled[::20]:  # they go on where they were
            with connection.makefile("rb") as stream:
                while stream.readline().strip():
                    pass
                assert stream.read(len(content) - start) == content[start:]
    finally:
        for _, connection in stalled:
            connection.close()


def test_who_leaves_frees_its_window(large: tuple[Small, Path], hosting: Hosting) -> None:
    """T20: also while it waits for a source that sends nothing."""
    folder = large[1]
    silent = [hosting.serve(folder / name, faults=["stall"]).url for name in "123"]
    gateway = started(hosting, [folder / "small.regather.json"], servers=silent)
    connection = asking(gateway.url, "small")
    assert eventually(lambda: held(gateway) > 0)
    connection.close()
    assert eventually(lambda: held(gateway) == 0 and gateway.catalogue.files[0].readers == 0)


def test_who_leaves_takes_nothing_from_others(large: tuple[Small, Path], hosting: Hosting) -> None:
    """A piece belongs to all who wait for it, not to who asked first."""
    folder, size = large[1], 8 * PIECE
    slow = hosting.serve(folder / "1", faults=["slow:400kB"]).url
    gateway = started(hosting, [folder / "small.regather.json"], servers=[slow])
    span = f"bytes=0-{size - 1}"
    with ThreadPoolExecutor(1) as pool:
        with closing(asking(gateway.url, "small", Range=span)):
            assert eventually(lambda: held(gateway) > 0)
            other = pool.submit(get, gateway.url, "small", Range=span)
            assert eventually(lambda: gateway.catalogue.files[0].readers == 2)
        assert other.result().body == content_of(large[0])[:size]
    assert received(gateway) == size


def test_who_leaves_is_counted(large: tuple[Small, Path], hosting: Hosting) -> None:
    """The bytes that went out, and the request: most of what players do breaks off."""
    folder = large[1]
    servers = [hosting.serve(folder / name).url for name in "123"]
    gateway = started(hosting, [folder / "small.regather.json"], servers=servers)
    connection = asking(gateway.url, "small")
    assert connection.recv(1000)
    connection.close()

    def counted(series: str) -> float:
        lines = get(gateway.url, "-/metrics").body.decode().splitlines()
        found = [line.rpartition(" ")[2] for line in lines if line.startswith(f"{series} ")]
        return float(found[0]) if found else 0

    assert eventually(lambda: counted('regather_http_aborted_total{reason="client_gone"}') == 1)
    assert counted('regather_http_requests_in_flight{handler="file"}') == 0
    assert counted('regather_http_requests_total{code="200",handler="file",method="GET"}') == 1
    assert 0 < counted('regather_http_response_bytes_total{handler="file"}') < 256 * PIECE
    assert counted('regather_http_request_duration_seconds_count{handler="file"}') == 1


def test_a_cold_range_near_the_end_does_not_wait_for_the_rest(
    large: tuple[Small, Path], hosting: Hosting
) -> None:
    """T10: few pieces are received for it."""
    part, folder = large
    servers = [hosting.serve(folder / name).url for name in "123"]
    gateway = started(hosting, [folder / "small.regather.json"], servers=servers)
    content = content_of(part)
    at = len(content) * 99 // 100
    assert get(gateway.url, "small", Range=f"bytes={at}-{at + 9}").body == content[at : at + 10]
    assert received(gateway) <= 2 * PIECE


def test_all_sources_silent(large: tuple[Small, Path], hosting: Hosting) -> None:
    """T3: an answer with words, within the limit; and no answer is remembered."""
    part, folder = large
    silent = [hosting.serve(folder / name, faults=["stall"]) for name in "123"]
    gateway = started(
        hosting,
        [folder / "small.regather.json"],
        servers=[s.url for s in silent],
        settings=Settings(timeout=0.5, retries=1000),
    )
    answer = get(gateway.url, "small")
    assert (answer.status, answer.headers["Content-Type"]) == (504, "application/problem+json")
    assert b"file_fragment_1.dat" in answer.body
    for server in silent:
        hosting.kill(server)
    for name, server in zip("123", silent, strict=True):
        hosting.serve(folder / name, port=server.port)
    assert eventually(lambda: get(gateway.url, "small").body == content_of(part))


def test_a_source_that_sends_wrong_bytes(large: tuple[Small, Path], hosting: Hosting) -> None:
    """T2: no wrong byte leaves; with parity the answer is right all the same."""
    part, folder = large
    servers = [
        hosting.serve(folder / "1", faults=["corrupt"]).url,
        *(hosting.serve(folder / name).url for name in "23"),
    ]
    gateway = started(hosting, [folder / "small.regather.json"], servers=servers)
    assert get(gateway.url, "small").body == content_of(part)


def test_no_source_has_it_right(large: tuple[Small, Path], hosting: Hosting) -> None:
    """502 before the first byte; a reset behind it; both say which fragment."""
    part, folder = large
    only = [
        hosting.serve(folder / "1").url,
        hosting.serve(folder / "2", faults=["corrupt"]).url,
    ]
    gateway = started(
        hosting,
        [folder / "small.regather.json"],
        servers=only,
        settings=Settings(timeout=10, retries=1),
    )
    content = content_of(part)
    half = 128 * PIECE
    answer = get(gateway.url, "small", Range=f"bytes={half}-{half + 9}")
    assert answer.status == 502
    assert b"file_fragment_2.dat" in answer.body
    cut = get(gateway.url, "small")
    assert (cut.status, cut.whole) == (200, False)
    assert cut.body == content[: len(cut.body)]
    assert len(cut.body) >= half


def test_dead_sources(large: tuple[Small, Path], hosting: Hosting) -> None:
    """503 with Retry-After; one that comes back is used again."""
    part, folder = large
    server = hosting.serve(folder / "1")
    gateway = started(
        hosting,
        [folder / "small.regather.json"],
        servers=[server.url],
        settings=Settings(timeout=10, connect_timeout=1, retries=0),
    )
    hosting.kill(server)
    answer = get(gateway.url, "small", Range="bytes=0-9")
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 1
    states = [get(gateway.url, path).status for path in ("-/health", "-/ready")]
    assert states == [200, 200], "what is cached can be read without any source"
    hosting.serve(folder / "1", port=server.port)
    back = lambda: get(gateway.url, "small", Range="bytes=0-9").status == 206  # noqa: E731
    assert eventually(back)
    assert part


def test_all_files_share_one_limit(tmp_path: Path, hosting: Hosting) -> None:
    """T9: three files of 1 MiB with room for half of one: all are right, and no more is kept."""
    parts = {}
    for seed in range(3):
        parts[f"{seed}.bin"] = random_file(tmp_path / f"{seed}.bin", 16 * PIECE, seed)
        regather.split(
            tmp_path / f"{seed}.bin", tmp_path / f"{seed}", fragments=2, piece_size=PIECE
        )
    manifests = [tmp_path / f"{seed}" / f"{seed}.bin.regather.json" for seed in range(3)]
    gateway = started(hosting, manifests, cache_size=8 * PIECE)
    for name, path in parts.items():
        assert get(gateway.url, name).body == path.read_bytes()
    kept = [hosted.live.snapshot() for hosted in gateway.catalogue.files if hosted.live]
    assert len(kept) == 3
    assert 0 < sum(map(sum, kept)) <= 8
    assert sum(kept[2]), "what was read last is kept"


def test_more_clients_than_allowed(large: tuple[Small, Path], hosting: Hosting) -> None:
    folder = large[1]
    silent = hosting.serve(folder / "1", faults=["stall"]).url
    gateway = started(hosting, [folder / "small.regather.json"], servers=[silent], max_clients=1)
    with closing(asking(gateway.url, "small")):
        assert eventually(lambda: held(gateway) > 0)
        answer = get(gateway.url, "small")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert get(gateway.url, "-/health").status == 200
    assert threading.active_count() < 100
