"""The pass over the input: read, hash, write, with parity row by row.

Without parity, pieces come in the order of the file:

read - hash - write to the fragment's copies - wait for the turn - hash the file

With parity, a row takes its pieces from ``k`` places of the file at once:

read a strip of each data piece - hash - write - encode - hash and write the parity strips

So the bytes do not come in the order of the file, and the hash of the whole is computed beside it
by one more process or thread that reads in order, mostly from what the system has just cached.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Mapping

from regather.coding.codec import strip_size
from regather.coding.rows import grown, strips
from regather.digest import Hasher, new_hasher, piece_hash
from regather.errors import RegatherError
from regather.hashes import HASH_SIZE
from regather.model import Layout
from regather.splitter.hash_process import hash_apart
from regather.splitter.original import Original
from regather.splitter.writer import Sink
from regather.tasks import run_all

OnBytes = Callable[[int, int], None]
_READ = 1 << 20


def copy(
    source: Original, layout: Layout, sink: Sink, sha256: bool, on_progress: OnBytes | None
) -> tuple[list[bytes], str, str]:
    """Read, hash and write every piece; returns (packed hashes by fragment, BLAKE3, SHA-256).

    ``on_progress`` is called with bytes done and in all, from several threads but one at a time.
    """
    coded = layout.data_count < len(layout.fragments)
    one = (_CodedPass if coded else _PlainPass)(source, layout, sink, sha256, on_progress)
    digests = one.run()
    return [bytes(h) for h in one.hashes], digests[0].hex(), digests[1].hex() if sha256 else ""


class _Pass:
    """What both passes have in common: worker threads, which stop together where one fails."""

    def __init__(
        self,
        source: Original,
        layout: Layout,
        sink: Sink,
        sha256: bool,
        on_progress: OnBytes | None,
    ) -> None:
        self._source = source
        self._layout = layout
        self._sink = sink
        self._on_progress = on_progress
        pieces = map(layout.pieces_of, range(len(layout.fragments)))
        self.hashes = [bytearray(count * HASH_SIZE) for count in pieces]
        self._whole: list[Hasher] = [new_hasher(), *([hashlib.sha256()] if sha256 else [])]
        self._whole += source.hashers()
        self._changed = threading.Condition()
        self._stopped = False
        self._done = 0

    def _run(self, work: Callable[[], None], most: int, *others: Callable[[], None]) -> None:
        """Run ``work`` in a thread a core and one more, ``most`` at most; ``others`` in one each.

        Raises what one of them raised, after all have ended.
        """
        count = min((os.cpu_count() or 1) + 1, max(most, 1))
        # However long it takes: who went on would close files that others write to.
        run_all([*others, *[work] * count], name="split", stop=self._stop, grace=None)

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _note(self, piece: int, digests: Mapping[int, bytes], count: int) -> None:
        """The hashes of a piece, by fragment, and how many bytes of the file are done by it."""
        for fragment, digest in digests.items():
            self.hashes[fragment][piece * HASH_SIZE : (piece + 1) * HASH_SIZE] = digest
        self._done += count
        if self._on_progress:
            self._on_progress(self._done, self._layout.size)

    def _read(self, offset: int, into: memoryview) -> None:
        if self._source.read(offset, into) != len(into):
            raise RegatherError("the file was truncated while it was split")


class _PlainPass(_Pass):
    """Pieces in the order of the file: workers take turns to hash the whole."""

    def run(self) -> list[bytes]:
        """Do it; returns the hashes of the whole file."""
        self._numbers = iter(range(self._layout.piece_count))
        self._turn = 0
        self._run(self._work, self._layout.piece_count)
        return [hasher.digest() for hasher in self._whole]

    def _work(self) -> None:
        layout = self._layout
        buffer = memoryview(bytearray(layout.piece_size))
        while not self._stopped:
            with self._changed:
                number = next(self._numbers, None)
            if number is None:
                return
            fragment, piece = layout.locate(number)
            view = buffer[: layout.length(fragment, piece)]
            self._read(layout.offset(fragment, piece), view)
            digest = piece_hash(view)
            self._sink.write(fragment, piece * layout.piece_size, view)
            if not self._wait_for_turn(number):
                return
            for hasher in self._whole:
                hasher.update(view)
            self._note(piece, {fragment: digest}, len(view))
            with self._changed:
                self._turn += 1
                self._changed.notify_all()

    def _wait_for_turn(self, number: int) -> bool:
        """Wait until all before it are hashed; False where all are to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._turn == number or self._stopped)
            return not self._stopped


class _CodedPass(_Pass):
    """Row by row of every erasure set."""

    def run(self) -> list[bytes]:
        """Do it; returns the hashes of the whole file."""
        sets = self._layout.sets
        self._rows = ((n, row) for n, s in enumerate(sets) for row in range(s.rows))
        self._digests: list[bytes] = []
        self._run(self._work, sum(s.rows for s in sets), self._hash_whole)
        return self._digests

    def _work(self) -> None:
        layout = self._layout
        buffers: tuple[list[memoryview], list[memoryview]] = [], []
        while not self._stopped:
            with self._changed:
                item = next(self._rows, None)
            if item is None:
                return
            made = self._code(*item, buffers)
            size = sum(layout.length(f, item[1]) for f in made if layout.is_data(f))
            with self._changed:
                self._note(item[1], made, size)

    def _code(
        self, number: int, row: int, buffers: tuple[list[memoryview], list[memoryview]]
    ) -> dict[int, bytes]:
        """Bring one row from the input into its fragments; their piece hashes, where it has one.

        ``buffers`` are for the strips of data and of parity, kept for the next row.
        """
        layout = self._layout
        data, parity = layout.sets[number].data, layout.sets[number].parity
        hashers = {f: new_hasher() for f in (*data, *parity) if row < layout.pieces_of(f)}

        def put(fragment: int, start: int, view: memoryview) -> None:
            hashers[fragment].update(view)
            self._sink.write(fragment, row * layout.piece_size + start, view)

        def read(fragment: int, start: int, into: memoryview) -> None:
            self._read(layout.offset(fragment, row) + start, into)
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

    def _hash_whole(self) -> None:
        size, whole = self._layout.size, self._whole
        descriptor = self._source.descriptor() if len(whole) == 1 else None
        if descriptor is not None:
            found = hash_apart(descriptor, size, lambda: self._stopped)
            if found is not None:
                self._digests.append(found)
                return
        buffer = memoryview(bytearray(_READ))
        offset = 0
        while offset < size and not self._stopped:
            view = buffer[: min(_READ, size - offset)]
            self._read(offset, view)
            for hasher in whole:
                hasher.update(view)
            offset += len(view)
        self._digests += [hasher.digest() for hasher in whole]
