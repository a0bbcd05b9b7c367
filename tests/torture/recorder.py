"""Runs commands of ours with their calls of the system recorded, or one of the calls failing.

The commands are forked by a process that has preloaded ``calls.c``, which begins to count right
before the command's main function: no point is one of the start of Python.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import forked
from tests.support.preload import compiled
from tests.torture import child

SOURCE = Path(__file__).with_name("calls.c")
SHORT, KILL = -1, -2
"""What may befall a call, apart from the number of an error: as in ``calls.c``."""
_SECONDS = 120.0
_HEAD = struct.Struct("=IIiiqqQQHHHHIxxxx")
_STATE = struct.Struct("=IIII")
_ROOT = Path(__file__).parents[2]
_IGNORED = [sys.prefix, sys.base_prefix, str(_ROOT / "src"), str(_ROOT / "tests")]
"""Files of Python and of the program itself."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call, as it was made."""

    name: str
    target: str
    """The path, or what the descriptor is: ``socket``, ``pipe``."""
    key: str
    """The target, the same in each run."""
    other: str
    """Of a rename or a link: what the target stands for then."""
    data: bytes
    """That was written."""
    result: int
    error: int
    created: bool
    """Whether an open made the file."""
    began: int
    """How many calls had ended when this one began."""
    offset: int
    length: int
    """An argument: the size of ftruncate, the flags of open."""
    inode: int


@dataclass(frozen=True, slots=True)
class Point:
    """A call that fails: which of all of its name and target, and how."""

    name: str
    key: str
    nth: int
    action: int

    def __str__(self) -> str:
        what = {SHORT: "short", KILL: "SIGKILL"}.get(self.action) or errno.errorcode[self.action]
        return f"{self.name} {self.key} {self.nth} {what}"


class Recorder:
    """Forks commands; use as a context manager. ``folder`` holds the logs."""

    def __init__(self, folder: Path) -> None:
        library = compiled(SOURCE)
        assert library is not None, "no C compiler (Debian: apt-get install gcc)"
        self._forker = forked.Forker(child.__name__, {"LD_PRELOAD": library})
        self._log = folder / "calls.log"
        self._state = folder / "calls.state"

    def run(
        self,
        arguments: Sequence[str],
        environment: dict[str, str],
        point: Point | None = None,
        *,
        record: bool = False,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end. Raises subprocess.TimeoutExpired."""
        return forked.run_bytes(
            arguments,
            environment=self.armed(environment, point, record=record),
            timeout=_SECONDS,
            forker=self._forker,
        )

    def start(
        self,
        arguments: Sequence[str],
        environment: dict[str, str],
        point: Point | None,
        files: tuple[int, int],
        *,
        record: bool = False,
    ) -> forked.Command:
        """Start a command with these files as its output and errors."""
        return forked.Command(
            arguments,
            stdin=0,
            stdout=files[0],
            stderr=files[1],
            environment=self.armed(environment, point, record=record),
            forker=self._forker,
        )

    def armed(
        self, environment: dict[str, str], point: Point | None, *, record: bool
    ) -> dict[str, str]:
        """The environment of a command that is recorded, or in which this point fails."""
        environment = environment | {
            name: value for name, value in self._forker.environment.items() if name == "LD_PRELOAD"
        }
        if point is None and not record:
            return environment
        self._log.write_bytes(b"")
        self._state.write_bytes(bytes(mmap.PAGESIZE))
        key, nth, action = "", 0, 0
        if point is not None:
            key, nth, action = f"{point.name} {point.key}", point.nth, point.action
        log = str(self._log) if record else ""
        armed = [str(self._state), log, ":".join(_IGNORED), key, nth, action]
        return environment | {child.ARMED: json.dumps(armed)}

    @property
    def fired(self) -> bool:
        """Whether the point of the last run was reached."""
        return bool(_STATE.unpack_from(self._state.read_bytes())[3])

    def calls(self) -> list[Call]:
        """What the last run recorded, in the order in which the calls ended."""
        return list(_calls(self._log.read_bytes()))

    def close(self) -> None:
        """End the process that forks."""
        self._forker.end()


def _calls(log: bytes) -> Iterator[Call]:
    at = 0
    while at < len(log):
        head = _HEAD.unpack_from(log, at)
        size, began, error, created, result, offset, length, inode, *sizes = head
        texts, start = [], at + _HEAD.size
        for part in sizes[:4]:
            texts.append(os.fsdecode(log[start : start + part]))
            start += part
        data = log[start : start + sizes[4]]
        name, target, key, other = texts
        yield Call(
            *(name, target, key, other, data, result, error, bool(created)),
            *(began, offset, length, inode),
        )
        at += size
