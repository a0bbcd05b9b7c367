"""What uploads to servers of others come to: they check nothing, and know less."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from blake3 import blake3

from regather.server.authorization import Tokens
from regather.transport import Failure, RequestFailed, TransportOptions
from regather.transport.stores.base import Store
from regather.transport.stores.http import HttpStore
from regather.transport.stores.open import open_store
from tests.conformance.test_storing import options_for
from tests.support.foreign import foreign
from tests.support.hosting import Hosting
from tests.support.nginx import Nginx, needs_nginx
from tests.support.rogue import Rogue

CONTENT = bytes(range(256)) * 500  # long enough to be asked for


def put(store: Store, content: bytes = CONTENT) -> None:
    def read(offset: int, into: memoryview) -> None:
        into[:] = content[offset : offset + len(into)]

    store.put("x.dat", len(content), read, blake3(content).digest())


def at(url: str) -> Store:
    return open_store(url, TransportOptions(timeout=10))


@pytest.mark.parametrize("spoil", ["flip", "cut", "lose"])
def test_what_landed_is_read_back(spoil: str) -> None:
    """And what is wrong is removed: a later run would take it for a file of somebody else."""
    objects: dict[str, bytes] = {}
    with foreign(objects, spoil) as url:
        store = at(url)
        what = "is missing after the upload" if spoil == "lose" else "differs from the upload"
        with pytest.raises(RequestFailed, match=what) as caught:
            put(store)
        store.close()
    assert caught.value.failure is Failure.DAMAGED
    assert not objects


@pytest.mark.parametrize("spoil", ["", "Expect", "HEAD", "accept"])
def test_what_they_do_not_know(spoil: str) -> None:
    objects: dict[str, bytes] = {}
    with foreign(objects, spoil) as url:
        store = at(url)
        for _ in range(2):
            assert store.stat("y.dat") is None
        put(store)
        stat = store.stat("x.dat")
        store.close()
    assert stat is not None
    assert stat.size == len(CONTENT)
    assert objects == {"/x.dat": CONTENT}


def test_folders_are_made_where_they_are_missing() -> None:
    objects: dict[str, bytes] = {}
    with foreign(objects, "missing") as url:
        store = at(f"{url}a/b/c/")
        put(store)
        put(store, CONTENT[1:])
        store.close()
    assert objects == {"/a/b/c/x.dat": CONTENT[1:]}


@pytest.mark.parametrize(
    ("status", "sent"), [(409, ["PUT", "MKCOL", "PUT"]), (500, ["PUT", "MKCOL"])]
)
def test_nothing_is_sent_again_in_vain(status: int, sent: list[str]) -> None:
    """405 is also the answer of those who make no folders."""

    def answer(head: bytes, connection: socket.socket) -> None:
        code = 405 if head.startswith(b"MKCOL") else status
        connection.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % code)

    with Rogue(answer) as rogue:
        store = at(f"{rogue.url}a/")
        with pytest.raises(RequestFailed, match=f"HTTP {status}; its folder may be missing"):
            put(store)
        store.close()
    assert [request.split()[0].decode() for request in rogue.requests] == sent


@needs_nginx
@pytest.mark.parametrize("methods", ["PUT DELETE MKCOL", "PUT DELETE"])
def test_folders_of_nginx(tmp_path: Path, methods: str) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0o777)
    root.chmod(0o777)
    with Nginx(root, extra=f"dav_methods {methods};") as nginx:
        store = at(f"{nginx.url}a/b/")
        if "MKCOL" in methods:
            put(store)
            assert (root / "a" / "b" / "x.dat").read_bytes() == CONTENT
        else:
            with pytest.raises(RequestFailed, match="folder may be missing: create it"):
                put(store)
        store.close()


def test_our_own_server_is_believed(
    tmp_path: Path, hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has compared the hash: nothing is read back."""
    monkeypatch.setattr(HttpStore, "_read_back", None)
    server = hosting.serve(tmp_path, tokens=Tokens(write="secret"))
    store = open_store(server.url, options_for(10))
    put(store)
    put(store, CONTENT[1:])
    store.close()
    assert (tmp_path / "x.dat").read_bytes() == CONTENT[1:]
