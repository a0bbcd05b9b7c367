"""Rows coded strip by strip, so that what is read, coded and hashed is in the cache meanwhile.

Every job that computes pieces does it here: split, download, reads, and repair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from regather.coding.codec import codec_for, strip_size
from regather.digest import new_hasher
from regather.model import Layout

ReadStrip = Callable[[int, int, memoryview], None]
"""``read(fragment, start, into)`` fills ``into`` with a piece's bytes from ``start`` on."""


def grown(have: list[memoryview], count: int, size: int) -> list[memoryview]:
    """``count`` buffers of at least ``size`` bytes: those of ``have``, where they will do.

    New memory costs as much as decoding.
    """
    if len(have) >= count and all(len(view) >= size for view in have):
        return have
    return [memoryview(bytearray(size)) for _ in range(max(count, len(have)))]


def strips(
    layout: Layout,
    number: int,
    row: int,
    have: Sequence[int],
    make: Sequence[int],
    read: ReadStrip,
    into: Callable[[int, int, int], memoryview],
    *,
    whole: Mapping[int, memoryview] | None = None,
    buffers: list[memoryview] | None = None,
    members: int = 0,
) -> Iterator[tuple[int, dict[int, memoryview]]]:
    """Compute pieces of a row of an erasure set, and give the start and the views of each strip.

    ``have`` are fragments of the set, at least as many as it has of data, and ``make`` those to
    compute. ``read`` is asked for the bytes that a piece has; zeros stand behind its end.
    ``into(fragment, start, stop)`` gives the buffer for a strip of what is computed: of all parity,
    and of all data that is missing, where some of ``make`` is parity. ``whole`` has pieces in
    memory, as long as the row is: they are not read. ``buffers`` are for the strips that are
    read: they grow as needed, and serve the next row.
    """
    erasure_set, whole = layout.sets[number], whole or {}
    k = len(erasure_set.data)
    codec = codec_for(k, len(erasure_set.parity))
    order = (*erasure_set.data, *erasure_set.parity)
    length = layout.length(erasure_set.parity[0], row)
    used = sorted(order.index(fragment) for fragment in have)[:k]
    with_parity = any(not layout.is_data(fragment) for fragment in make)
    # Parity is made of all data; data alone needs no more than itself.
    want = [n for n in range(k) if n not in used and (with_parity or order[n] in make)]
    size = strip_size(members or k, length)
    needed = sum(order[n] not in whole for n in used)
    buffers = [] if buffers is None else buffers
    buffers[:] = grown(buffers, needed, size)
    for start in range(0, length, size):
        stop = min(start + size, length)
        views: dict[int, memoryview] = {}
        spare = iter(buffers)
        for n in used:
            fragment = order[n]
            if fragment in whole:
                views[n] = whole[fragment][start:stop]
                continue
            view = views[n] = next(spare)[: stop - start]
            own = max(0, min(layout.length(fragment, row) - start, len(view)))
            if own:
                read(fragment, start, view[:own])
            view[own:] = bytes(len(view) - own)
        inputs = [views[n] for n in used]
        for n in want:
            views[n] = into(order[n], start, stop)
        if want:
            codec.decode(tuple(used), inputs, tuple(want), [views[n] for n in want])
        if with_parity:
            for n in range(k, len(order)):
                views[n] = into(order[n], start, stop)
            codec.encode([views[n] for n in range(k)], [views[n] for n in range(k, len(order))])
        yield start, {order[n]: view for n, view in views.items()}


def compute_row(
    layout: Layout,
    number: int,
    row: int,
    have: Sequence[int],
    make: Sequence[int],
    read: ReadStrip,
    out: Mapping[int, memoryview],
    *,
    whole: Mapping[int, memoryview] | None = None,
    buffers: list[memoryview] | None = None,
) -> dict[int, bytes]:
    """Compute pieces of a row into ``out``, by fragment; the hashes of those that came out right.

    Buffers of ``out`` are as long as the row; else see ``strips``.
    """
    hashers = {fragment: new_hasher() for fragment in make}

    def into(fragment: int, start: int, stop: int) -> memoryview:
        return out[fragment][start:stop]

    for start, views in strips(
        layout, number, row, have, make, read, into, whole=whole, buffers=buffers
    ):
        for fragment, hasher in hashers.items():
            hasher.update(views[fragment][: max(0, layout.length(fragment, row) - start)])
    digests = {fragment: hasher.digest() for fragment, hasher in hashers.items()}
    return {f: digest for f, digest in digests.items() if digest == layout.hash_of(f, row)}
