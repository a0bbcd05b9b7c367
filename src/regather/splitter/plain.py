"""The pass without parity: pieces in the order of the file.

read - hash - write to the fragment's copies - wait for the turn - hash the file
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from regather.digest import Hasher, new_hasher, piece_hash
from regather.errors import RegatherError
from regather.hashes import HASH_SIZE
from regather.model import Layout
from regather.splitter.coded import copy_coded
from regather.splitter.original import Original
from regather.splitter.turns import Turns, run_workers
from regather.splitter.writer import Sink

OnBytes = Callable[[int, int], None]


def copy(
    source: Original,
    layout: Layout,
    writer: Sink,
    sha256: bool,
    on_progress: OnBytes | None,
) -> tuple[list[bytes], str, str]:
    """Read, hash and write every piece; returns (packed hashes by fragment, BLAKE3, SHA-256).

    ``on_progress`` is called with bytes done and in all, from several threads but one at a time.
    """
    if layout.data_count < len(layout.fragments):
        return copy_coded(source, layout, writer, sha256, on_progress)
    hashes = [bytearray(layout.pieces_of(f) * HASH_SIZE) for f in range(len(layout.fragments))]
    whole: list[Hasher] = [new_hasher()] + ([hashlib.sha256()] if sha256 else [])
    whole += source.hashers()
    turns = Turns()
    numbers = iter(range(layout.piece_count))
    lock = threading.Lock()
    done = 0

    def work() -> None:
        nonlocal done
        buffer = memoryview(bytearray(layout.piece_size))
        while not turns.stopped:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            fragment, piece = layout.locate(number)
            view = buffer[: layout.length(fragment, piece)]
            if source.read(layout.offset(fragment, piece), view) != len(view):
                raise RegatherError("the file was truncated while it was split")
            at = piece * HASH_SIZE
            hashes[fragment][at : at + HASH_SIZE] = piece_hash(view)
            writer.write(fragment, piece * layout.piece_size, view)
            if not turns.wait_for(number):
                return
            for hasher in whole:
                hasher.update(view)
            done += len(view)
            if on_progress:
                on_progress(done, layout.size)
            turns.over()

    run_workers(work, turns, layout.piece_count)
    digests = [h.digest().hex() for h in whole]
    return [bytes(h) for h in hashes], digests[0], digests[1] if sha256 else ""
