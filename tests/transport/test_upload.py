"""What every store must do, over our server (plain and TLS) and in a local folder."""

from __future__ import annotations

import errno
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from blake3 import blake3

from regather.errors import UsageError
from regather.server.tokens import Tokens
from regather.server.writing import Limits
from regather.transport import Credentials, Failure, RequestFailed, TransportOptions
from regather.transport.upload import ReadInto, Stat, Store, open_store
from tests.support.hosting import Hosting
from tests.support.net import free_port, wait_until
from tests.support.rogue import Rogue, sends
from tests.support.tls import issue

MIB = 1 << 20
DATA = random.Random(7).randbytes(5 * MIB + 3)
DIGEST = blake3(DATA).digest()
NAME = "näme with spaces & 100%.dat"


def reader(data: bytes = DATA) -> ReadInto:
    def read(offset: int, into: memoryview) -> None:
        assert len(into) <= MIB
        into[:] = data[offset : offset + len(into)]

    return read


@dataclass
class Place:
    url: str
    folder: Path
    options: TransportOptions
    store: Store

    def put(self, name: str, data: bytes = DATA, *, replace: bool = True) -> None:
        self.store.put(name, len(data), reader(data), blake3(data).digest(), replace=replace)

    def names(self) -> list[str]:
        """All there is, hidden files included."""
        return sorted(os.listdir(self.folder)) if self.folder.exists() else []


def options_for(timeout: float = 5.0) -> TransportOptions:
    return TransportOptions(timeout=timeout, credentials=Credentials({"127.0.0.1": "secret"}))


@pytest.fixture(params=["http", "https", "local"])
def place(request: pytest.FixtureRequest, tmp_path: Path, hosting: Hosting) -> Iterator[Place]:
    folder = tmp_path / "a folder"
    options = options_for()
    url = str(folder)
    if request.param != "local":
        folder.mkdir()
        tls = issue(tmp_path / "tls") if request.param == "https" else None
        server = hosting.serve(
            folder,
            tls=tls,
            tokens=Tokens(read="other", write="secret"),
            limits=Limits(upload=1 << 30),
        )
        url = server.url
        if tls is not None:
            import ssl

            context = ssl.create_default_context(cafile=str(tls.authority))
            options = TransportOptions(
                timeout=5.0, credentials=options.credentials, tls=lambda: context
            )
    store = open_store(url, options)
    yield Place(url, folder, options, store)
    store.close()


def failure(act: Callable[[], object]) -> Failure:
    with pytest.raises(RequestFailed) as caught:
        act()
    assert "\n" not in caught.value.what
    assert "secret" not in caught.value.what
    return caught.value.failure


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, MIB, MIB + 1, len(DATA)])
def test_what_is_put_is_there(place: Place, size: int) -> None:
    data = DATA[:size]
    assert place.store.stat(NAME) is None
    place.put(NAME, data)
    assert (place.folder / NAME).read_bytes() == data
    assert (place.folder / NAME).stat().st_mode & 0o777 == 0o644
    assert place.names() == [NAME]
    told = place.store.stat(NAME)
    assert told == Stat(size, told.validator if told else "")
    assert b"".join(map(bytes, place.store.read(NAME, 0, size))) == data


def test_ranges_are_read(place: Place) -> None:
    place.put("x.dat")
    for start, stop in ((0, 1), (5, 5), (7, 2 * MIB + 9), (len(DATA) - 1, len(DATA))):
        steps = [bytes(step) for step in place.store.read("x.dat", start, stop)]
        assert b"".join(steps) == DATA[start:stop]
        assert max(map(len, steps), default=0) <= MIB
    for step in place.store.read("x.dat", 0, len(DATA)):  # left early
        assert step
        break
    assert b"".join(map(bytes, place.store.read("x.dat", 3, 9))) == DATA[3:9]
    assert failure(lambda: list(place.store.read("none.dat", 0, 5))) is Failure.MISSING


def test_replacing(place: Place) -> None:
    place.put("x.dat", b"first")
    before = place.store.stat("x.dat")
    place.put("x.dat", b"other")
    after = place.store.stat("x.dat")
    assert before is not None
    assert after is not None
    assert before.validator != after.validator
    assert failure(lambda: place.put("x.dat", replace=False)) is Failure.EXISTS
    assert (place.folder / "x.dat").read_bytes() == b"other"
    place.put("y.dat", replace=False)
    assert place.names() == ["x.dat", "y.dat"]


def test_other_bytes_than_declared(place: Place) -> None:
    place.put("old.dat", b"old")
    for name in ("x.dat", "old.dat"):
        wrong = failure(lambda name=name: place.store.put(name, 5, reader(), DIGEST))  # type: ignore[misc]
        assert wrong is Failure.DAMAGED
        assert not wrong.lasting
    assert place.names() == ["old.dat"]
    assert (place.folder / "old.dat").read_bytes() == b"old"


