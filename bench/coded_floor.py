"""The floor of a split with parity: the least that it has to do, and nothing else.

``python -m bench.coded_floor FILE OUT``: 4 data fragments and 2 of parity, two threads; read a row
of 1 MiB pieces into buffers that are used again and again, encode, hash each piece with BLAKE3, and
write all six fragments, each into a folder of its own. No hash of the whole file, no manifest, no
temporary names. Started as a process of its own, so that importing counts, as for all.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3

from regather.coding.codec import codec_for

K, M = 4, 2
PIECE = 2**20
THREADS = 2


def work(source: int, size: int, rows: Iterator[int], fragments: list[int]) -> None:
    """Take rows from the common supply until none is left."""
    codec = codec_for(K, M)
    buffers = [memoryview(bytearray(PIECE)) for _ in range(K + M)]
    each, extra = divmod(size, K)
    starts = [n * each + min(n, extra) for n in range(K)]
    lengths = [each + (n < extra) for n in range(K)] + [each + (extra > 0)] * M
    for at in rows:
        counts = [min(PIECE, length - at) for length in lengths]
        longest = counts[-1]
        for buffer, start, count in zip(buffers, starts, counts, strict=False):
            if os.preadv(source, [buffer[:count]], start + at) != count:
                raise OSError("a short read")
            buffer[count:longest] = bytes(longest - count)
        views = [buffer[:longest] for buffer in buffers]
        codec.encode(views[:K], views[K:])
        for fragment, view, count in zip(fragments, views, counts, strict=True):
            blake3(view[:count]).digest()
            os.pwrite(fragment, view[:count], at)


def main() -> None:
    """Split as ``sys.argv`` says; exit with 1 where a thread failed."""
    source, out = os.open(sys.argv[1], os.O_RDONLY), Path(sys.argv[2])
    size = os.fstat(source).st_size
    names = [f"file_fragment_{n + 1}.dat" for n in range(K)]
    names += [f"file_parity_1_{n + 1}.dat" for n in range(M)]
    fragments = []
    for n, name in enumerate(names, 1):
        folder = out / f"server{n}"
        folder.mkdir(parents=True)
        fragments.append(os.open(folder / name, os.O_CREAT | os.O_WRONLY, 0o644))
    rows = iter(range(0, -(-size // K), PIECE))  # next() of a range iterator is atomic in CPython
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work(source, size, rows, fragments)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit(f"coded_floor: {failures[0]!r}")


if __name__ == "__main__":
    main()
