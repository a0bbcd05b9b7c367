"""Files in small pieces, split into folders of servers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import regather
from tests.support.files import random_file
from tests.support.small import small_pieces

SIZE = 700_001
PIECE = 16 << 10
QUICK = regather.Settings(timeout=1.0, connect_timeout=2, retries=2)


@dataclass
class Made:
    """A split file."""

    original: Path
    folder: Path
    content: bytes = field(repr=False)

    @property
    def manifest(self) -> str:
        return str(self.folder / "file.bin.regather.json")

    @property
    def servers(self) -> list[Path]:
        return sorted(self.folder.glob("server*"))


def split_for_reading(folder: Path, **how: int) -> Made:
    """Random bytes in pieces of 16 KiB; ``how`` is for ``regather.split``."""
    original = random_file(folder / "file.bin", SIZE)
    with small_pieces(PIECE):
        regather.split(original, folder / "out", **how)  # type: ignore[arg-type]
    return Made(original, folder / "out", original.read_bytes())
