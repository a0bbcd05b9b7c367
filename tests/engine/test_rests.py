"""Connections that break off within a piece: what came is kept, and the source goes on with it."""

from __future__ import annotations

import random
import re
import socket
from pathlib import Path

import pytest

import regather
from regather.engine.rests import Begun, PieceAtSource, Rests
from tests.support.rogue import Rogue

CONTENT = random.Random(1).randbytes(2_400_000)
MIB = 1 << 20


class Breaking:
    """Breaks off each answer after some bytes; tells where the ranges began that were asked for."""

    def __init__(self, each: int) -> None:
        self.content = CONTENT
        self.each = each
        self.starts: list[int] = []
        self.sent = 0

    def __call__(self, head: bytes, connection: socket.socket) -> None:
        asked = re.search(rb"(?i)range: bytes=(\d+)-(\d+)", head)
        content = self.content
        start, stop = (int(asked[1]), int(asked[2]) + 1) if asked else (0, len(content))
        stop = min(stop, len(content))
        status = b"206 Partial Content" if asked else b"200 OK"
        span = b"Content-Range: bytes %d-%d/%d\r\n" % (start, stop - 1, len(content))
        lines = (span if asked else b"") + b"Content-Length: %d\r\n\r\n" % (stop - start)
        connection.sendall(b"HTTP/1.1 " + status + b"\r\n" + lines)
        if head.startswith(b"HEAD"):
            return
        body = self.body(start, stop)[: self.each]
        if stop - start > 1000:  # not a sample
            self.starts.append(start)
            self.sent += len(body)
        connection.sendall(body)
        # To the end, as a reset would take what was sent from whoever has not read it.
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(10)
        while connection.recv(65536):
            pass

    def body(self, start: int, stop: int) -> bytes:
        return self.content[start:stop]


def fetch(server: Breaking, folder: Path, way: str, **settings: object) -> regather.DownloadReport:
    how = regather.Settings(sync=False, timeout=5, **{"retries": 2, **settings})  # type: ignore[arg-type]
    with Rogue(server) as rogue:
        source = rogue.url + "data.bin"
        if way == "manifest":
            origin = folder / "data.bin"
            origin.write_bytes(CONTENT)
            regather.split(origin, folder / "split", fragments=1, at=[rogue.url])
            source = str(folder / "split" / "data.bin.regather.json")
            for fragment in (folder / "split").glob("*.dat"):
                fragment.unlink()
        return regather.download(source, folder / "got", settings=how)


@pytest.mark.parametrize("libcurl", [False, True], ids=["own", "libcurl"])
@pytest.mark.parametrize("way", ["bare", "manifest"])
def test_what_came_of_a_piece_is_kept(way: str, libcurl: bool, tmp_path: Path) -> None:
    server = Breaking(400_000)
    fetch(server, tmp_path, way, http2=libcurl)
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert server.sent < 1.3 * len(CONTENT), server.starts


def test_a_piece_that_was_put_together_wrongly_comes_whole_and_nobody_is_blamed(
    tmp_path: Path,
) -> None:
    class Other(Breaking):
        def body(self, start: int, stop: int) -> bytes:
            wrong = start % MIB != 0
            self.each = len(CONTENT) if self.starts else 400_000
            return bytes(stop - start) if wrong else super().body(start, stop)

    server = Other(400_000)
    # A second connection might ask for another piece before the first one goes on.
    report = fetch(server, tmp_path, "manifest", connections=1)
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert [source.corrupt for source in report.sources] == [0]
    begun, went_on, *rest = server.starts
    assert (begun, went_on) == (0, 400_000)
    assert rest.count(400_000) == 0
    assert 0 in rest


def test_without_a_hash_another_file_does_not_go_on_with_the_first(tmp_path: Path) -> None:
    class Changes(Breaking):
        def body(self, start: int, stop: int) -> bytes:
            if self.starts:
                self.content, self.each = CONTENT[::-1], len(CONTENT)
            return super().body(start, stop)

    fetch(Changes(400_000), tmp_path, "bare")
    assert (tmp_path / "got").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("way", ["bare", "manifest"])
def test_a_source_that_sends_too_little_each_time_is_given_up(way: str, tmp_path: Path) -> None:
    server = Breaking(5_000)
    with pytest.raises(regather.NotEnoughSourcesError):
        fetch(server, tmp_path, way, retries=1)
    assert len(server.starts) <= 4


def test_what_is_kept_has_bounds() -> None:
    rests = Rests()
    piece = memoryview(bytearray(20 << 20))
    for number in range(5):
        assert rests.keep(PieceAtSource(0, 0, number), piece, 32 << 20)
    kept = [len(rests.begun(PieceAtSource(0, 0, number))) for number in range(5)]
    assert kept == [0, 0, 20 << 20, 20 << 20, 20 << 20]
    assert not rests.keep(PieceAtSource(0, 0, 4), memoryview(bytearray((20 << 20) + 100)), 32 << 20)


def test_a_spoiled_piece_is_not_kept_again() -> None:
    rests, place = Rests(), PieceAtSource(0, 0, 0)
    assert rests.keep(place, memoryview(b"a" * 50_000), MIB)
    begun = Begun(rests, place, hashed=True)
    assert begun.at == 50_000
    assert not begun.ended(memoryview(b"a" * MIB), right=False)
    assert not rests.keep(place, memoryview(b"a" * 500_000), MIB)
    assert rests.begun(place) == b""
