"""Ports on loopback."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

HOST = "127.0.0.1"


def free_port(host: str = HOST) -> int:
    """Return a TCP port on ``host`` that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int, host: str = HOST) -> bool:
    """Tell whether a connection to ``host:port`` is accepted."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(
    condition: Callable[[], bool], *, timeout: float = 10, what: str = "the condition"
) -> None:
    """Return as soon as ``condition`` holds; raise TimeoutError after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come about within {timeout:g} s")
        time.sleep(0.01)


def wait_listening(port: int, host: str = HOST, *, timeout: float = 10) -> None:
    """Return as soon as ``host:port`` accepts; raise TimeoutError after ``timeout`` seconds."""
    wait_until(
        lambda: is_listening(port, host), timeout=timeout, what=f"a listener on {host}:{port}"
    )
