"""How one thread makes another stop waiting for the network."""

from __future__ import annotations

import contextlib
import socket


class Wake:
    """Something to wait for beside sockets: ``fileno()`` is readable after ``call()``."""

    def __init__(self) -> None:
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)

    def fileno(self) -> int:
        """What to poll."""
        return self._ear.fileno()

    def call(self) -> None:
        """Make it readable, for good; from any thread, and after close() too."""
        with contextlib.suppress(OSError):  # full: it is readable; closed: nobody waits
            self._mouth.send(b"x")

    def close(self) -> None:
        """Free both ends."""
        self._ear.close()
        self._mouth.close()
