"""Rates over time: five minutes by the second, an hour by ten seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

SECONDS = 300
TENS = 360
SPARK = 60
"""Points of a server's sparkline, one a second."""
_STEP = 10


class Graphs:
    """Named values, one of each a second; older ones as means over ten seconds."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._seconds: deque[tuple[int, tuple[float, ...]]] = deque(maxlen=SECONDS)
        self._tens: deque[tuple[int, tuple[float, ...]]] = deque(maxlen=TENS)
        self._open: list[tuple[float, ...]] = []
        self._step = -1

    def add(self, at: int, values: Mapping[str, float]) -> None:
        """Note the values of a second (Unix time)."""
        point = tuple(round(values.get(name, 0.0), 1) for name in self._names)
        self._seconds.append((at, point))
        step = at // _STEP
        if step != self._step:
            self._close()
            self._step = step
        self._open.append(point)

    def _close(self) -> None:
        if self._open:
            columns = zip(*self._open, strict=True)
            means = tuple(round(sum(part) / len(self._open), 1) for part in columns)
            self._tens.append((self._step * _STEP, means))
            self._open = []

    def document(self, since: int = -1) -> dict[str, object]:
        """All points after ``since`` (Unix time), for JSON: each is [time, value, value...]."""
        return {
            "names": self._names,
            "seconds": [[at, *point] for at, point in self._seconds if at > since],
            "tens": [[at, *point] for at, point in self._tens if at > since - _STEP],
        }


class Meter:
    """The rate of a counter, and its last minute by the second."""

    def __init__(self) -> None:
        self._before: tuple[float, int] | None = None
        self.rate = 0.0
        """Over about three seconds."""
        self.points: deque[int] = deque(maxlen=SPARK)
        self._recent: deque[tuple[float, int]] = deque(maxlen=4)

    def note(self, now: float, total: int) -> float:
        """Take in a counter; return the bytes a second since it was last noted."""
        before, self._before = self._before, (now, total)
        self._recent.append((now, total))
        began, first = self._recent[0]
        self.rate = max(total - first, 0) / (now - began) if now > began else 0.0
        latest = 0.0
        if before is not None and now > before[0]:
            latest = max(total - before[1], 0) / (now - before[0])
        self.points.append(round(latest))
        return latest
