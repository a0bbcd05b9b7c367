"""How one thread makes another stop waiting for the network."""

from __future__ import annotations

import contextlib
import socket
import threading


class Wake:
    """Something to wait for beside sockets: ``fileno()`` is readable after ``call()``."""

    def __init__(self) -> None:
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._guard = threading.Lock()  # a number that was closed may be another socket's

    def fileno(self) -> int:
        """What to poll."""
        return self._ear.fileno()

    def call(self) -> None:
        """Make it readable, for good; from any thread, and after close() too."""
        # Where it is full, it is readable; where it is closed, nobody waits.
        with self._guard, contextlib.suppress(OSError):
            self._mouth.send(b"x")

    def close(self) -> None:
        """Free both ends."""
        with self._guard:
            self._ear.close()
            self._mouth.close()
