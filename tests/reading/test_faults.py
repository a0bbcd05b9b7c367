"""Reading while sources are dead, lie, stall, refuse or come back; out of parity; over sockets."""

from __future__ import annotations

import random
import socket
import threading
import time

import pytest

import regather
from tests.reading.support import PIECE, QUICK, SIZE, Made, split_for_reading
from tests.support.hosting import Hosting
from tests.support.net import free_port
from tests.support.rogue import Rogue, sends

PATIENT = regather.Settings(timeout=60, connect_timeout=60, retries=2)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Three servers with all of the file each."""
    return split_for_reading(tmp_path_factory.mktemp("copies"), fragments=3, servers=3, replicas=3)


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Six servers, any four of which are enough."""
    return split_for_reading(tmp_path_factory.mktemp("coded"), fragments=4, parity=2, servers=6)


def read_at_random(file: regather.RemoteFile, content: bytes, count: int, seed: int = 1) -> None:
    rng = random.Random(seed)
    for _ in range(count):
        start, size = rng.randrange(SIZE), rng.randrange(2 * PIECE)
        assert file.pread(size, start) == content[start : start + size]


@pytest.mark.parametrize(
    "faults",
    [
        ["corrupt"],
        ["corrupt@0.3"],
        ["reset@0.4"],
        ["truncate@0.4"],
        ["error:503@0.4"],
        ["error:404"],
        ["error:500"],
        ["refuse"],
    ],
)
def test_a_source_that_fails_beside_good_ones(
    copies: Made, hosting: Hosting, faults: list[str]
) -> None:
    urls = [hosting.serve(copies.servers[0], faults=faults).url]
    urls += [hosting.serve(folder).url for folder in copies.servers[1:]]
    with regather.open(copies.manifest, servers=urls, settings=QUICK) as file:
        read_at_random(file, copies.content, 40)
        assert file.read() == copies.content


def test_parity_over_slow_links(coded: Made, hosting: Hosting) -> None:
    """A piece takes some three seconds; what is on its way must not be broken off for ever."""
    urls = [hosting.serve(folder, faults=["slow:6KB"]).url for folder in coded.servers[1:]]
    with regather.open(coded.manifest, servers=urls, settings=QUICK) as file:
        assert file.pread(100, 0) == coded.content[:100]
        # Four pieces of the row, and what of it was asked of two sources on a busy machine.
        assert file.received <= 8 * PIECE


def test_nobody_listens_at_a_source(copies: Made, hosting: Hosting) -> None:
    urls = [f"http://127.0.0.1:{free_port()}/", hosting.serve(copies.servers[1]).url]
    with regather.open(copies.manifest, servers=urls, settings=QUICK) as file:
        assert file.read() == copies.content


@pytest.mark.parametrize("settings", [QUICK, PATIENT])
def test_a_source_that_stalls_is_not_waited_for(
    copies: Made, hosting: Hosting, settings: regather.Settings
) -> None:
    """With a time-out of a minute too: another source is asked, long before that."""
    urls = [hosting.serve(copies.servers[0], faults=["stall"]).url]
    urls += [hosting.serve(folder).url for folder in copies.servers[1:]]
    began = time.monotonic()
    with regather.open(copies.manifest, servers=urls, settings=settings) as file:
        assert file.read() == copies.content
    assert time.monotonic() - began < 50


def test_a_source_that_accepts_and_says_nothing(copies: Made, hosting: Hosting) -> None:
    over = threading.Event()

    def say_nothing(head: bytes, connection: socket.socket) -> None:
        over.wait(60)

    with Rogue(say_nothing) as silent:
        urls = [silent.url, hosting.serve(copies.servers[1]).url]
        with regather.open(copies.manifest, servers=urls, settings=PATIENT) as file:
            assert file.read() == copies.content
        over.set()


def test_a_source_that_crawls_is_overtaken(copies: Made, hosting: Hosting) -> None:
    """2 KB/s: alone it would take five minutes."""
    urls = [hosting.serve(copies.servers[0], faults=["slow:2KB"]).url]
    urls += [hosting.serve(folder).url for folder in copies.servers[1:]]
    with regather.open(copies.manifest, servers=urls, settings=PATIENT) as file:
        assert file.read() == copies.content


def test_a_source_that_knows_no_ranges(copies: Made) -> None:
    whole = (copies.servers[0] / "file_fragment_2.dat").read_bytes()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(whole)}\r\n\r\n".encode()
    with (
        Rogue(sends(head, whole)) as rogue,
        regather.open(copies.manifest, servers=[rogue.url], settings=QUICK) as file,
    ):
        start = SIZE // 3 + 3 * PIECE
        assert file.pread(5, start) == copies.content[start : start + 5]


