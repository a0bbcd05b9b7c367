"""Many clients in one process that read slowly: ``python -m bench.slow_readers URL COUNT``.

Each asks for the file from another place on, and takes a kilobyte a second. Prints ``all read``
after five rounds, when what the system buffers for them is full; ends with an error when a
connection does.
"""

from __future__ import annotations

import socket
import sys
import time
from itertools import count as count_from
from urllib.parse import urlsplit

_BYTES = 1000
_ROUNDS = 5


def main(url: str, count: int) -> None:
    """Read until this process is killed."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    head = f"HEAD {parts.path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection((parts.hostname, parts.port)) as one:
        one.sendall(head.encode())
        answer = one.makefile("rb").read().lower()
    size = int(answer.partition(b"content-length:")[2].split()[0])
    clients = []
    for number in range(count):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((parts.hostname, parts.port))
        start = size * number // count
        request = f"GET {parts.path} HTTP/1.1\r\nHost: x\r\nRange: bytes={start}-\r\n\r\n"
        client.sendall(request.encode())
        clients.append(client)
    for turn in count_from(1):
        began = time.monotonic()
        for client in clients:
            if not client.recv(_BYTES):
                raise SystemExit("a connection was closed")
        if turn == _ROUNDS:
            print("all read", flush=True)
        time.sleep(max(0.0, began + 1 - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
