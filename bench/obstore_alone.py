"""Put or get a file in fragments with obstore and nothing of ours.

``python obstore_alone.py put|get BUCKET PATH FRAGMENTS CONNECTIONS``: the objects are those that
``regather publish --fragments`` makes; the store is named by the environment.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import obstore
from obstore.store import S3Store

_STEP = 1 << 20


def main(what: str, bucket: str, path: str, fragments: int, connections: int) -> None:
    """Do it."""
    store = S3Store(bucket, client_options={"allow_http": True})
    names = [f"file_fragment_{n + 1}.dat" for n in range(fragments)]
    with ThreadPoolExecutor(connections) as pool:
        if what == "put":
            file = os.open(path, os.O_RDONLY)
            size = os.fstat(file).st_size
            edges = [size * n // fragments for n in range(fragments + 1)]

            def put(n: int) -> None:
                obstore.put(store, names[n], os.pread(file, edges[n + 1] - edges[n], edges[n]))

            list(pool.map(put, range(fragments)))
            return
        sizes = list(pool.map(lambda name: obstore.head(store, name)["size"], names))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.posix_fallocate(file, 0, sum(sizes))

        def get(n: int) -> None:
            at = sum(sizes[:n])
            for some in obstore.get(store, names[n]).stream(min_chunk_size=_STEP):
                os.pwrite(file, some, at)
                at += len(some)

        list(pool.map(get, range(fragments)))
        os.fsync(file)


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:6]))  # type: ignore[arg-type]
