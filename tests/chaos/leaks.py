"""What a client leaves behind in its process."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator

_SETTLE_SECONDS = 30.0


def open_files() -> Counter[str]:
    """What this process has open, by what it is, and how many of it."""
    gc.collect()
    found: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            kind = os.readlink(f"/proc/self/fd/{number}")
            found[kind.partition(":")[0] if kind.startswith(("socket", "pipe")) else kind] += 1
    return found


def _settling() -> Iterator[None]:
    """Again and again for a while: what ends does not end at once."""
    until = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < until:
        yield
        time.sleep(0.01)


def threads_left() -> list[str]:
    """Threads of the client that outlive it, after a while."""
    left: list[str] = []
    for _ in _settling():
        left = [t.name for t in threading.enumerate() if t.name.startswith("regather")]
        if not left:
            return []
    return [f"threads outlive the client: {left}"]


def files_left(before: Counter[str]) -> list[str]:
    """Files and sockets that are open now and were not before, after a while."""
    more: Counter[str] = Counter()
    for _ in _settling():
        more = open_files() - before
        if not more:
            return []
    return [f"left open: {dict(more)}"]