def test_a_reader_that_fails(place: Place) -> None:
    def read(offset: int, into: memoryview) -> None:
        if offset >= 2 * MIB:
            raise ValueError("no more")
        into[:] = DATA[offset : offset + len(into)]

    with pytest.raises(ValueError, match="no more"):
        place.store.put("x.dat", len(DATA), read, DIGEST)
    wait_until(lambda: place.names() == [], what="the removal")
    place.put("x.dat")
    assert place.names() == ["x.dat"]


def test_deleting(place: Place) -> None:
    place.put("x.dat", b"x")
    place.store.delete("x.dat")
    assert place.names() == []
    assert failure(lambda: place.store.delete("x.dat")) is Failure.MISSING


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", "a\nb", "x" * 256])
def test_names_that_are_not_plain(place: Place, name: str) -> None:
    for act in (
        lambda: place.store.stat(name),
        lambda: place.put(name),
        lambda: place.store.delete(name),
        lambda: place.store.read(name, 0, 1),
    ):
        with pytest.raises(UsageError, match="plain file name"):
            act()


def test_a_folder_in_its_place(place: Place) -> None:
    (place.folder / "x.dat").mkdir(parents=True)
    assert failure(lambda: place.put("x.dat")) is Failure.BAD_RESPONSE
    assert place.names() == ["x.dat"]


def test_no_room(place: Place) -> None:
    def never(offset: int, into: memoryview) -> None:
        raise AssertionError("nothing should be read")

    size = 1 << 55
    if place.url.startswith("http"):
        size = (1 << 30) + 1  # more than --max-upload
    assert failure(lambda: place.store.put("x.dat", size, never, DIGEST)) is Failure.NO_SPACE
    assert place.names() == []
    place.put("y.dat")


def test_several_threads_with_a_store_each(place: Place) -> None:
    def work(number: int) -> None:
        store = open_store(place.url, place.options)
        try:
            data = DATA[: MIB + number]
            for _ in range(3):
                store.put(f"{number}.dat", len(data), reader(data), blake3(data).digest())
                assert b"".join(map(bytes, store.read(f"{number}.dat", 0, len(data)))) == data
        finally:
            store.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert place.names() == [f"{number}.dat" for number in range(6)]


def test_aborted(place: Place) -> None:
    def read(offset: int, into: memoryview) -> None:
        if offset >= MIB:
            thread = threading.Thread(target=place.store.abort)
            thread.start()
            thread.join()

    assert failure(lambda: place.store.put("x.dat", len(DATA), read, DIGEST)) is Failure.ABORTED
    assert failure(lambda: place.put("y.dat")) is Failure.ABORTED
    wait_until(lambda: place.names() == [], what="the removal")


# -- only over the network --------------------------------------------------------------------


def store_at(url: str, timeout: float = 5.0) -> Store:
    return open_store(url, options_for(timeout))


def test_who_may_not_write(tmp_path: Path, hosting: Hosting) -> None:
    for tokens, says in (
        (Tokens(write="another"), "not accepted"),
        (Tokens(read="secret", write="another"), "reading only"),
        (None, "--write-token FILE"),
    ):
        store = store_at(hosting.serve(tmp_path, tokens=tokens).url)
        with pytest.raises(RequestFailed, match=says) as caught:
            store.put("x.dat", len(DATA), reader(), DIGEST)
        assert caught.value.failure is Failure.FORBIDDEN
        store.close()
    assert os.listdir(tmp_path) == []


def test_nobody_there() -> None:
    store = store_at(f"http://127.0.0.1:{free_port()}/")
    assert failure(lambda: store.put("x.dat", 3, reader(), DIGEST)) is Failure.UNREACHABLE
    assert failure(lambda: store.stat("x.dat")) is Failure.UNREACHABLE


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"503 Busy\r\nRetry-After: 7", Failure.BUSY),
        (b"500 Oops", Failure.SERVER_ERROR),
        (b"404 No", Failure.MISSING),
        (b"405 No", Failure.FORBIDDEN),
        (b"507 Full", Failure.NO_SPACE),
        (b"409 Conflict", Failure.BAD_RESPONSE),
        (b"302 Found\r\nLocation: http://127.0.0.1:1/", Failure.BAD_RESPONSE),
    ],
)
@pytest.mark.parametrize("size", [0, 1000, len(DATA)])
def test_answers(answer: bytes, expected: Failure, size: int) -> None:
    """Also where the server answers before it has the body, and closes."""
    with Rogue(sends(b"HTTP/1.1 " + answer + b"\r\nContent-Length: 0\r\n\r\n")) as rogue:
        store = store_at(rogue.url)
        with pytest.raises(RequestFailed) as caught:
            store.put("x.dat", size, reader(), DIGEST)
        assert caught.value.failure is expected
        assert caught.value.retry_after == (7.0 if expected is Failure.BUSY else None)
        store.close()
        assert len(rogue.requests) == 1


