"""A line to a server that is slow, is cut or falls silent: for whatever takes one connection."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from tests.support.net import HOST

_STEP = 4 << 10
_PASSIVE = re.compile(rb"229 [^(]*\(\|\|\|([0-9]+)\|\)")
_REQUEST = re.compile(rb"[A-Z]+ /[!-~]* HTTP/1")


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls every connection, counted in bytes of the way to the client."""

    rate: int = 0
    """Bytes a second; 0: as fast as can be."""
    cut_after: int | None = None
    """Then the connection is closed."""
    silent_after: int | None = None
    """Then nothing comes any more, and nothing is closed."""


class Line:
    """Relays its own port to that of a server while the ``with`` body runs."""

    def __init__(self, target: int, fault: Fault) -> None:
        self._target = target
        self._fault = fault
        self._listener = socket.create_server((HOST, 0))
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._over = threading.Event()
        self.asked: list[str] = []
        """First lines of requests, where it is HTTP."""

    @property
    def port(self) -> int:
        """Where to connect."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        _close(self._listener)
        self._threads[0].join(60)  # from now on no connection is added
        for made in self._sockets:
            _close(made)
        for thread in self._threads:
            thread.join(60)

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name="line")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._sockets.append(near)
                far = socket.create_connection((HOST, self._target))
                self._sockets.append(far)
                self._start(lambda n=near, f=far: self._requests(n, f))  # type: ignore[misc]
                self._start(lambda n=near, f=far: self._answers(n, f))  # type: ignore[misc]

    def translated(self, data: bytes) -> bytes:
        """What the client is to see of an answer: for protocols that tell of other ports in it."""
        return data

    def _requests(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(_STEP):
                if match := _REQUEST.match(data):
                    self.asked.append(match[0].decode())
                far.sendall(data)
            far.shutdown(socket.SHUT_WR)

    def _answers(self, near: socket.socket, far: socket.socket) -> None:
        fault, passed = self._fault, 0
        with contextlib.suppress(OSError):
            while data := far.recv(_STEP):
                data = self.translated(data)
                for limit in (fault.cut_after, fault.silent_after):
                    if limit is not None:
                        data = data[: max(0, limit - passed)]
                near.sendall(data)
                passed += len(data)
                if fault.rate:
                    time.sleep(len(data) / fault.rate)
                if fault.cut_after is not None and passed >= fault.cut_after:
                    break
                if fault.silent_after is not None and passed >= fault.silent_after:
                    self._over.wait()
            near.shutdown(socket.SHUT_RDWR)


def _close(made: socket.socket) -> None:
    """Wake whoever waits for it, too."""
    with contextlib.suppress(OSError):
        made.shutdown(socket.SHUT_RDWR)
    made.close()


class FtpLine(Line):
    """The same for FTP, where each file comes over a connection of its own: that is relayed too."""

    def __init__(self, target: int, fault: Fault) -> None:
        super().__init__(target, fault)
        self._files = contextlib.ExitStack()

    def translated(self, data: bytes) -> bytes:
        """See Line.translated."""
        match = _PASSIVE.search(data)
        if match is None:
            return data
        line = self._files.enter_context(Line(int(match[1]), self._fault))
        return data[: match.start(1)] + b"%d" % line.port + data[match.end(1) :]

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._files.close()
