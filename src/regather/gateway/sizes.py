"""What the options of a gateway are where nobody says anything."""

from __future__ import annotations

MEMORY = 256 << 20
"""Bytes of the pieces of all files in memory."""
MEMORY_ABOVE_DISK = 64 << 20
"""The same with a cache on the disk, besides what waits to be written to it."""
DISK = 10 << 30
"""Bytes of a cache on the disk."""
