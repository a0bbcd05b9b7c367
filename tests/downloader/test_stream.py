"""Files of unknown size, which come in one go."""

from __future__ import annotations

import hashlib
import socket
import threading
from pathlib import Path

import pytest

import regather
from tests.support.rogue import Answer, Rogue, sends

CONTENT = bytes(range(256)) * 10_000
CHECKSUM = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
QUICK = regather.Settings(retries=1, sync=False, timeout=10)
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def rest(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_told_of_it(tmp_path: Path) -> None:
    told: list[regather.Progress] = []
    with Rogue(sends(HEAD, chunk(CONTENT), END)) as server:
        report = regather.download(
            server.url + "f.bin", tmp_path, settings=QUICK, on_progress=told.append
        )
        assert (tmp_path / "f.bin").read_bytes() == CONTENT
        assert report.size == report.received == len(CONTENT)
        assert not report.verified
        assert any("NOT verified" in note for note in report.notes)
        assert any("one connection" in note for note in report.notes)
        assert report.sources[0].useful == len(CONTENT)
        assert any(progress.phase == "downloading" for progress in told)

        report = regather.download(
            server.url + "f.bin", tmp_path / "2", checksum=CHECKSUM, settings=QUICK
        )
        assert report.verified_by == "sha256"
    assert rest(tmp_path) == ["2", "f.bin"]


@pytest.mark.parametrize("checksum", ["", CHECKSUM])
def test_an_end_that_is_not_the_end(tmp_path: Path, checksum: str) -> None:
    with (
        Rogue(sends(HEAD, chunk(CONTENT[:500_000]))) as server,
        pytest.raises(regather.RegatherError),
    ):
        regather.download(
            server.url + "f.bin",
            tmp_path / "f.bin",
            checksum=[checksum] if checksum else (),
            settings=QUICK,
        )
    assert rest(tmp_path) == []


def broken_at_first(answers: list[bytes]) -> Answer:
    """Breaks off in the middle until there is but one answer left."""

    def answer(head: bytes, connection: socket.socket) -> None:
        if b"range:" in head.lower():
            connection.sendall(answers[-1])
            return
        connection.sendall(answers.pop(0) if len(answers) > 1 else answers[0])

    return answer


def test_it_is_begun_again(tmp_path: Path) -> None:
    whole = HEAD + chunk(CONTENT) + END
    with Rogue(broken_at_first([whole[:9000], whole])) as server:
        report = regather.download(server.url + "f.bin", tmp_path / "f.bin", settings=QUICK)
    assert (tmp_path / "f.bin").read_bytes() == CONTENT
    assert report.sources[0].errors == 1


def test_another_file_than_was_asked_for(tmp_path: Path) -> None:
    with (
        Rogue(sends(HEAD, chunk(CONTENT[1:]), END)) as server,
        pytest.raises(regather.VerificationError, match="nothing was kept") as caught,
    ):
        regather.download(
            server.url + "f.bin", tmp_path / "f.bin", checksum=CHECKSUM, settings=QUICK
        )
    assert server.url in caught.value.details[0]
    assert rest(tmp_path) == []


def test_the_next_mirror_where_the_first_has_another(tmp_path: Path) -> None:
    with (
        Rogue(sends(HEAD, chunk(CONTENT[1:]), END)) as wrong,
        Rogue(sends(HEAD, chunk(CONTENT), END)) as right,
    ):
        report = regather.download(
            [wrong.url + "f.bin", right.url + "f.bin"],
            tmp_path / "f.bin",
            checksum=CHECKSUM,
            settings=QUICK,
        )
    assert (tmp_path / "f.bin").read_bytes() == CONTENT
    assert [source.useful for source in report.sources] == [0, len(CONTENT)]


@pytest.mark.parametrize("force", [False, True])
def test_what_is_there_already(tmp_path: Path, force: bool) -> None:
    def get() -> None:
        regather.download(server.url + "f.bin", tmp_path / "f.bin", settings=QUICK, force=force)

    (tmp_path / "f.bin").write_bytes(b"old")
    with Rogue(sends(HEAD, chunk(CONTENT), END)) as server:
        if force:
            get()
        else:
            with pytest.raises(regather.DestinationExistsError):
                get()
    assert (tmp_path / "f.bin").read_bytes() == (CONTENT if force else b"old")


def test_what_is_there_and_right(tmp_path: Path) -> None:
    (tmp_path / "f.bin").write_bytes(CONTENT)
    with Rogue(sends(HEAD, chunk(CONTENT), END)) as server:
        report = regather.download(
            server.url + "f.bin", tmp_path / "f.bin", checksum=CHECKSUM, settings=QUICK
        )
    assert report.kept


def endless(head: bytes, connection: socket.socket) -> None:
    """Sends, slowly, for as long as anybody listens."""
    connection.sendall(HEAD)
    while True:
        connection.sendall(chunk(bytes(2000)))


def test_a_stop(tmp_path: Path) -> None:
    stop = threading.Event()

    def look(progress: regather.Progress) -> None:
        if progress.phase == "downloading":
            stop.set()

    with (
        Rogue(endless) as server,
        pytest.raises(regather.InterruptedDownload, match="nothing was kept"),
    ):
        regather.download(
            server.url + "f.bin",
            tmp_path / "f.bin",
            settings=regather.Settings(limit_rate=1_000_000, sync=False),
            on_progress=look,
            stop=stop,
        )
    assert rest(tmp_path) == []


def test_a_disk_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and nothing left behind."""
    import os

    real = os.write

    def full(descriptor: int, data: memoryview) -> int:
        if len(data) > 10_000:
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with (
        Rogue(sends(HEAD, chunk(CONTENT), END)) as server,
        pytest.raises(regather.StorageError, match="space"),
    ):
        regather.download(server.url + "f.bin", tmp_path / "f.bin", settings=QUICK)
    monkeypatch.undo()
    assert rest(tmp_path) == []
