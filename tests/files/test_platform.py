"""Names that last: a disk that fails is told of, a file system that cannot sync folders is not."""

from __future__ import annotations

import errno
import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from regather.files.atomic import AtomicFile
from regather.files.platform import is_viewed, new_buffer, sync_folder, sync_names, write_parts


def failing(code: int) -> Callable[[int], None]:
    """An fsync that fails for folders."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(code, os.strerror(code))
        real(descriptor)

    return fsync


def folder_of(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Linux tells what a descriptor is")
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(os, "fsync", failing(code))
    folder = folder_of(tmp_path)
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        sync_folder(tmp_path)
    assert caught.value.filename == str(tmp_path)
    with pytest.raises(OSError, match=os.strerror(code)):
        sync_names(folder)
    incoming = AtomicFile(folder, "file")
    with pytest.raises(OSError, match=os.strerror(code)):
        incoming.publish(replace=False)
    incoming.discard()
    os.close(folder)


def test_of_a_file_that_cannot_be_looked_at_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    folder = folder_of(tmp_path)
    monkeypatch.setattr(os, "fstat", fails)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        AtomicFile(folder, "file")
    monkeypatch.undo()
    os.close(folder)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Linux tells what a descriptor is")
def test_a_file_system_that_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing(errno.EINVAL))
    folder = folder_of(tmp_path)
    sync_folder(tmp_path)
    incoming = AtomicFile(folder, "file")
    incoming.publish(replace=False)
    incoming.discard()
    os.close(folder)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("size", [1000, 300_000])
def test_memory_for_pieces(size: int) -> None:
    buffer = new_buffer(size)
    memory = buffer.obj
    assert isinstance(memory, bytearray | mmap.mmap)
    assert bytes(buffer) == bytes(size)
    buffer[-1] = 7
    assert is_viewed(memory), "by the buffer"
    buffer = buffer[:10]
    assert is_viewed(memory), "by a part of it"
    del buffer
    assert is_viewed(memory) is (sys.platform != "linux" and size > 1000)
    assert (len(memory), memory[size - 1]) == (size, 7)


@pytest.mark.parametrize("count", [1, 7, 1024, 5000])
def test_parts_are_written_in_order_whatever_is_taken_at_a_time(count: int) -> None:
    """More than the system takes in one call, and than a pipe holds."""
    parts = [memoryview(b"%05d" % n * (1 + n % 50)) for n in range(count)]
    content = b"".join(parts)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    written, received = 0, b""
    while parts:
        try:
            written += write_parts(writing, parts)
        except BlockingIOError:
            received += os.read(reading, 70_001)
    os.close(writing)
    while data := os.read(reading, 1 << 20):
        received += data
    os.close(reading)
    assert (written, received) == (len(content), content)
