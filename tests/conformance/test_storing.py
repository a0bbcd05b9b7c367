"""What every store must do: our server (plain and TLS), object stores, a local folder."""

from __future__ import annotations

import os
import random
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from blake3 import blake3
from msgspec.structs import replace

from regather.errors import UsageError
from regather.server.authorization import Tokens
from regather.server.writing import Limits
from regather.transport import Credentials, Failure, RequestFailed, TransportOptions
from regather.transport.objects.store_options import StoreOptions
from regather.transport.stores.base import ReadInto, Stat, Store
from regather.transport.stores.open import open_store
from tests.support.hosting import Hosting
from tests.support.net import wait_until
from tests.support.stores import NAMES, ObjectStorage
from tests.support.tls import TlsFiles, issue

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
    options: TransportOptions
    store: Store
    names: Callable[[], list[str]]
    """All there is, hidden files included."""
    content: Callable[[str], bytes]
    """The bytes of an object, not by way of the store."""
    folder: Path | None
    """Where its objects are files; None where they are none."""

    def put(self, name: str, data: bytes = DATA, *, replace: bool = True) -> None:
        self.store.put(name, len(data), reader(data), blake3(data).digest(), replace=replace)


def options_for(timeout: float = 5.0) -> TransportOptions:
    return TransportOptions(timeout=timeout, credentials=Credentials({"127.0.0.1": "secret"}))


def in_folder(url: str, folder: Path, options: TransportOptions) -> Place:
    def names() -> list[str]:
        return sorted(os.listdir(folder)) if folder.exists() else []

    def content(name: str) -> bytes:
        return (folder / name).read_bytes()

    return Place(url, options, open_store(url, options), names, content, folder)


def on_server(folder: Path, hosting: Hosting, tls: TlsFiles | None) -> Place:
    folder.mkdir()
    server = hosting.serve(
        folder,
        tls=tls,
        tokens=Tokens(read="other", write="secret"),
        limits=Limits(upload=1 << 30),
    )
    options = options_for()
    if tls is not None:
        context = ssl.create_default_context(cafile=str(tls.authority))
        options = replace(options, tls=lambda: context)
    return in_folder(server.url, folder, options)


def in_bucket(store: ObjectStorage) -> Place:
    import obstore

    bucket = store.bucket()
    client = store.client(bucket)

    def names() -> list[str]:
        found = [one["path"] for batch in obstore.list(client) for one in batch]
        return sorted(name.removeprefix("a folder/") for name in found)

    def content(name: str) -> bytes:
        return bytes(obstore.get(client, f"a folder/{name}").bytes())

    options = TransportOptions(timeout=5.0, stores=StoreOptions(store.options))
    url = f"{store.scheme}://{bucket}/a%20folder"
    return Place(url, options, open_store(url, options), names, content, None)


def made(request: pytest.FixtureRequest, tmp_path: Path, hosting: Hosting) -> Iterator[Place]:
    folder = tmp_path / "a folder"
    match request.param:
        case "local":
            place = in_folder(str(folder), folder, options_for())
        case "swift" | "gcs" | "azurite":
            place = in_bucket(request.getfixturevalue(request.param))
        case _:
            tls = issue(tmp_path / "tls") if request.param == "https" else None
            place = on_server(folder, hosting, tls)
    yield place
    place.store.close()


@pytest.fixture(params=["http", "https", "local", *NAMES])
def place(request: pytest.FixtureRequest, tmp_path: Path, hosting: Hosting) -> Iterator[Place]:
    yield from made(request, tmp_path, hosting)


@pytest.fixture(params=["http", "https", "local"])
def files(request: pytest.FixtureRequest, tmp_path: Path, hosting: Hosting) -> Iterator[Place]:
    """Stores whose objects are files."""
    yield from made(request, tmp_path, hosting)


def failure(act: Callable[[], object]) -> Failure:
    with pytest.raises(RequestFailed) as caught:
        act()
    assert "\n" not in caught.value.what
    assert "secret" not in caught.value.what
    return caught.value.failure


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, MIB, MIB + 1, len(DATA), 16 * MIB + 1])
def test_what_is_put_is_there(place: Place, size: int) -> None:
    data = (DATA * (size // len(DATA) + 1))[:size]
    assert place.store.stat(NAME) is None
    place.put(NAME, data)
    assert place.content(NAME) == data
    if place.folder is not None:
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
    assert place.content("x.dat") == b"other"
    place.put("y.dat", replace=False)
    assert place.names() == ["x.dat", "y.dat"]


def test_other_bytes_than_declared(place: Place) -> None:
    place.put("old.dat", b"old")
    for name in ("x.dat", "old.dat"):
        wrong = failure(lambda name=name: place.store.put(name, 5, reader(), DIGEST))  # type: ignore[misc]
        assert wrong is Failure.DAMAGED
        assert not wrong.lasting
    assert place.names() == ["old.dat"]
    assert place.content("old.dat") == b"old"


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


def test_a_folder_in_its_place(files: Place) -> None:
    assert files.folder is not None
    (files.folder / "x.dat").mkdir(parents=True)
    assert failure(lambda: files.put("x.dat")) is Failure.BAD_RESPONSE
    assert files.names() == ["x.dat"]


def test_no_room(place: Place) -> None:
    def never(offset: int, into: memoryview) -> None:
        raise AssertionError("nothing should be read")

    size = 1 << 55
    if place.url.startswith("http"):
        size = (1 << 30) + 1  # more than --max-upload
    found = failure(lambda: place.store.put("x.dat", size, never, DIGEST))
    assert found in (Failure.NO_SPACE, Failure.TOO_LARGE)
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
