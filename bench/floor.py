"""The floor: the least that any verified download has to do, and nothing else.

``python -m bench.floor DEST SIZE URL URL URL``: one thread a server, blocking sockets,
requests written by hand for ranges of 8 MiB of the whole file; receive 1 MiB into a buffer that is
used again and again, hash it with BLAKE3, write it in place. No planner, no retry, no manifest, no
comparison, no journal. Started as a process of its own, so that importing counts, as for all.

With ``-`` for DEST the pieces go to standard output in order, and up to 64 MiB wait for their turn:
the floor of ``get -o -``.

With https URLs, ``CACERT`` in the environment names the authority. Python's ``ssl`` returns one
record of 16 KiB a call, so a piece takes 64 calls.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Self
from urllib.parse import urlsplit

from blake3 import blake3

RANGE = 8 * 2**20
BUFFER = 2**20
WINDOW = 64 * 2**20
Place = Callable[[memoryview, int, int], memoryview]
"""Takes a buffer, how much of it is filled and where that belongs; gives one to go on with."""


class InOrder:
    """The pieces of ranges, written to a descriptor in order; an iterator of their starts."""

    def __init__(self, size: int, output: int = 1) -> None:
        self._output = output
        self._size = size
        self._starts = iter(range(0, size, RANGE))
        self._at = 0
        self._pieces: dict[int, memoryview] = {}
        self._free: list[memoryview] = []
        self._changed = threading.Condition()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> int:
        start = next(self._starts)
        with self._changed:
            self._changed.wait_for(lambda: start + RANGE <= self._at + WINDOW)
        return start

    def place(self, buffer: memoryview, length: int, start: int) -> memoryview:
        """See Place."""
        with self._changed:
            self._pieces[start] = buffer[:length]
            self._changed.notify_all()
            return self._free.pop() if self._free else memoryview(bytearray(BUFFER))

    def write(self) -> None:
        """Write all."""
        while self._at < self._size:
            with self._changed:
                self._changed.wait_for(lambda: self._at in self._pieces)
                piece = left = self._pieces.pop(self._at)
            while left:
                left = left[os.write(self._output, left) :]
            with self._changed:
                self._free.append(memoryview(piece.obj))
                self._at += len(piece)
                self._changed.notify_all()


def fetch(url: str, offsets: Iterator[int], size: int, place: Place) -> None:
    """Take ranges from the common supply until none is left."""
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    connection = socket.create_connection((address.hostname, address.port))
    flags = int(socket.MSG_WAITALL)
    if address.scheme == "https":
        import ssl

        context = ssl.create_default_context(cafile=os.environ["CACERT"])
        connection = context.wrap_socket(connection, server_hostname=address.hostname)
        flags = 0
    buffer = memoryview(bytearray(BUFFER))
    for start in offsets:
        end = min(start + RANGE, size)
        connection.sendall(
            f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Range: bytes={start}-{end - 1}\r\n\r\n".encode("ascii")
        )
        head = b""
        while b"\r\n\r\n" not in head:
            received = connection.recv(2048)
            if not received:
                raise ConnectionError("closed in the head")
            head += received
        head, _, body = head.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 206 "):
            raise ConnectionError(f"not a range: {head[:40]!r}")
        filled = len(body)
        buffer[:filled] = body
        while start < end:
            wanted = min(BUFFER, end - start)
            while filled < wanted:
                count = connection.recv_into(buffer[filled:wanted], wanted - filled, flags)
                if not count:
                    raise ConnectionError("closed in the body")
                filled += count
            blake3(buffer[:wanted]).digest()
            buffer = place(buffer, wanted, start)
            start += wanted  # noqa: PLW2901
            filled = 0


def fetching(
    urls: Sequence[str], offsets: Iterator[int], size: int, place: Place
) -> list[threading.Thread]:
    """Threads that fetch, one a server; the process ends with 1 where one fails."""

    def work(url: str) -> None:
        try:
            fetch(url, offsets, size, place)
        except BaseException as error:
            print(f"floor: {error!r}", file=sys.stderr)
            os._exit(1)

    threads = [threading.Thread(target=work, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    return threads


def main() -> None:
    """Download as ``sys.argv`` says; exit with 1 where a thread failed."""
    path, size, urls = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    offsets: Iterator[int] = iter(range(0, size, RANGE))  # next() of it is atomic in CPython
    in_order = InOrder(size) if path == "-" else None
    if in_order is None:
        destination = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        os.ftruncate(destination, size)

        def place(buffer: memoryview, length: int, start: int) -> memoryview:
            os.pwrite(destination, buffer[:length], start)
            return buffer
    else:
        fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, BUFFER)
        offsets, place = in_order, in_order.place

    threads = fetching(urls, offsets, size, place)
    if in_order is not None:
        in_order.write()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
