"""How a run of the engine ended."""

from __future__ import annotations

from msgspec import Struct


class Ending(Struct, frozen=True):
    """How a run ended: whole, or given up with the fragments (positions) that are missing."""

    missing: tuple[int, ...] = ()
    corrupt: bool = False
