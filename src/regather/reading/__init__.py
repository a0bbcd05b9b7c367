"""Reading a hosted file where it is read, instead of downloading it.

    file (io.BufferedIOBase) -> fetcher (threads) -> plan (sans-I/O) + cache of verified pieces

The plan is not the planner of downloads: that one brings a whole file, in whatever order is
fastest; here a few pieces are needed at once, others perhaps, and who waits for what changes with
every read. What they know of a source (``planner.Health``) is the same.
"""

from __future__ import annotations

from regather.reading.file import RemoteFile
from regather.reading.opening import open

__all__ = ["RemoteFile", "open"]
