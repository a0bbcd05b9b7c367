"""Reading a hosted file where it is read, instead of downloading it.

file (io.BufferedIOBase) -> engine.Session (planner, workers, pieces in memory)
"""

from __future__ import annotations

from regather.reading.file import RemoteFile
from regather.reading.opening import open

__all__ = ["RemoteFile", "open"]
