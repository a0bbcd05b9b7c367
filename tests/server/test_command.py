"""The command: what it says, how it fails, how it ends."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from regather.server.run import Server
from tests.server.conftest import BIG
from tests.server.process import (
    HOST,
    TIMEOUT,
    Serve,
    ask,
    body_of,
    command,
    read_all,
    read_until_broken,
    refused,
)
from tests.support.net import free_port, is_listening, wait_listening, wait_until

GET_BIG = b"GET /big.dat HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_no_such_path(tmp_path: Path) -> None:
    code, line = refused(str(tmp_path / "nothing"), "--port", "0")
    assert code == 2
    assert str(tmp_path / "nothing") in line


@pytest.mark.parametrize("path", ["a" * 300, "a/" * 3000])
def test_a_path_that_is_too_long(path: str) -> None:
    code, line = refused(path, "--port", "0")
    assert code == 2
    assert line.startswith("regather: cannot serve a")
    assert line.endswith("...: the name is too long; check the path")
    assert len(line) < 200


def test_a_port_in_use(folder: Path, server: Serve) -> None:
    code, line = refused(str(folder), "--port", str(server.port))
    assert code == 1
    assert f"port {server.port} on 127.0.0.1 is in use" in line
    assert "--port 0" in line


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_no_such_port(folder: Path, port: str) -> None:
    code, line = refused(str(folder), "--port", port)
    assert code == 2
    assert port in line


def test_a_host_that_is_none(folder: Path) -> None:
    code, line = refused(str(folder), "--port", "0", "--host", "256.0.0.1.invalid")
    assert code == 2
    assert "256.0.0.1.invalid" in line


def test_a_bad_fault(folder: Path) -> None:
    code, line = refused(str(folder), "--port", "0", "--fault", "explode@0.5")
    assert code == 2
    assert "'explode@0.5'" in line
    assert "truncate" in line


def test_the_line_for_people(folder: Path) -> None:
    with subprocess.Popen(
        command(str(folder), "--port", "0"), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            words = line.split()
            assert line == f"Serving {folder} at {words[-1]}\n"
            assert words[-1].startswith("http://127.0.0.1:")
            port = int(words[-1].rstrip("/").rpartition(":")[2])
            assert is_listening(port)
            process.terminate()
            assert process.wait(TIMEOUT) == 0
            assert process.stdout.read() == ""
        finally:
            process.kill()


def test_quiet_says_nothing(folder: Path) -> None:
    port = free_port()
    with subprocess.Popen(
        command(str(folder), "--port", str(port), "--quiet"), stdout=subprocess.PIPE
    ) as process:
        try:
            wait_listening(port)
            process.terminate()
            assert process.communicate(timeout=TIMEOUT)[0] == b""
        finally:
            process.kill()


def test_an_ipv6_host_is_put_in_brackets(folder: Path) -> None:
    assert Server(folder, host="::1", port=8000).url == "http://[::1]:8000/"


def test_help_needs_no_web_library() -> None:
    code = (
        "import sys; from regather.cli import main\n"
        "try: main(['serve', '--help'])\n"
        "except SystemExit: sys.exit('aiohttp' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--fault-seed" in done.stdout


def test_the_access_log(folder: Path) -> None:
    with Serve(folder, "--access-log") as server:
        with server.connect() as connection:
            ask(connection, "/file.dat", Range="bytes=5-14")
            assert connection.sock is not None
            client = f"127.0.0.1:{connection.sock.getsockname()[1]}"
            ask(connection, "/file.dat", "HEAD")
            ask(connection, "/nothing%20here", Range="evil\t é")
        server.raw(b"nonsense\r\n\r\n")
        wait_until(lambda: server.errors.count("\n") >= 4, what="the log")
        lines = [line.split(" ") for line in server.errors.splitlines()]
    assert {len(line) for line in lines} == {7}
    assert lines[0][:6] == [client, "GET", "/file.dat", "bytes=5-14", "206", "10"]
    assert float(lines[0][6]) < TIMEOUT
    assert lines[1][1:6] == ["HEAD", "/file.dat", "-", "200", "0"]
    assert lines[2][1:5] == ["GET", "/nothing%20here", r"evil\t\x20\udce9", "404"]
    assert lines[3][4] == "400"


def test_the_access_log_as_json(folder: Path) -> None:
    with Serve(folder, "--verbose", "--log-format", "json") as server:
        with server.connect() as connection:
            ask(connection, "/page.html", Range="bytes=0-1", User_Agent='curl "x"')
            client = "{}:{}".format(*connection.sock.getsockname())
        server.raw(b"GET /a HTTP/1.1\r\nHost: x\r\nRange: a\xe9\x85\r\nConnection: close\r\n\r\n")
        server.raw(b"nonsense\r\n\r\n")
        wait_until(lambda: server.errors.count("\n") == 3, what="the log")
        lines = server.errors.splitlines()
        first, second, third = map(json.loads, lines)
    assert all(map(str.isascii, lines))
    assert first.keys() == second.keys() == third.keys()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert 0 <= first.pop("seconds") < TIMEOUT
    address = f"127.0.0.1:{server.port}"
    assert first == {
        "event": "request",
        "server": address,
        "client": client,
        "method": "GET",
        "target": "/page.html",
        "host": address,
        "range": "bytes=0-1",
        "user_agent": 'curl "x"',
        "status": 206,
        "bytes": 2,
    }
    assert (second["range"], second["status"], second["user_agent"]) == ("a\\xe9\\x85", 404, None)
    assert third["status"] == 400


def test_messages_as_json(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    with path.open("wb") as stream:
        stream.truncate(BIG)
    with Serve(tmp_path, "--log-format", "json") as server:
        with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection:
            connection.sendall(b"GET /a.dat HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.recv(1000, socket.MSG_PEEK)
            os.truncate(path, 1000)
            read_until_broken(connection)
        wait_until(lambda: "\n" in server.errors, what="the message")
        message = json.loads(server.errors)
    assert (message["event"], message["level"]) == ("message", "warning")
    assert message["logger"] == "regather.server"
    assert "'a.dat'" in message["message"]


def test_the_access_log_tells_what_was_really_sent(folder: Path) -> None:
    with Serve(folder, "--access-log", "--fault", "truncate") as server:
        received = server.raw(b"GET /file.dat HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: "\n" in server.errors, what="the log")
        assert server.errors.split(" ")[5] == str(len(body_of(received)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(folder: Path, number: signal.Signals) -> None:
    with Serve(folder) as server, server.connect() as connection:
        assert ask(connection, "/page.html").status == 200
        server.terminate(number)
        assert server.wait() == 0
        assert server.errors == ""


def test_a_running_response_is_finished_first(folder: Path) -> None:
    with (
        Serve(folder, "--access-log") as server,
        socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection,
        server.connect() as idle,
    ):
        ask(idle, "/page.html")
        assert idle.sock is not None
        connection.sendall(GET_BIG)
        head = connection.recv(1000)  # the rest does not fit into the buffers in between
        server.terminate()
        wait_until(lambda: not is_listening(server.port), what="the end of listening")
        assert idle.sock.recv(1) == b""  # while idle connections are closed at once
        assert server.process.poll() is None
        assert body_of(head + read_all(connection)) == bytes(BIG)
        assert server.wait() == 0
        assert f" 200 {BIG} " in server.errors


def test_a_response_that_takes_too_long_is_broken_off(folder: Path) -> None:
    with (
        Serve(folder, "--access-log") as server,
        socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection,
    ):
        connection.sendall(GET_BIG)
        connection.recv(1000)
        server.terminate()
        assert server.wait() == 0
        received, _ = read_until_broken(connection)
        assert len(received) < BIG
        assert server.errors.count("\n") == 1
        assert " 200 " in server.errors


def test_a_second_signal_ends_it_at_once(folder: Path) -> None:
    with (
        Serve(folder) as server,
        socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection,
    ):
        connection.sendall(GET_BIG)
        connection.recv(1000)
        server.terminate()
        wait_until(lambda: not is_listening(server.port), what="the end of listening")
        server.terminate()
        assert server.wait() == 128 + signal.SIGTERM


@pytest.mark.timeout(600)
def test_two_thousand_idle_connections(folder: Path, content: bytes) -> None:
    count = 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = resource.RLIM_INFINITY if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))  # the server must raise it
    try:
        with Serve(folder, afresh=True) as server, ExitStack() as stack:
            resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
            for _ in range(count):
                connection = socket.create_connection((HOST, server.port), timeout=TIMEOUT)
                stack.enter_context(connection)
                connection.sendall(b"GET /page.html HTTP/1.1\r\nHost: x\r\n\r\n")
                received = b""
                while not received.endswith(b"<p>"):
                    received += connection.recv(1000)
                    assert received
            assert server.get("/file.dat").body == content
            assert server.health()["connections"] == count + 1
            server.terminate()
            assert server.wait() == 0
            assert server.errors == ""
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_log_that_nobody_reads_any_more_stops_nothing(folder: Path) -> None:
    reading, writing = os.pipe()
    with subprocess.Popen(
        command(str(folder), "--port", "0", "--json", "--access-log"),
        stdout=subprocess.PIPE,
        stderr=writing,
        text=True,
    ) as process:
        try:
            os.close(writing)
            os.close(reading)
            assert process.stdout is not None
            port = int(process.stdout.readline().partition('"port": ')[2].partition(",")[0])
            for _ in range(2):
                with socket.create_connection((HOST, port), timeout=TIMEOUT) as connection:
                    connection.sendall(
                        b"GET /page.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                    )
                    assert read_all(connection).endswith(b"<p>")
        finally:
            process.terminate()
            assert process.wait(TIMEOUT) == 0


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="no way to limit another process")
def test_more_connections_than_may_be_open(folder: Path) -> None:
    """The others wait; one line says so, and not one for each that asyncio tries to accept."""
    with Serve(folder) as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (64, 64))
        with ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(socket.create_connection((HOST, server.port), TIMEOUT))
            wait_until(lambda: bool(server.errors))
        assert server.get("/page.html").status == 200
        told = server.errors
        server.terminate()
        assert server.wait() == 0
    assert told == "too many open files: new connections must wait for others to close\n"


def test_a_host_that_nobody_knows(folder: Path) -> None:
    code, line = refused(str(folder), "--host", "nobody.invalid", "--port", "0")
    assert code == 2
    assert line.startswith("regather: cannot listen on 'nobody.invalid': unknown host (")
    assert "Errno" not in line
