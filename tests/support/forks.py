"""Work in a forked child."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable

import pytest


def in_child(work: Callable[[], object], seconds: float = 60) -> None:
    """Fork, do something in the child, and see that it ends well and in time."""
    pid = os.fork()
    if not pid:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert status == 0, "the child failed: see its traceback"
            return
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    pytest.fail("the child hangs")
