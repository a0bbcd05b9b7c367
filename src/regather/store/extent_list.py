"""Which extents are in the cache, and which of them goes next: the one used least recently.

Nothing here reads or writes, and all is called under the lock of the cache.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from regather.store.extents import BLOCK

if TYPE_CHECKING:
    from regather.store.cached_file import CachedFile


class Extent:
    """One extent: where it is, what of it is on the disk, and how many want it to stay."""

    def __init__(self, path: Path, size: int = 0) -> None:
        self.path = path
        self.size = size
        """Bytes that count against the limit."""
        self.slots: set[int] = set()
        """Places of pieces whose bytes are counted."""
        self.pins = 0
        """Reads, writes and wants that it must stay for."""
        self.owner: CachedFile | None = None
        """The file, where that is open, and the extent's number in it."""
        self.number = 0
        self.touched = 0.0
        """When its time on the disk was last set."""


class ExtentList:
    """All extents of a folder, the least recently used one first, and their bytes in all."""

    def __init__(self) -> None:
        self._extents: OrderedDict[Path, Extent] = OrderedDict()
        self.used = 0

    def __len__(self) -> int:
        return len(self._extents)

    def add(self, extent: Extent) -> None:
        """One more, used just now."""
        self._extents[extent.path] = extent
        self.used += extent.size

    def get(self, path: Path) -> Extent | None:
        """The extent of that path, if it is in the list."""
        return self._extents.get(path)

    def within(self, folder: Path) -> list[Extent]:
        """All extents of one file."""
        return [extent for path, extent in self._extents.items() if path.parent == folder]

    def use(self, extent: Extent) -> None:
        """It is used now."""
        self._extents.move_to_end(extent.path)

    def oldest(self) -> Iterator[Extent]:
        """Those that may be dropped, the one to go first at first."""
        return (extent for extent in self._extents.values() if not extent.pins and extent.size)

    def remove(self, extent: Extent) -> None:
        """It is to be dropped; its bytes count until ``freed``."""
        del self._extents[extent.path]

    def freed(self, extent: Extent) -> None:
        """Its bytes are given back."""
        self.used -= extent.size
        extent.size = 0
        extent.slots.clear()

    def needs(self, extent: Extent, place: int, length: int) -> int:
        """How many more bytes an extent takes up with a piece of ``length`` on the disk."""
        new = 0 if place in extent.slots else length
        return new if extent.size else new + BLOCK

    def grow(self, extent: Extent, place: int, size: int) -> None:
        """Count the bytes of a piece."""
        extent.slots.add(place)
        extent.size += size
        self.used += size
