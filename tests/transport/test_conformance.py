"""What every transport must do, over our server, nginx and the local disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from regather.transport import (
    Connection,
    Failure,
    RequestFailed,
    TransportOptions,
    locate,
    open_connection,
)
from tests.support.files import random_file
from tests.support.hosting import Hosting
from tests.support.nginx import Nginx, find_nginx

SIZE = 300_007


@dataclass
class Place:
    base: str
    folder: Path
    content: bytes
    connection: Connection

    def get(self, start: int, stop: int, size: int | None = SIZE, name: str = "f.dat") -> bytes:
        """One request, read to its end."""
        ranged = self.connection.request(locate(self.base, name), start, stop, size)
        assert ranged
        buffer = memoryview(bytearray(stop - start))
        have = 0
        while have < len(buffer):
            have += self.connection.receive(buffer[have:])
        self.connection.finish()
        return bytes(buffer)


@pytest.fixture(params=["own", "nginx", "local"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "a folder"
    folder.mkdir()
    content = random_file(folder / "f.dat", SIZE).read_bytes()
    (folder / "empty.dat").write_bytes(b"")
    shutil.copy(folder / "f.dat", folder / "näme with spaces & 100%.dat")
    options = TransportOptions(timeout=2.0)

    def made(base: str) -> Place:
        return Place(base, folder, content, open_connection(base, options))

    if request.param == "own":
        with Hosting() as hosting:
            place = made(hosting.serve(folder).url)
            yield place
            place.connection.close()
    elif request.param == "nginx":
        if find_nginx() is None:
            pytest.skip("nginx is not installed")
        with Nginx(folder) as nginx:
            place = made(nginx.url)
            yield place
            place.connection.close()
    else:
        place = made(f"{folder}/")
        yield place
        place.connection.close()


def test_ranges_at_every_edge(place: Place) -> None:
    edges = [0, 1, 2, 4095, 4096, 65536, SIZE - 2, SIZE - 1, SIZE]
    for start in edges:
        for stop in edges:
            if start < stop:
                assert place.get(start, stop) == place.content[start:stop], (start, stop)


def test_the_size_may_be_unknown(place: Place) -> None:
    assert place.get(5, 10, size=None) == place.content[5:10]


def test_names_that_need_quoting(place: Place) -> None:
    assert place.get(0, 9, name="näme with spaces & 100%.dat") == place.content[:9]


def test_small_buffers(place: Place) -> None:
    place.connection.request(place.base + "f.dat", 10, 1010, SIZE)
    got = b""
    buffer = memoryview(bytearray(7))
    while len(got) < 1000:
        got += bytes(buffer[: place.connection.receive(buffer[: 1000 - len(got)])])
    place.connection.finish()
    assert got == place.content[10:1010]


def test_a_request_left_early_does_not_harm_the_next(place: Place) -> None:
    for _ in range(3):
        place.connection.request(place.base + "f.dat", 0, SIZE, SIZE)
        place.connection.receive(memoryview(bytearray(100)))
        place.connection.finish()
        assert place.get(7, 77) == place.content[7:77]


def failure(place: Place, start: int, stop: int, size: int | None, name: str) -> Failure:
    with pytest.raises(RequestFailed) as caught:
        place.get(start, stop, size, name)
    assert "\n" not in caught.value.what
    return caught.value.failure


def test_missing(place: Place) -> None:
    assert failure(place, 0, 5, 5, "none.dat") is Failure.MISSING
    assert place.get(0, 5) == place.content[:5]


def test_another_length(place: Place) -> None:
    assert failure(place, 0, 5, SIZE + 1, "f.dat") is Failure.BAD_RESPONSE
    assert failure(place, 0, 5, SIZE - 1, "f.dat") is Failure.BAD_RESPONSE
    assert failure(place, 0, 5, 5, "empty.dat") is Failure.BAD_RESPONSE


def test_beyond_the_end(place: Place) -> None:
    assert failure(place, SIZE, SIZE + 5, None, "f.dat") is Failure.BAD_RESPONSE
    assert failure(place, SIZE - 1, SIZE + 5, None, "f.dat") is Failure.BAD_RESPONSE


def test_changed_while_read(place: Place) -> None:
    """Shorter than it was: an error, and not a byte made up."""
    assert place.get(0, 5) == place.content[:5]
    (place.folder / "f.dat").write_bytes(place.content[:1000])
    assert failure(place, 5000, 6000, SIZE, "f.dat") in (
        Failure.BAD_RESPONSE,
        Failure.TRUNCATED,
        Failure.RESET,
    )


def test_aborted(place: Place) -> None:
    place.connection.request(place.base + "f.dat", 0, SIZE, SIZE)
    place.connection.abort()
    buffer = memoryview(bytearray(SIZE))

    def receive_all() -> None:
        for _ in range(SIZE):
            place.connection.receive(buffer)

    with pytest.raises(RequestFailed) as caught:
        receive_all()
    assert caught.value.failure is Failure.ABORTED
