"""Disks that are small, full or slow, for clients that are processes of their own.

*Small*: a tmpfs of the size that is wanted, mounted in a mount namespace of its own (no privileges
where user namespaces are allowed), which ends with the process that holds it. *Full meanwhile*:
``RLIMIT_FSIZE`` of the running client is lowered, and its next write fails with EFBIG. *Slow*:
``slow_disk.c``, compiled once, makes every write wait.
"""

from __future__ import annotations

import contextlib
import functools
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.support.preload import compiled

_SOURCE = Path(__file__).with_name("slow_disk.c")
_PAGE = 4096


class SmallDisk:
    """A tmpfs that only processes entered into its namespace see; use as a context manager."""

    def __init__(self, mount_point: Path, size: int) -> None:
        """``size`` is in bytes and becomes whole pages, two at least."""
        self._point = mount_point
        self._size = size

    def __enter__(self) -> Self:
        script = 'mount -t tmpfs -o "size=$1,mode=0777" none "$2" && echo mounted && exec cat'
        self._holder = subprocess.Popen(
            [
                *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"),
                *(_pages(self._size), str(self._point)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"mounted\n":
            self.__exit__()
            raise OSError("no namespace with a tmpfs is to be had here")
        return self

    @property
    def folder(self) -> Path:
        """The file system as seen from outside."""
        return Path(f"/proc/{self._holder.pid}/root{self._point}")

    @property
    def inside(self) -> list[str]:
        """What to put before a command so that it runs where ``mount_point`` is this disk."""
        target = f"--target={self._holder.pid}"
        return ["nsenter", "--user", "--mount", "--preserve-credentials", target]

    def resize(self, size: int) -> None:
        """Give it another size, in bytes."""
        option = f"remount,size={_pages(size)}"
        command = [*self.inside, "mount", "-o", option, str(self._point)]
        subprocess.run(command, check=True, timeout=30)

    def __exit__(self, *_: object) -> None:
        for stream in (self._holder.stdin, self._holder.stdout):
            if stream is not None:
                stream.close()
        try:
            self._holder.wait(60)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()


def _pages(size: int) -> str:
    return str(max(-(-size // _PAGE), 2) * _PAGE)


@functools.cache
def small_disks() -> bool:
    """Whether this system lets us have a SmallDisk."""
    if not (shutil.which("unshare") and shutil.which("nsenter")):
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            with SmallDisk(Path(folder), _PAGE) as disk:
                return subprocess.run([*disk.inside, "true"], check=False).returncode == 0
        except OSError:
            return False


def fill_up(pid: int, size: int) -> None:
    """From now on no file of a process may grow, or be written to, beyond ``size`` bytes.

    64 KiB stay in any case: the limit is for what it prints as well.
    """
    size = max(size, 64 << 10)
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))


def slow_writes(seed: int, most: float) -> Mapping[str, str]:
    """What the environment of a client must hold so that each write takes up to ``most`` seconds.

    Empty where it cannot be had.
    """
    library = compiled(_SOURCE)
    if library is None:
        return {}
    return {
        "LD_PRELOAD": library,
        "CHAOS_DISK_USEC": str(int(most * 1e6)),
        "CHAOS_DISK_SEED": str(seed % 1_000_000),
    }
