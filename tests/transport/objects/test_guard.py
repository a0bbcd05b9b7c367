"""What an endpoint may do to us: no answer is read beyond what belongs to it."""

from __future__ import annotations

import base64
import contextlib
import gc
import socket
import time
import weakref
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from blake3 import blake3

from regather.transport import RequestFailed, TransportOptions
from regather.transport.objects.guard import MAX_ANSWER, open_way
from regather.transport.objects.store_options import StoreOptions
from regather.transport.stores.base import Store
from regather.transport.stores.open import open_store
from tests.support.rogue import Rogue, sends

MOST = 16 << 20
"""Bytes that a server can get rid of before it notices: the buffers of the kernel, on the way."""
GIVEN = {
    "s3": {"access_key_id": "id", "secret_access_key": "s", "region": "r"},
    "gs": {"bearer_token": "t"},
    "az": {"account_name": "me", "account_key": "c2VjcmV0LWtleQ=="},
}
DATE = b"Last-Modified: Fri, 01 Jan 2021 00:00:00 GMT\r\n"
LARGE = bytes(17 << 20)


class Endless:
    """Answers everything with a body that never ends, and counts what was taken of it."""

    def __init__(self, head: bytes, *, of_head: bytes = b"404 No\r\n\r\n", chunked: bool) -> None:
        self.head, self.of_head, self.chunked = head, of_head, chunked
        self.sent = 0

    def __call__(self, request: bytes, connection: socket.socket) -> None:
        if request.startswith(b"HEAD"):
            connection.sendall(b"HTTP/1.1 " + self.of_head)
            return
        connection.sendall(b"HTTP/1.1 " + self.head + b"\r\n")
        block = b"a" * 65536
        data = b"10000\r\n" + block + b"\r\n" if self.chunked else block
        with contextlib.suppress(OSError):
            while self.sent < 10 * MOST:
                connection.sendall(data)
                self.sent += len(data)


def get(store: Store) -> None:
    for _ in store.read("x", 0, 10):
        pass


def put(store: Store) -> None:
    store.put("x", 3, lambda offset, into: into.__setitem__(slice(None), b"abc"), DIGEST)


def put_large(store: Store) -> None:
    def read(offset: int, into: memoryview) -> None:
        into[:] = LARGE[offset : offset + len(into)]

    store.put("x", len(LARGE), read, blake3(LARGE).digest())


def delete(store: Store) -> None:
    store.delete("x")


DIGEST = blake3(b"abc").digest()
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HUGE = b"Content-Length: 1099511627776\r\n"


@pytest.mark.parametrize("scheme", list(GIVEN))
@pytest.mark.parametrize("ask", [get, put, put_large, delete])
@pytest.mark.parametrize(
    ("status", "framing"),
    [(b"404 No", CHUNKED), (b"500 No", HUGE), (b"503 No", b""), (b"200 OK", CHUNKED)],
)
def test_no_answer_is_read_to_an_end_that_never_comes(
    scheme: str, ask: Callable[[Store], None], status: bytes, framing: bytes
) -> None:
    answer = Endless(status + b"\r\n" + DATE + framing, chunked=framing == CHUNKED)
    with Rogue(answer) as rogue:
        options = StoreOptions({"endpoint": rogue.url, **GIVEN[scheme]})
        store = open_store(f"{scheme}://bucket/", TransportOptions(timeout=20.0, stores=options))
        # Whatever comes of it: some answers are as good as any.
        with contextlib.suppress(RequestFailed):
            ask(store)
        store.close()
    assert rogue.requests
    assert answer.sent < MOST


def test_a_refused_head_is_explained_from_a_bounded_answer() -> None:
    answer = Endless(b"403 No\r\n" + CHUNKED, of_head=b"403 No\r\n\r\n", chunked=True)
    with Rogue(answer) as rogue:
        options = StoreOptions({"endpoint": rogue.url, **GIVEN["s3"]})
        store = open_store("s3://bucket/", TransportOptions(timeout=20.0, stores=options))
        with pytest.raises(RequestFailed, match="check the credentials"):
            store.stat("x")
        store.close()
    assert answer.sent < MOST


def test_the_code_is_found_in_an_error_as_long_as_any() -> None:
    text = b"<Error>" + b" " * 20_000 + b"<Code>ExpiredToken</Code></Error>"
    assert len(text) < MAX_ANSWER
    answer = b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)
    with Rogue(sends(answer)) as rogue:
        options = StoreOptions({"endpoint": rogue.url, **GIVEN["s3"]})
        store = open_store("s3://bucket/", TransportOptions(timeout=20.0, stores=options))
        with pytest.raises(RequestFailed, match="expired"):
            put(store)
        store.close()


@pytest.mark.parametrize("shown", ["", "wrong:x", "wrong", "\xff"])
def test_nobody_else_can_use_it(shown: str) -> None:
    with Rogue(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as rogue:
        way = open_way(rogue.url, TransportOptions(), 5.0)
        port = urlsplit(way.proxy_url).port
        login = base64.b64encode(shown.encode()).decode()
        header = f"Proxy-Authorization: Basic {login}\r\n" if shown else ""
        place = rogue.url.removeprefix("http://").rstrip("/")
        for line in (f"GET {rogue.url}", f"CONNECT {place}"):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as made:
                made.sendall(f"{line} HTTP/1.1\r\nHost: {place}\r\n{header}\r\n".encode())
                assert made.recv(100).startswith(b"HTTP/1.1 407 ")
        assert not rogue.requests
    assert way.secret not in repr(way)


def test_a_tunnel_leads_to_those_who_give_out_tokens() -> None:
    with Rogue(sends(b"hello")) as rogue:
        way = open_way(rogue.url, TransportOptions(), 5.0)
        parts = urlsplit(way.proxy_url)
        login = base64.b64encode(f"{parts.username}:x".encode()).decode()
        place = rogue.url.removeprefix("http://").rstrip("/")
        with socket.create_connection(("127.0.0.1", parts.port), timeout=20) as made:
            made.sendall(
                f"CONNECT {place} HTTP/1.1\r\nProxy-Authorization: Basic {login}\r\n\r\n".encode()
            )
            assert made.recv(100).startswith(b"HTTP/1.1 200 ")
            made.sendall(b"anything\r\n\r\n")
            assert made.recv(100) == b"hello"
        assert rogue.requests == [b"anything\r\n\r\n"]


def test_who_is_no_longer_used_leaves_nothing() -> None:
    """Neither connections nor threads: a process may open thousands of stores."""
    with Rogue(sends(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")) as rogue:
        options = StoreOptions({"endpoint": rogue.url, **GIVEN["s3"]})
        store = open_store("s3://bucket/", TransportOptions(timeout=20.0, stores=options))
        with pytest.raises(RequestFailed):
            get(store)
        store.close()
        way = weakref.ref(options.ways[0])
        del store, options
        until = time.monotonic() + 20
        while way() is not None and time.monotonic() < until:
            gc.collect()
            time.sleep(0.01)
        assert way() is None
