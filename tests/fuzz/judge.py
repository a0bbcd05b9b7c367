"""What one input may cost, and raise.

``python -m tests.fuzz.judge NAME`` prints the seconds that the input on standard input takes.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
import zlib

from tests.fuzz.harnesses import HARNESSES, Harness

MOST_MEMORY = 64 << 20
"""Bytes over those of the input."""
_PER_MIB = 1.0
"""Seconds of the processor."""
_FLOOR = 0.1
"""Seconds that any input may take: the collector of garbage runs when it likes."""
_ATTEMPTS = 3
"""How often a slow input is tried: what is slow by itself is slow each time."""
_STRETCH_EACH = 2000
_PAGE = os.sysconf("SC_PAGE_SIZE")
_UNIT = 1 if sys.platform == "darwin" else 1 << 10


class Finding(Exception):
    """What an input did that none may do."""


class Judge:
    """Feeds a harness, and raises Finding where it costs too much or raises what is not ours."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._count = 0
        self._peak = _peak()

    def __call__(self, data: bytes) -> None:
        self.check(data)
        self._count += 1
        # Now and then one that repeats a slice of itself: what is slow beyond measure shows there.
        if self._count % _STRETCH_EACH == 0:
            self.check(stretched(data, self._harness.most))

    def check(self, data: bytes) -> None:
        """Run one input. Raises Finding."""
        before = _resident()
        taken = seconds(self._harness, data)
        peak = _peak()
        if peak > self._peak:
            self._peak = peak
            if before and peak - before > MOST_MEMORY + len(data):
                raise Finding(f"{(peak - before) >> 20} MiB for {len(data)} bytes: {data[:200]!r}")
        most = _FLOOR + _PER_MIB * len(data) / (1 << 20)
        # The fuzzer's own instruments take time as well: what is slow is tried without them.
        if taken > most and (taken := _alone(self._harness, data)) > most:
            raise Finding(f"{taken:.2f} s for {len(data)} bytes: {data[:200]!r}")


def seconds(harness: Harness, data: bytes) -> float:
    """Seconds of the processor that an input takes, in all threads. Raises Finding."""
    began = time.process_time()
    try:
        harness.run(data)
    except harness.raises as error:
        told = str(error)
        if "\n" in told:
            raise Finding(f"an error in several lines: {told!r}") from error
    return time.process_time() - began


def _alone(harness: Harness, data: bytes) -> float:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "tests.fuzz.judge", harness.name]
    return float(subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout)


def stretched(data: bytes, size: int) -> bytes:
    """An input of about ``size`` bytes: a slice of ``data``, which they choose, many times over."""
    if not data:
        return data
    mark = zlib.crc32(data)
    start = mark % len(data)
    part = data[start : start + 1 + (mark >> 16) % 64]
    return data[:start] + part * ((size - len(data)) // len(part)) + data[start:]


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def _resident() -> int:
    """Bytes in memory now; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return 0


if __name__ == "__main__":
    given = sys.stdin.buffer.read()
    print(min(seconds(HARNESSES[sys.argv[1]], given) for _ in range(_ATTEMPTS)))
