from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.process import Serve

LONG_NAME = "ü" * 125 + "x.dat"  # 255 bytes
BIG = 64 << 20


@pytest.fixture(scope="session")
def content() -> bytes:
    """The bytes of ``file.dat``."""
    return random.Random(1).randbytes(300_007)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> Path:
    """A folder with all that may, and all that must not, be served."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.dat").write_bytes(b"secret")
    root = outside / "hosted"
    (root / "sub" / "deeper").mkdir(parents=True)
    (outside / "hosted-twin").mkdir()
    (outside / "hosted-twin" / "secret.dat").write_bytes(b"secret")
    (root / "file.dat").write_bytes(content)
    (root / "file.dat.gz").write_bytes(b"not what was asked for")
    (root / "file.dat.br").write_bytes(b"not what was asked for")
    (root / "file.regather.json").write_bytes(b"{}")
    (root / "page.html").write_bytes(b"<p>")
    (root / "empty.dat").write_bytes(b"")
    (root / "sub" / "deeper" / "nested.dat").write_bytes(b"nested")
    (root / "with space & 100%.dat").write_bytes(b"space")
    (root / "ünïcødé 😀.dat").write_bytes(b"unicode")
    (root / LONG_NAME).write_bytes(b"long")
    with open(os.path.join(os.fsencode(root), b"latin\xff.dat"), "wb") as stream:
        stream.write(b"latin")
    (root / ".hidden").write_bytes(b"secret")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_bytes(b"secret")
    (root / "big.dat.regather-part").write_bytes(b"secret")
    (root / "big.dat.regather-part.journal").write_bytes(b"secret")
    (root / "out.dat").symlink_to(outside / "secret.dat")
    (root / "out").symlink_to(outside)
    (root / "twin.dat").symlink_to(outside / "hosted-twin" / "secret.dat")
    (root / "loop").symlink_to(root / "loop")
    (root / "inside.dat").symlink_to(root / "sub" / "deeper" / "nested.dat")
    os.mkfifo(root / "pipe.dat")
    with (root / "big.dat").open("wb") as stream:
        stream.truncate(BIG)
    return root


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Serve]:
    """A server of the folder that all tests share: leave it as it was."""
    with Serve(folder) as running:
        yield running
