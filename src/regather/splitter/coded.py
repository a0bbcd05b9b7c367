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

from regather.coding.codec import Codec, make_codec, strip_size
from regather.digest import HASH_SIZE, Hasher, new_hasher
from regather.errors import RegatherError
from regather.model import ErasureSet, Layout
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
    codecs = {key: make_codec(*key) for key in {(len(s.data), len(s.parity)) for s in layout.sets}}
    turns = Turns()
    rows = ((s, row) for s in layout.sets for row in range(s.rows))
    lock = threading.Lock()
    done = 0

    def work() -> None:
        nonlocal done
        buffers: list[memoryview] = []
        while not turns.stopped:
            with lock:
                item = next(rows, None)
            if item is None:
                return
            erasure_set, row = item
            codec = codecs[len(erasure_set.data), len(erasure_set.parity)]
            members = len(erasure_set.data) + len(erasure_set.parity)
            if len(buffers) != members:  # kept for the next row: new memory costs its page faults
                strip = strip_size(members, layout.piece_size)
                buffers = [memoryview(bytearray(strip)) for _ in range(members)]
            made = _RowInHand(source, layout, writer, erasure_set, row, codec).process(buffers)
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


class _RowInHand:
    """One row on its way from the input into its fragments."""

    def __init__(
        self,
        source: Original,
        layout: Layout,
        writer: Sink,
        erasure_set: ErasureSet,
        row: int,
        codec: Codec,
    ) -> None:
        self._source = source
        self._layout = layout
        self._writer = writer
        self._set = erasure_set
        self._row = row
        self._codec = codec

    def process(self, buffers: list[memoryview]) -> dict[int, bytes]:
        """Returns the piece hashes by fragment, of the fragments that reach this row.

        ``buffers`` are for one strip of every member, all of one length.
        """
        members = (*self._set.data, *self._set.parity)
        longest = self._layout.length(self._set.parity[0], self._row)
        strip = len(buffers[0])
        hashers = {f: new_hasher() for f in members if self._row < self._layout.pieces_of(f)}
        k = len(self._set.data)
        for start in range(0, longest, strip):
            views = [b[: min(strip, longest - start)] for b in buffers]
            for fragment, view in zip(self._set.data, views, strict=False):
                self._read(fragment, start, view, hashers)
            self._codec.encode(views[:k], views[k:])
            for fragment, view in zip(self._set.parity, views[k:], strict=True):
                self._put(fragment, start, view, hashers[fragment])
        return {f: h.digest() for f, h in hashers.items()}

    def _read(
        self, fragment: int, start: int, view: memoryview, hashers: dict[int, Hasher]
    ) -> None:
        """Fill ``view`` with a strip of a data piece, and zeros behind its end."""
        length = self._layout.length(fragment, self._row) if fragment in hashers else 0
        count = max(0, min(len(view), length - start))
        if count:
            own = view[:count]
            offset = self._layout.offset(fragment, self._row) + start
            if self._source.read(offset, own) != count:
                raise _shorter()
            self._put(fragment, start, own, hashers[fragment])
        view[count:] = bytes(len(view) - count)

    def _put(self, fragment: int, start: int, view: memoryview, hasher: Hasher) -> None:
        hasher.update(view)
        self._writer.write(fragment, self._row * self._layout.piece_size + start, view)


def _shorter() -> RegatherError:
    return RegatherError("the file was truncated while it was split")
