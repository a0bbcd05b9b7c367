"""The floor of a gateway: the least that it has to do for one client that reads a cold file.

``python -m bench.gateway_floor PORT CACHE SIZE URL URL URL`` answers one request. It receives and
hashes as ``bench.floor`` does, writes each piece into the file CACHE, and sends them in order.
Up to 64 MiB wait for their turn.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from bench.floor import InOrder, fetching


def main() -> None:
    """Serve one client as ``sys.argv`` says; exit with 1 where a thread failed."""
    port, path, size, urls = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    cache = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o644)
    with socket.create_server(("127.0.0.1", port)) as listener:
        print(json.dumps({"event": "listening", "url": f"http://127.0.0.1:{port}/"}), flush=True)
        client, _ = listener.accept()
    while b"\r\n\r\n" not in client.recv(65536):
        pass
    in_order = InOrder(size, client.fileno())

    def place(buffer: memoryview, length: int, start: int) -> memoryview:
        os.pwrite(cache, buffer[:length], start)
        return in_order.place(buffer, length, start)

    client.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode("ascii"))
    threads = fetching(urls, in_order, size, place)
    in_order.write()
    client.close()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
