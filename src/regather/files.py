"""What the system says of a file that is read."""

from __future__ import annotations

import os
import stat

__all__ = ["UNTRUE_SIZE", "size_is_untrue"]

UNTRUE_SIZE = "has another size than the system says, as files in /proc and /sys do"


def size_is_untrue(descriptor: int) -> bool:
    """Whether an open file has bytes although its size is said to be 0, or fewer than it says.

    Files in /proc, /sys and of some FUSE are so: to be read to their end, whatever is said. Raises
    OSError where they cannot be read.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return False
    last = os.pread(descriptor, 1, max(status.st_size - 1, 0))
    return bool(last) != bool(status.st_size)
