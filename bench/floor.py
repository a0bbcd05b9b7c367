"""The floor: the least that any verified download has to do, and nothing else.

``python -m bench.floor DEST SIZE URL URL URL``: one thread a server, blocking sockets,
requests written by hand for ranges of 8 MiB of the whole file; receive 1 MiB into a buffer that is
used again and again, hash it with BLAKE3, write it in place. No planner, no retry, no manifest, no
comparison, no journal. Started as a process of its own, so that importing counts, as for all.

With https URLs, ``CACERT`` in the environment names the authority. Python's ``ssl`` returns one
record of 16 KiB a call, so a piece takes 64 calls.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from blake3 import blake3

RANGE = 8 * 2**20
BUFFER = 2**20


def fetch(url: str, offsets: Iterator[int], size: int, destination: int) -> None:
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
            os.pwrite(destination, buffer[:wanted], start)
            start += wanted  # noqa: PLW2901
            filled = 0


def main() -> None:
    """Download as ``sys.argv`` says; exit with 1 where a thread failed."""
    path, size, urls = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    destination = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    os.ftruncate(destination, size)
    offsets = iter(range(0, size, RANGE))  # next() of a range iterator is atomic in CPython
    failures: list[BaseException] = []

    def work(url: str) -> None:
        try:
            fetch(url, offsets, size, destination)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit(f"floor: {failures[0]!r}")


if __name__ == "__main__":
    main()
