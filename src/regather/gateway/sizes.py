"""What the options of a gateway are where nobody says anything."""

from __future__ import annotations

MEMORY = 256 << 20
"""Bytes of pieces in memory without a cache on the disk."""
