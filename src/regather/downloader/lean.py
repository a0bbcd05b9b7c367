"""A download of some pieces of a file that has parity: first as if there were none.

Parity can stand in for a piece only where all other pieces of its row are at hand; where most are
not wanted, they are not. Only when the data cannot be had is it worth to fetch them as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from regather.model import Layout

Held = frozenset[int] | None


def without_parity(layout: Layout, held: Sequence[Held]) -> tuple[Layout, list[Held]]:
    """The layout of the data alone, and what sources hold of it; positions and numbers stay."""
    data = tuple(replace(f, set=0) for f in layout.fragments[: layout.data_count])
    bare = Layout(layout.size, layout.piece_size, data, layout.hash_algorithm)
    known = frozenset(range(layout.data_count))
    return bare, [None if fragments is None else fragments & known for fragments in held]
