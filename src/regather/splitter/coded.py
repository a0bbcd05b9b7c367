"""The pass with parity: row by row of every erasure set.

read a strip of each data piece - hash - write - encode - hash and write the parity strips

A row takes its pieces from ``k`` places of the file at once, so the bytes do not come in the order
of the file: the hash of the whole is computed beside it by one more process or thread that reads
in order, mostly from what the system has just cached.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from regather.coding.codec import strip_size
from regather.coding.rows import grown, strips
from regather.digest import Hasher, new_hasher
from regather.errors import RegatherError
from regather.hashes import HASH_SIZE
from regather.model import Layout
from regather.splitter.hash_process import hash_apart
from regather.splitter.original import Original
from regather.splitter.turns import Turns, run_workers
from regather.splitter.writer import Sink

_READ = 1 << 20


def copy_coded(
    source: Original,
    layout: Layout,
    writer: Sink,
    sha256: bool,
    on_progress: Callable[[int, int], None] | None,
) -> tuple[list[bytes], str, str]:
    """Read, hash, encode and write every row; returns (hashes by fragment, BLAKE3, SHA-256)."""
    hashes = [bytearray(layout.pieces_of(f) * HASH_SIZE) for f in range(len(layout.fragments))]
    whole: list[Hasher] = [new_hasher()] + ([hashlib.sha256()] if sha256 else [])
    whole += source.hashers()
    turns = Turns()
    rows = ((n, row) for n, s in enumerate(layout.sets) for row in range(s.rows))
    lock = threading.Lock()
    done = 0

    def work() -> None:
        nonlocal done
        buffers: tuple[list[memoryview], list[memoryview]] = [], []
        while not turns.stopped:
            with lock:
                item = next(rows, None)
            if item is None:
                return
            number, row = item
            made = _code(source, layout, writer, number, row, buffers)
            with lock:
                for fragment, digest in made.items():
                    at = row * HASH_SIZE
                    hashes[fragment][at : at + HASH_SIZE] = digest
                done += sum(layout.length(f, row) for f in made if layout.is_data(f))
                if on_progress:
                    on_progress(done, layout.size)

    digests: list[bytes] = []

    def hash_whole() -> None:
        descriptor = source.descriptor() if len(whole) == 1 else None
        if descriptor is not None:
            found = hash_apart(descriptor, layout.size, lambda: turns.stopped)
            if found is not None:
                digests.append(found)
                return
        buffer = memoryview(bytearray(_READ))
        offset = 0
        while offset < layout.size and not turns.stopped:
            count = source.read(offset, buffer)
            if count == 0:
                raise _shorter()
            for hasher in whole:
                hasher.update(buffer[:count])
            offset += count
        digests.extend(h.digest() for h in whole)

    run_workers(work, turns, sum(s.rows for s in layout.sets), hash_whole)
    return [bytes(h) for h in hashes], digests[0].hex(), digests[1].hex() if sha256 else ""


def _code(
    source: Original,
    layout: Layout,
    writer: Sink,
    number: int,
    row: int,
    buffers: tuple[list[memoryview], list[memoryview]],
) -> dict[int, bytes]:
    """Bring one row from the input into its fragments; the piece hashes of those that reach it.

    ``buffers`` are for the strips of data and of parity, kept for the next row.
    """
    data, parity = layout.sets[number].data, layout.sets[number].parity
    hashers = {f: new_hasher() for f in (*data, *parity) if row < layout.pieces_of(f)}

    def put(fragment: int, start: int, view: memoryview) -> None:
        hashers[fragment].update(view)
        writer.write(fragment, row * layout.piece_size + start, view)

    def read(fragment: int, start: int, into: memoryview) -> None:
        if source.read(layout.offset(fragment, row) + start, into) != len(into):
            raise _shorter()
        put(fragment, start, into)

    def room(fragment: int, start: int, stop: int) -> memoryview:
        return buffers[1][parity.index(fragment)][: stop - start]

    members = len(data) + len(parity)
    buffers[1][:] = grown(buffers[1], len(parity), strip_size(members, layout.piece_size))
    for start, views in strips(
        layout, number, row, data, parity, read, room, buffers=buffers[0], members=members
    ):
        for fragment in parity:
            put(fragment, start, views[fragment])
    return {f: h.digest() for f, h in hashers.items()}


def _shorter() -> RegatherError:
    return RegatherError("the file was truncated while it was split")
