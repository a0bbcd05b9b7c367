"""What monitoring is told of a cache on the disk."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from regather.server.tallies import Family, single
from regather.store.disk_cache import DiskCache


class DiskFamilies:
    """The counts of a disk cache."""

    def __init__(self, cache: DiskCache) -> None:
        self._cache = cache

    def families(self) -> Iterable[Family]:
        """See Tallied."""
        cache, tally = self._cache, self._cache.tally
        for name, text, value in (
            ("size", "Bytes of the cache on the disk.", cache.used),
            ("max_size", "The limit of these bytes.", cache.limit),
            ("queued", "Bytes that wait to be written to the cache.", cache.queued),
        ):
            yield Family(f"regather_cache_{name}_bytes", "gauge", text, single(value))
        try:
            free = single(cache.free_bytes)
        except OSError:
            free = {}
        text = "Bytes that are free on the file system of the cache."
        yield Family("regather_cache_disk_free_bytes", "gauge", text, free)
        for name, text, count in (
            ("stored", "Bytes of pieces that were written to the cache.", tally.stored_bytes),
            ("dropped", "Bytes of pieces that were not kept.", tally.dropped_bytes),
        ):
            yield Family(f"regather_cache_{name}_bytes", "counter", text, single(count))
        yield Family(
            "regather_cache_evicted_bytes",
            "counter",
            "Bytes that left the cache, by the reason.",
            {(reason,): size for reason, size in tally.evicted_bytes.items()},
            ("reason",),
        )
        yield Family(
            "regather_cache_write_errors",
            "counter",
            "Pieces that could not be written, by the error of the system.",
            {(errno.errorcode.get(n, str(n)),): c for n, c in tally.write_errors.items()},
            ("errno",),
        )
