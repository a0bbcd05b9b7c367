"""Counts what code does, where the clock would tell more of the machine than of the code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

MOST = 2.2
"""What twice the input may cost, as a multiple: linear, and a little."""


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of Python ``work`` runs, those of what it calls included."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def assert_linear(work: Callable[[int], object], size: int) -> None:
    """Hold ``work`` of an input of a given size to linear time, in lines of Python."""
    once, twice = (lines_run(lambda n=n: work(n)) for n in (size, 2 * size))  # type: ignore[misc]
    assert twice <= MOST * once + 100, (once, twice)
