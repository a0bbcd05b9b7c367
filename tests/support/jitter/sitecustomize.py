"""Random delays, for tests that rest on the order of threads, servers and connections.

``pytest --jitter`` puts the folder of this module into PYTHONPATH. Python then imports it at its
start, so that the commands which tests start are delayed as well.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from typing import Any

MOST = "REGATHER_TESTS_JITTER"
"""The environment variable that holds the longest delay in seconds."""


def delay_at_random(most: float) -> None:
    """From now on each new thread, and either end of a new connection, may wait up to ``most``."""
    rng = random.SystemRandom()  # in forked processes too

    def delay() -> float:
        return most * rng.random() if rng.random() < 0.5 else 0.0

    begin, accept, connect = threading.Thread.start, socket.socket.accept, socket.socket.connect

    def start(self: Any) -> None:
        run = self.run

        def late() -> None:
            time.sleep(delay())
            run()

        self.run = late
        begin(self)

    def accept_late(self: socket.socket) -> Any:
        accepted = accept(self)
        time.sleep(delay())
        return accepted

    def connect_late(self: socket.socket, address: Any) -> None:
        connect(self, address)
        if self.gettimeout() != 0:
            time.sleep(delay())

    changes: list[tuple[Any, str, Any]] = [
        (threading.Thread, "start", start),
        (socket.socket, "accept", accept_late),
        (socket.socket, "connect", connect_late),
    ]
    for where, name, changed in changes:
        setattr(where, name, changed)


if MOST in os.environ:
    delay_at_random(float(os.environ[MOST]))
