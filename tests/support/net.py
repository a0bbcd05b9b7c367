"""Ports on loopback, and waiting for what must come about."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

HOST = "127.0.0.1"
PATIENCE = 60.0
"""Seconds to wait for what must come about: a bound against hangs, also where all is slow."""
_KEPT = 64
"""So many ports at a time: more than any test asks for, and few enough open files."""
_kept: deque[socket.socket] = deque()


def keep_port(port: int = 0, host: str = HOST) -> socket.socket:
    """Return a socket that keeps a TCP port on ``host`` for us until it is closed; 0: any.

    It is bound and does not listen: who connects is refused, the system gives the port to nobody,
    neither to a server on port 0 nor to a client (which may otherwise connect to itself), and a
    server that names it and sets SO_REUSEADDR, as all do, can listen on it.
    """
    kept = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind((host, port))
    except OSError:
        kept.close()
        raise
    return kept


def free_port(host: str = HOST) -> int:
    """Return a TCP port on ``host`` on which nobody listens unless the test makes somebody do so.

    It is kept for the test: a port that was only looked up might be another's in the next moment.
    """
    while len(_kept) >= _KEPT:
        _kept.popleft().close()
    _kept.append(keep_port(0, host))
    port: int = _kept[-1].getsockname()[1]
    return port


def is_listening(port: int, host: str = HOST) -> bool:
    """Tell whether a connection to ``host:port`` is accepted."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(
    condition: Callable[[], bool], *, timeout: float = PATIENCE, what: str = "the condition"
) -> None:
    """Return as soon as ``condition`` holds; raise TimeoutError after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come about within {timeout:g} s")
        time.sleep(0.01)


def wait_listening(port: int, host: str = HOST, *, timeout: float = PATIENCE) -> None:
    """Return as soon as ``host:port`` accepts; raise TimeoutError after ``timeout`` seconds."""
    wait_until(
        lambda: is_listening(port, host), timeout=timeout, what=f"a listener on {host}:{port}"
    )


def is_alive(pid: int) -> bool:
    """Whether a process still runs; one that only its parent has not asked for yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(") ")[2]
    except OSError:
        return False
    return not state.startswith(("Z", "X"))
