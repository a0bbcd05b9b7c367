"""Computes pieces of a row out of others in memory."""

from __future__ import annotations

from collections.abc import Mapping

from regather.digest import piece_hash
from regather.model import Layout
from regather.reading.wants import Decode


def compute(
    layout: Layout, order: Decode, pieces: Mapping[int, memoryview]
) -> dict[int, memoryview]:
    """The pieces that ``order`` wants, by fragment; none where one of them came out wrong.

    ``pieces`` has those that it names, by fragment; where there is none, its bytes are zeros.
    """
    from regather.coding.codec import codec_for  # most reads never need it

    erasure_set = layout.sets[order.set]
    members = (*erasure_set.data, *erasure_set.parity)
    length = layout.length(erasure_set.parity[0], order.row)
    inputs = []
    for member in order.have:
        view = pieces.get(member)
        if view is None or len(view) < length:
            padded = memoryview(bytearray(length))
            if view is not None:
                padded[: len(view)] = view
            view = padded
        inputs.append(view)
    out = [memoryview(bytearray(length)) for _ in order.make]
    codec_for(len(erasure_set.data), len(erasure_set.parity)).decode(
        tuple(map(members.index, order.have)), inputs, tuple(map(members.index, order.make)), out
    )
    made = {
        member: view[: layout.length(member, order.row)]
        for member, view in zip(order.make, out, strict=True)
    }
    right = all(
        piece_hash(view) == layout.hash_of(member, order.row) for member, view in made.items()
    )
    return made if right else {}
