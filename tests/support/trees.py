"""Folders to publish, and what two of them have in common."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

Told = tuple[str, int, int, bytes | str]
"""Kind, permission bits, seconds of the last change, content or target."""


def told(root: Path) -> dict[str, Told]:
    """All that a published folder must tell of a folder, by path; what downloads keep aside."""
    found: dict[str, Told] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            bits = stat.S_IMODE(status.st_mode)
            key = str(path.relative_to(root))
            if path.is_symlink():
                found[key] = ("link", 0, 0, os.readlink(path))
            elif path.is_dir():
                found[key] = ("folder", bits, 0, "")
            else:
                found[key] = ("file", bits, status.st_mtime_ns // 10**9, path.read_bytes())
    return found


def make_tree(root: Path, *, large: int = 3_000_000, small: int = 40, seed: int = 1) -> Path:
    """A folder with large and small files, empty ones, folders in folders, and links."""
    rng = random.Random(seed)
    (root / "deep" / "er" / "still").mkdir(parents=True)
    (root / "nothing").mkdir(mode=0o750)
    for name, size in (("a.bin", large), ("deep/er/b.bin", large // 2 + 1), ("deep/empty", 0)):
        (root / name).write_bytes(rng.randbytes(size))
    for number in range(small):
        (root / "deep" / f"{number:04}.txt").write_bytes(rng.randbytes(rng.randrange(3000)))
    (root / "größe mit leer.txt").write_text("names are in UTF-8\n")
    (root / "deep" / "run.sh").write_text("#!/bin/sh\n")
    (root / "deep" / "run.sh").chmod(0o755)
    (root / "deep" / "secret").write_text("mine\n")
    (root / "deep" / "secret").chmod(0o400)
    os.utime(root / "a.bin", (1_000_000_000, 1_000_000_000))
    (root / "latest").symlink_to("deep/er")
    (root / "deep" / "er" / "up").symlink_to("../../a.bin")
    (root / "deep" / "dangling").symlink_to("not/there")
    (root / "deep" / "er").chmod(0o555)
    return root
