"""What the manifest and the plan of a 1 TiB file take in memory; run as a process of its own."""

from __future__ import annotations

import os
import resource
import sys
import time

from regather.hashes import HASH_SIZE
from regather.manifest import Manifest
from regather.model import Fragment, FragmentIndex, piece_size_for
from regather.planner import Begin, PieceDone, Planner, Start

SIZE = 1 << 40
FRAGMENTS = 64
SOURCES = 16


def main() -> None:
    """Make, write, read and plan; then carry out the first requests of the plan."""
    piece_size = piece_size_for(SIZE)
    each = SIZE // FRAGMENTS
    fragments = tuple(
        Fragment(
            FragmentIndex(n + 1),
            f"file_fragment_{n + 1}.dat",
            n * each,
            each,
            os.urandom(HASH_SIZE * (each // piece_size)),
        )
        for n in range(FRAGMENTS)
    )
    data = Manifest("1TiB", SIZE, piece_size, fragments).to_bytes()
    began = time.perf_counter()
    layout = Manifest.from_bytes(data).layout
    read = time.perf_counter() - began
    planner = Planner(layout, [None] * SOURCES)
    now = 0.0
    queue = list(planner.handle(Begin(), now))
    pieces = 0
    while pieces < 20_000 and queue:
        action = queue.pop(0)
        if isinstance(action, Start):
            for piece in range(action.start, action.end):
                now += 1e-3
                pieces += 1
                queue += planner.handle(PieceDone(action.request, piece), now)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1 if sys.platform == "darwin" else 1024
    )
    print(
        f"1 TiB: {layout.piece_count} pieces of {piece_size >> 20} MiB, manifest "
        f"{len(data) / 2**20:.1f} MiB, read in {read:.2f} s; with the plan over {SOURCES} sources "
        f"{peak:.0f} MiB of memory at most (goal: 200 MiB)"
    )


if __name__ == "__main__":
    main()