def test_what_a_server_says_is_told_without_harm() -> None:
    body = b"no room\x1b[31m for this\nmore"
    head = b"HTTP/1.1 507 x\r\nContent-Length: %d\r\n\r\n" % len(body)
    with Rogue(sends(head + body)) as rogue:
        store = store_at(rogue.url)
        with pytest.raises(RequestFailed) as caught:
            store.put("x.dat", 0, reader(), DIGEST)
        assert "(no room\\x1b[31m for this)" in caught.value.what
        store.close()


def read_head_and_body(connection: socket.socket, head: bytes, size: int) -> bytes:
    body = head.partition(b"\r\n\r\n")[2]
    while len(body) < size and (more := connection.recv(1 << 20)):
        body += more
    return body


def test_a_server_that_does_not_ask_for_the_body() -> None:
    """It is sent after a while, as RFC 9110 has it."""
    got = []

    def answer(head: bytes, connection: socket.socket) -> None:
        got.append(read_head_and_body(connection, head, len(DATA)))
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    with Rogue(answer) as rogue:
        store = store_at(rogue.url, timeout=1.0)
        store.put("x.dat", len(DATA), reader(), DIGEST)
        store.close()
        assert b"Expect: 100-continue" in rogue.requests[0]
        assert f"Regather-Blake3: {DIGEST.hex()}".encode() in rogue.requests[0]
    assert got == [DATA]


def test_an_answer_in_the_middle_of_the_body() -> None:
    def answer(head: bytes, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.recv(1 << 20)
        connection.sendall(b"HTTP/1.1 507 Full\r\nContent-Length: 6\r\n\r\nsorry\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 20):
            pass

    with Rogue(answer) as rogue:
        store = store_at(rogue.url)
        size = 1 << 30

        def read(offset: int, into: memoryview) -> None:
            pass

        with pytest.raises(RequestFailed, match="sorry") as caught:
            store.put("x.dat", size, read, DIGEST)
        assert caught.value.failure is Failure.NO_SPACE
        store.close()


@pytest.mark.parametrize("asked", [False, True])
def test_a_server_that_falls_silent(asked: bool) -> None:
    ended = threading.Event()

    def answer(head: bytes, connection: socket.socket) -> None:
        if asked:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        ended.wait(30)

    with Rogue(answer) as rogue:
        store = store_at(rogue.url, timeout=0.5)
        size = 256 * MIB  # more than fits into the buffers in between

        def read(offset: int, into: memoryview) -> None:
            pass

        try:
            assert failure(lambda: store.put("x.dat", size, read, DIGEST)) is Failure.TIMEOUT
        finally:
            ended.set()
            store.close()


def test_a_connection_lost_in_mid_body() -> None:
    def answer(head: bytes, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.recv(1 << 20)

    with Rogue(answer) as rogue:
        store = store_at(rogue.url)
        lost = failure(lambda: store.put("x.dat", len(DATA), reader(), DIGEST))
        assert lost in (Failure.RESET, Failure.TRUNCATED)
        assert len(rogue.requests) == 1
        store.close()


def test_a_server_that_was_started_anew_meanwhile(tmp_path: Path, hosting: Hosting) -> None:
    server = hosting.serve(tmp_path, tokens=Tokens(write="secret"))
    store = store_at(server.url)
    store.put("x.dat", len(DATA), reader(), DIGEST)
    hosting.kill(server)
    hosting.serve(tmp_path, tokens=Tokens(write="secret"), port=server.port)
    store.put("y.dat", len(DATA), reader(), DIGEST)
    store.close()
    assert sorted(os.listdir(tmp_path)) == ["x.dat", "y.dat"]


@pytest.mark.parametrize(
    "url",
    ["s3://bucket/x", "http://", "http://a:b:c/", "http://h/?q", "http://u:s3cret@h/", "file:///x"],
)
def test_places_that_are_none(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(url, TransportOptions())
    assert "s3cret" not in str(caught.value)


# -- only locally -----------------------------------------------------------------------------


def test_a_disk_that_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(str(tmp_path), TransportOptions())
    real = os.write

    def write(descriptor: int, data: memoryview) -> int:
        if len(data) < MIB:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    put = lambda: store.put("x.dat", len(DATA), reader(), DIGEST)  # noqa: E731
    assert failure(put) is Failure.NO_SPACE
    assert os.listdir(tmp_path) == []


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".regather-incoming-0123456789abcdef").write_bytes(b"x")
    store = open_store(str(tmp_path), TransportOptions())
    store.put("x.dat", len(DATA), reader(), DIGEST)
    assert os.listdir(tmp_path) == ["x.dat"]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    for base in ("f", "f/sub"):
        store = open_store(str(tmp_path / base), TransportOptions())
        with pytest.raises(RequestFailed):
            store.put("x.dat", len(DATA), reader(), DIGEST)
        assert store.stat("x.dat") is None
