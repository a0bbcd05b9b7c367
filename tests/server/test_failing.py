"""What each fault looks like from outside."""

from __future__ import annotations

import http.client
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from regather.server.faults import decide, parse_fault, refuses
from tests.server.process import HOST, TIMEOUT, Serve, ask, body_of, read_until_broken
from tests.support.net import wait_until

GET = b"GET /file.dat HTTP/1.1\r\nHost: x\r\n\r\n"
SIZE = 300_007


def fetch_broken(server: Serve) -> tuple[bytes, bool]:
    """Ask for the file; return the body that came and whether the connection was reset."""
    with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection:
        connection.sendall(GET)
        received, reset = read_until_broken(connection)
        return body_of(received), reset


def receive_all(connection: socket.socket, into: bytearray) -> None:
    while piece := connection.recv(1 << 16):
        into += piece


@pytest.mark.parametrize("status", [503, 429, 404])
def test_error(folder: Path, status: int) -> None:
    with Serve(folder, "--fault", f"error:{status}") as server, server.connect() as connection:
        for method in ("GET", "HEAD"):
            answer = ask(connection, "/file.dat", method)
            assert (answer.status, answer.body) == (status, b"")
            assert "Retry-After" not in answer.headers
        assert ask(connection, "/-/health").status == 200


def test_reset(folder: Path) -> None:
    with Serve(folder, "--fault", "reset") as server:
        body, reset = fetch_broken(server)
        assert reset
        assert len(body) < SIZE
        assert server.get("/file.dat", "HEAD").status == 200
        assert server.health()["status"] == "ok"


def test_truncate(folder: Path, content: bytes) -> None:
    with Serve(folder, "--fault", "truncate") as server:
        body, reset = fetch_broken(server)
        assert not reset
        assert SIZE // 4 <= len(body) < SIZE
        assert content.startswith(body)
        with pytest.raises(http.client.IncompleteRead):
            server.get("/file.dat")


def test_corrupt(folder: Path, content: bytes) -> None:
    with Serve(folder, "--fault", "corrupt") as server, server.connect() as connection:
        for _ in range(5):
            body = ask(connection, "/file.dat").body
            assert len(body) == SIZE
            assert sum(a != b for a, b in zip(body, content, strict=True)) == 1
        assert ask(connection, "/file.dat", Range="bytes=7-7").body != content[7:8]
        assert ask(connection, "/empty.dat").body == b""


def test_stall(folder: Path, content: bytes) -> None:
    with Serve(folder, "--fault", "stall") as server:
        with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection:
            connection.sendall(GET)
            received = bytearray()
            while len(body_of(received)) < SIZE // 4:
                received += connection.recv(1 << 16)
            connection.settimeout(0.5)
            with pytest.raises(TimeoutError):
                receive_all(connection, into=received)
            body = body_of(received)
            assert content.startswith(body)
            assert len(body) < SIZE
            assert server.health()["connections"] == 2
        wait_until(lambda: server.health()["connections"] == 1, what="the end of the connection")


def test_a_stalled_response_does_not_hold_up_the_end(folder: Path) -> None:
    with (
        Serve(folder, "--fault", "stall") as server,
        socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection,
    ):
        connection.sendall(GET)
        connection.recv(1000)
        server.terminate()
        assert server.wait() == 0


def test_slow_holds_all_connections_together_to_its_rate(folder: Path, content: bytes) -> None:
    with Serve(folder, "--fault", "slow:400KB") as server:
        began = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(server.get, ["/file.dat"] * 2))
        took = time.monotonic() - began
        assert [answer.body for answer in answers] == [content] * 2
        assert 2 * SIZE / 400_000 * 0.95 < took < TIMEOUT


def test_slow_goes_with_other_faults(folder: Path, content: bytes) -> None:
    with Serve(folder, "--fault", "slow:1MB", "--fault", "corrupt") as server:
        began = time.monotonic()
        body = server.get("/file.dat").body
        assert time.monotonic() - began > SIZE / 1_000_000 * 0.95
        assert body != content
        assert len(body) == SIZE


def test_die_in_mid_body(folder: Path) -> None:
    with Serve(folder, "--fault", "die") as server:
        assert server.health()["status"] == "ok"
        assert server.get("/file.dat", "HEAD").status == 200
        body, _ = fetch_broken(server)
        assert len(body) < SIZE
        assert server.wait() == 70


def test_die_at_a_time(folder: Path) -> None:
    with Serve(folder, "--fault", "die@1s") as server:
        assert server.wait() == 70


def test_refuse(folder: Path) -> None:
    with Serve(folder, "--fault", "refuse") as server:
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((HOST, server.port), timeout=TIMEOUT)
        server.terminate()
        assert server.wait() == 0


def test_refuse_from_a_time_on(folder: Path) -> None:
    with Serve(folder, "--fault", "refuse@0.5s") as server:

        def refused() -> bool:
            try:
                socket.create_connection((HOST, server.port), timeout=TIMEOUT).close()
            except ConnectionResetError:  # it came between the moment and the end of listening
                return False
            except ConnectionRefusedError:
                return True
            return False

        wait_until(refused, what="refusal")
        server.terminate(signal.SIGINT)
        assert server.wait() == 0


def test_refuse_some_connections(folder: Path) -> None:
    def accepted(server: Serve) -> bool:
        try:
            with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection:
                connection.sendall(GET)
                return connection.recv(1) != b""
        except ConnectionError:
            return False

    faults = [parse_fault("refuse@0.5")]
    with Serve(folder, "--fault", "refuse@0.5", "--fault-seed", "4") as server:
        seen = [not accepted(server) for _ in range(20)]
    assert seen == [refuses(faults, 4, number, 0) for number in range(20)]
    assert len(set(seen)) == 2


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_gives_the_same_faults(folder: Path, content: bytes, seed: int) -> None:
    specs = ("error:503@0.3", "truncate@0.3", "corrupt@0.3")
    faults = tuple(map(parse_fault, specs))
    arguments = [word for spec in specs for word in ("--fault", spec)]
    with Serve(folder, *arguments, "--fault-seed", str(seed)) as server:
        for number in range(20):
            decision = decide(faults, seed, number, 0)
            kind = decision.fault.kind if decision.fault else None
            if kind == "truncate":
                assert fetch_broken(server)[0] == content[: decision.cut(SIZE)]
                continue
            answer = server.get("/file.dat")
            assert server.health()["status"] == "ok"  # it counts for nothing
            expected = bytearray(content)
            if kind == "corrupt":
                expected[decision.flip(SIZE)] ^= 0xFF
            assert answer.status == (503 if kind == "error" else 200)
            assert answer.body == (b"" if kind == "error" else expected)