def test_all_lie(copies: Made, hosting: Hosting) -> None:
    urls = [hosting.serve(folder, faults=["corrupt"]).url for folder in copies.servers]
    with regather.open(copies.manifest, servers=urls, settings=QUICK) as file:
        buffer = bytearray(b"x" * PIECE)
        with pytest.raises(regather.VerificationError, match="sent wrong data") as caught:
            file.readinto(buffer)
        assert buffer == b"x" * PIECE, "unverified bytes were handed out"
        assert file.tell() == 0
        assert "file_fragment_1.dat" in caught.value.details[0]


def test_all_lie_at_times(copies: Made, hosting: Hosting) -> None:
    urls = [
        hosting.serve(folder, faults=["corrupt@0.4"], seed=n).url
        for n, folder in enumerate(copies.servers)
    ]
    patient = regather.Settings(retries=10)
    with regather.open(copies.manifest, servers=urls, settings=patient) as file:
        assert file.read() == copies.content


def test_none_is_there_and_then_one_comes_back(copies: Made, hosting: Hosting) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    with regather.open(copies.manifest, servers=[url], settings=QUICK) as file:
        with pytest.raises(regather.NotEnoughSourcesError) as caught:
            file.read(10)
        assert caught.value.missing == ("file_fragment_1.dat",)
        assert url in caught.value.details[0]
        assert file.tell() == 0
        hosting.serve(copies.servers[0], port=port)
        for _ in range(100):
            try:
                assert file.read() == copies.content
                break
            except regather.NotEnoughSourcesError:  # it is not asked again at once
                time.sleep(0.1)
        else:
            pytest.fail("the source that came back was never asked")


def test_a_server_dies_while_it_is_read(copies: Made, hosting: Hosting) -> None:
    servers = [hosting.serve(folder) for folder in copies.servers]
    with regather.open(
        copies.manifest, servers=[s.url for s in servers], settings=QUICK, cache_size=4 * PIECE
    ) as file:
        for n in range(3):
            got = b"".join(iter(lambda: file.read(7_001), b""))
            assert got == copies.content
            file.seek(0)
            if n < 2:
                hosting.kill(servers[n])


@pytest.mark.parametrize("lost", [(0, 1), (0, 4), (2, 3), (4, 5), (1,)])
def test_parity_replaces_lost_servers(coded: Made, hosting: Hosting, lost: tuple[int, ...]) -> None:
    urls = [hosting.serve(f).url for n, f in enumerate(coded.servers) if n not in lost]
    with regather.open(coded.manifest, servers=urls, settings=QUICK) as file:
        read_at_random(file, coded.content, 30)
        assert file.read() == coded.content
        assert bool(file._session.decoded) == any(n < 4 for n in lost)


@pytest.mark.parametrize("fault", ["stall", "corrupt", "error:503", "reset", "refuse", "slow:1KB"])
def test_parity_replaces_failing_servers(coded: Made, hosting: Hosting, fault: str) -> None:
    urls = [
        hosting.serve(f, faults=[fault] if n in {1, 4} else []).url
        for n, f in enumerate(coded.servers)
    ]
    with regather.open(coded.manifest, servers=urls, settings=PATIENT, cache_size=PIECE) as file:
        start = SIZE // 4 + 10
        assert file.pread(5 * PIECE, start) == coded.content[start : start + 5 * PIECE]
        assert file._session.decoded
        assert file.read() == coded.content


def test_a_row_is_fetched_once_for_all_that_is_lost(coded: Made, hosting: Hosting) -> None:
    urls = [hosting.serve(f).url for f in coded.servers[2:]]
    with regather.open(coded.manifest, servers=urls, settings=PATIENT) as file:
        file.pread(10, 0)
        assert file.received == 4 * PIECE
        assert file.pread(PIECE, 0) == coded.content[:PIECE]
        assert file.received == 4 * PIECE


def test_three_lost_servers_are_too_many(coded: Made, hosting: Hosting) -> None:
    urls = [hosting.serve(f).url for f in coded.servers[3:]]
    with regather.open(coded.manifest, servers=urls, settings=QUICK) as file:
        start = SIZE - 1000
        assert file.pread(1000, start) == coded.content[start:]
        with pytest.raises(regather.NotEnoughSourcesError):
            file.read(1)
        assert file.pread(1000, start) == coded.content[start:]


def test_closing_ends_a_read_in_another_thread(copies: Made, hosting: Hosting) -> None:
    url = hosting.serve(copies.servers[0], faults=["stall"]).url
    caught: list[BaseException] = []
    file = regather.open(copies.manifest, servers=[url], settings=PATIENT)

    def read() -> None:
        try:
            file.read()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.3)
    file.close()
    thread.join(30)
    assert not thread.is_alive()
    assert [type(error) for error in caught] == [ValueError]
