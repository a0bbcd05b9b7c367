"""Runs ``regather serve`` as users do, and asks it things."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from tests.support import files, forked

TIMEOUT = 60
HOST = "127.0.0.1"


def command(*arguments: str) -> list[str]:
    """The command line of ``regather serve``."""
    return [sys.executable, "-m", "regather", "serve", *arguments]


def refused(*arguments: str | Path) -> tuple[int, str]:
    """Run ``regather serve``, which must not start: its exit code and its one line."""
    done = files.regather("serve", *arguments, timeout=TIMEOUT)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return done.returncode, lines[0]


@dataclass
class Answer:
    """A response as it came."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Serve:
    """``regather serve PATH`` on a free port while the ``with`` body runs.

    ``afresh``: started by Python itself, for what a forked process would inherit or not have.
    """

    def __init__(self, path: Path, *arguments: str, afresh: bool = False) -> None:
        self._command = command(str(path), "--port", "0", "--json", *arguments)
        self._afresh = afresh
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)

    def __enter__(self) -> Self:
        self.process, self._output = self._started()
        try:
            line = self._output.readline()
            assert line, f"it did not start: {self.errors}"
            self.listening: dict[str, Any] = json.loads(line)
            self.port: int = self.listening["port"]
        except BaseException:
            self._end()
            raise
        return self

    def _started(self) -> tuple[subprocess.Popen[bytes] | forked.Command, IO[bytes]]:
        if self._afresh or not forked.can_be_forked(None):
            process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=self._errors, stdin=subprocess.DEVNULL
            )
            assert process.stdout is not None
            return process, process.stdout
        reading, writing = os.pipe()
        with open(os.devnull, "rb") as null, open(writing, "wb") as output:
            return forked.Command(
                self._command[3:],
                stdin=null.fileno(),
                stdout=output.fileno(),
                stderr=self._errors.fileno(),
            ), open(reading, "rb")

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT)
        self._output.close()
        self._errors.close()

    @property
    def errors(self) -> str:
        """What it wrote to standard error so far."""
        self._errors.seek(0)
        return self._errors.read().decode()

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        return self.process.wait(TIMEOUT)

    @contextmanager
    def connect(self) -> Iterator[http.client.HTTPConnection]:
        """A connection for several requests."""
        with closing(http.client.HTTPConnection(HOST, self.port, timeout=TIMEOUT)) as connection:
            yield connection

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Ask once; underscores in the names of headers stand for dashes."""
        with self.connect() as connection:
            return ask(connection, path, method, **headers)

    def raw(self, request: bytes) -> bytes:
        """Send bytes on a connection of their own and read until the server closes it."""
        with socket.create_connection((HOST, self.port), timeout=TIMEOUT) as connection:
            connection.sendall(request)
            return read_all(connection)

    def raw_get(self, target: bytes) -> bytes:
        """Ask for exactly this target; return head and body."""
        return self.raw(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    def health(self) -> dict[str, Any]:
        """What ``/-/health`` says."""
        answer = self.get("/-/health")
        assert answer.status == 200
        document: dict[str, Any] = json.loads(answer.body)
        return document


def ask(
    connection: http.client.HTTPConnection, path: str, method: str = "GET", **headers: str
) -> Answer:
    """Ask on an open connection and read the whole answer."""
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def read_all(connection: socket.socket) -> bytes:
    """Read until the other end closes."""
    received = bytearray()
    while piece := connection.recv(1 << 20):
        received += piece
    return bytes(received)


def read_until_broken(connection: socket.socket) -> tuple[bytes, bool]:
    """Read until the other end closes or resets; tell which: (bytes, it was reset)."""
    received = bytearray()
    try:
        while piece := connection.recv(1 << 16):
            received += piece
    except ConnectionResetError:
        return bytes(received), True
    return bytes(received), False


def body_of(received: bytes | bytearray) -> bytes:
    """What follows the head."""
    return bytes(received.partition(b"\r\n\r\n")[2])
