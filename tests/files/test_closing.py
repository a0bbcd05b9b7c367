"""A disk that fails when a file is closed: it is told, and nothing is closed twice or kept open."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from regather.files.atomic import AtomicFile
from regather.files.openat import DirHandle


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What was closed; each time the system does so and says that the disk fails."""
    found: list[int] = []
    close = os.close

    def failing(descriptor: int) -> None:
        found.append(descriptor)
        close(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "close", failing)
    return found


def test_a_file(tmp_path: Path, closed: list[int]) -> None:
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    incoming = AtomicFile(folder, "file")
    descriptor = incoming.descriptor
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        incoming.discard()
    incoming.discard()
    assert closed == [descriptor]
    assert os.listdir(tmp_path) == []
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        os.close(folder)


def test_a_folder_and_the_one_that_was_used_last(tmp_path: Path, closed: list[int]) -> None:
    (tmp_path / "inner").mkdir()
    handle = DirHandle(str(tmp_path))
    descriptors = [handle.folder("inner"), handle.descriptor]
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        handle.close()
    handle.close()
    assert closed == descriptors
