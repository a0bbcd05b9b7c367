"""Where the bytes lie while they are measured, and that they fit there."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from bench.model import GIB

SHARED_MEMORY = Path("/dev/shm")
_MARGIN = GIB // 4
_MEMORY_LEFT = GIB
"""What must stay free of memory where the scratch folder is memory."""


class NoSpace(Exception):
    """The benchmark does not fit."""


def filesystem(folder: Path) -> str:
    """Return the type of the file system that holds ``folder`` (``tmpfs``, ``ext4``), or '?'."""
    path, best, kind = str(folder.resolve()), "", "?"
    try:
        lines = Path("/proc/mounts").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return "?"
    for line in lines:
        _, mount, this, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        if len(mount) >= len(best) and (path + "/").startswith(mount.rstrip("/") + "/"):
            best, kind = mount, this
    return kind


def available(folder: Path) -> int:
    """Return the bytes that may be written to ``folder``, memory considered where it is memory."""
    status = os.statvfs(folder)
    space = status.f_bavail * status.f_frsize - _MARGIN
    if filesystem(folder) in {"tmpfs", "ramfs"}:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                space = min(space, int(line.split()[1]) * 1024 - _MEMORY_LEFT)
    return max(0, space)


class Scratch:
    """Two folders that vanish at the end: ``memory`` (tmpfs where there is one) and ``disk``."""

    def __init__(self, disk: Path, *, memory_needed: int, disk_needed: int) -> None:
        self.notes: list[str] = []
        self._stack = ExitStack()
        self._disk_root = disk
        self._memory_needed = memory_needed
        self._disk_needed = disk_needed

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._made = not self._disk_root.exists()
            self._disk_root.mkdir(parents=True, exist_ok=True)
            stack.callback(self._tidy)
            self.disk = self._folder(stack, self._disk_root, self._disk_needed)
            self.memory = self._fast_folder(stack)
            if filesystem(self.disk) in {"tmpfs", "ramfs"}:
                self.notes.append("The disk folder is in memory too: give a folder with --dir.")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _tidy(self) -> None:
        if self._made:
            try:
                self._disk_root.rmdir()
            except OSError:
                pass

    def _fast_folder(self, stack: ExitStack) -> Path:
        try:
            return self._folder(stack, SHARED_MEMORY, self._memory_needed)
        except (OSError, NoSpace) as error:
            self.notes.append(f"No scratch in memory ({error}): the figures include a disk.")
        return self._folder(stack, Path(tempfile.gettempdir()), self._memory_needed)

    @staticmethod
    def _folder(stack: ExitStack, parent: Path, needed: int) -> Path:
        if available(parent) < needed:
            raise NoSpace(
                f"{parent} has {available(parent) / GIB:.1f} GiB to spare, "
                f"{needed / GIB:.1f} GiB are needed"
            )
        return Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="regather-bench-", dir=parent))
        )
