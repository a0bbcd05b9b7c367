"""Locks of the whole process, and processes that are forked."""

from __future__ import annotations

import os
import threading


def free_after_fork(lock: threading.Lock) -> threading.Lock:
    """A lock that is free in a forked child, although another thread may hold it at that moment."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock
