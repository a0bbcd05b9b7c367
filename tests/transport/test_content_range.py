"""What comes must be what was asked for: nothing else tells, where there are no hashes."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

import regather
from regather.transport import Failure, RequestFailed, TransportOptions, open_connection
from tests.support.rogue import Rogue

CONTENT = bytes((i * 7 + i // 251) & 255 for i in range(3_000_000))
_LOOKED_AT = 70_000
"""Bytes of what is asked for at first, of which it is right."""
START, STOP = 8192, 208_192
QUICK = regather.Settings(retries=1, sync=False)


def off_by(moved: int, *, told: str = "bytes {start}-{last}/{size}") -> Rogue:
    """A server that moves every large range that is asked for, and says so."""

    def answer(head: bytes, connection: socket.socket) -> None:
        asked = re.search(rb"\r\nrange: *bytes=(\d+)-(\d+)", head, re.IGNORECASE)
        first, end = (int(asked[1]), int(asked[2]) + 1) if asked else (0, len(CONTENT))
        if end - first > _LOOKED_AT:
            first, end = max(first + moved, 0), min(end + moved, len(CONTENT))
        where = told.format(start=first, last=end - 1, size=len(CONTENT))
        connection.sendall(
            b"HTTP/1.1 206 Partial Content\r\nConnection: close\r\n"
            + f"Content-Range: {where}\r\nContent-Length: {end - first}\r\n\r\n".encode()
            + CONTENT[first:end]
        )

    return Rogue(answer)


@pytest.mark.parametrize("moved", [1, 4096])
def test_another_range_than_was_asked_for(moved: int) -> None:
    with off_by(moved) as server:
        connection = open_connection(server.url, TransportOptions(1.0, 5.0))
        with pytest.raises(RequestFailed) as caught:
            connection.request(f"{server.url}f.bin", START, STOP, len(CONTENT))
        connection.close()
    assert caught.value.failure is Failure.BAD_RESPONSE


def test_a_range_that_begins_earlier_holds_what_was_asked_for() -> None:
    """All but the last byte, which is asked for again."""
    with off_by(-1) as server:
        connection = open_connection(server.url, TransportOptions(1.0, 5.0))
        assert connection.request(f"{server.url}f.bin", START, STOP, len(CONTENT))
        got, buffer = b"", memoryview(bytearray(1 << 16))
        while len(got) < STOP - START:
            got += bytes(buffer[: connection.receive(buffer[: STOP - START - len(got)])])
        connection.close()
        assert len(server.requests) == 2
    assert got == CONTENT[START:STOP]


def test_the_range_of_another_file() -> None:
    with off_by(0, told="bytes {start}-{last}/3000001") as server:
        connection = open_connection(server.url, TransportOptions(1.0, 5.0))
        with pytest.raises(RequestFailed, match="3000001"):
            connection.request(f"{server.url}f.bin", START, STOP, len(CONTENT))
        connection.close()


def test_no_file_is_made_of_it(tmp_path: Path) -> None:
    with off_by(1) as server, pytest.raises(regather.NotEnoughSourcesError):
        regather.download(f"{server.url}f.bin", tmp_path / "f.bin", settings=QUICK)
    assert not (tmp_path / "f.bin").exists()
