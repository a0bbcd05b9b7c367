"""What the options of a gateway are where nobody says anything."""

from __future__ import annotations

MEMORY = 256 << 20
"""Bytes of the pieces of all files in memory."""
BESIDE_DISK = 128 << 20
"""The same where they are on the disk as well, what waits to be written included."""
DISK = 10 << 30
"""Bytes of a cache on the disk."""
