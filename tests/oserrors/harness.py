"""Commands run in this process, of which one call of the operating system fails.

A first run counts the calls; then each of them can be made to fail in a run of its own.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import fcntl
import io
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regather.cli import main

CALLS: tuple[tuple[Any, str], ...] = (
    *((os, name) for name in ("open", "dup", "close", "stat", "lstat", "fstat", "fstatvfs")),
    *((os, name) for name in ("pread", "preadv", "readv", "pwrite", "write", "ftruncate")),
    *((os, name) for name in ("posix_fallocate", "fsync", "rename", "replace", "link", "unlink")),
    *((os, name) for name in ("mkdir", "rmdir", "scandir", "listdir", "utime", "fchmod")),
    *((os, name) for name in ("readlink", "symlink", "chmod")),
    (fcntl, "flock"),
    (io, "open"),
    (builtins, "open"),
    (socket, "socket"),
    (socket, "getaddrinfo"),
    (threading.Thread, "start"),
)
ERRNOS = (errno.EIO, errno.EMFILE, errno.ESTALE, errno.EACCES, errno.ENOSPC)
CODES = {0, 1, 2, 3, 4, 5, 6, 130}


@dataclass(frozen=True, slots=True)
class Point:
    """A call that fails: which of all of its name, and how."""

    call: str
    nth: int
    number: int

    def __str__(self) -> str:
        return f"{self.call} {self.nth} {errno.errorcode[self.number]}"


@contextlib.contextmanager
def failing(point: Point | None) -> Iterator[Counter[str]]:
    """Let one call fail; counts them all."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def wrapped(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with lock:
                counts[name] += 1
                mine = counts[name]
            if point is None or (name, mine) != (point.call, point.nth):
                return real(*arguments, **options)
            if name == "os.close":  # Linux has closed it all the same
                real(*arguments, **options)
            if name == "Thread.start":
                raise RuntimeError("can't start new thread")
            told: list[Any] = [point.number, os.strerror(point.number)]
            if arguments and isinstance(arguments[0], str | os.PathLike):
                told.append(os.fspath(arguments[0]))
            raise OSError(*told)

        return call

    class Socket(socket.socket):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            if options.get("fileno") is None and len(arguments) < 4:
                wrapped("socket.socket", lambda: None)()
            super().__init__(*arguments, **options)

    saved = [(owner, name, getattr(owner, name)) for owner, name in CALLS]
    try:
        for owner, name, real in saved:
            label = f"{getattr(owner, '__name__', owner)}.{name}"
            replaced = Socket if (owner, name) == (socket, "socket") else wrapped(label, real)
            if owner is threading.Thread:
                replaced = _method(wrapped(label, real))
            setattr(owner, name, replaced)
        yield counts
    finally:
        for owner, name, real in saved:
            setattr(owner, name, real)


def _method(call: Callable[..., Any]) -> Callable[..., Any]:
    def start(self: threading.Thread) -> Any:
        return call(self)

    return start


@dataclass(frozen=True, slots=True)
class Told:
    """How a command ended."""

    code: int
    output: str
    errors: str
    flaw: str = ""


def carry_out(arguments: list[str], point: Point | None) -> tuple[Told, Counter[str]]:
    """Run a command in this process, with its output kept."""
    out, err = io.StringIO(), io.StringIO()
    flaws: list[str] = []
    hook = threading.excepthook
    threading.excepthook = lambda args: flaws.append(f"a thread died of {args.exc_value!r}")
    code = -1
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            failing(point) as counts,
        ):
            try:
                code = main(arguments)
            except BaseException as error:
                flaws.append(f"raised {error!r}")
    finally:
        threading.excepthook = hook
    return Told(code, out.getvalue(), err.getvalue(), "; ".join(flaws)), counts


@dataclass(frozen=True, slots=True)
class Work:
    """A command, made for a fresh folder, and what may stand there afterwards."""

    name: str
    arguments: Callable[[Path], list[str]]
    wrong: Callable[[Path, int], str]
    """What is wrong with what stands in the folder after that exit code; empty: nothing."""


def flaw_of(work: Work, folder: Path, point: Point | None) -> tuple[str, Counter[str]]:
    """Run it with one failing call; says what is wrong with how it ended."""
    folder.mkdir()
    told, counts = carry_out(work.arguments(folder), point)
    if told.flaw:
        return told.flaw, counts
    lines = [line for line in told.errors.splitlines() if line.startswith("regather")]
    if told.code not in CODES:
        return f"exit code {told.code}", counts
    if "Traceback" in told.errors:
        return "a traceback", counts
    if told.code and not lines:
        return f"exit code {told.code} and not a word: {told.errors!r}", counts
    here = point is not None and point.number in (errno.EIO, errno.ESTALE, errno.EMFILE)
    if told.code == 2 and here:
        return f"the user is blamed: {lines}", counts
    if told.code and any(": none" in line.lower() for line in lines):
        return f"says None: {lines}", counts
    return work.wrong(folder, told.code), counts


def points(counts: Counter[str], *, most: int | None = None) -> Iterator[Point]:
    """The points of a run: each call, or at most so many of one name, by each kind of error."""
    for call, count in sorted(counts.items()):
        step = 1 if most is None else max(1, -(-count // most))
        for nth in range(1, count + 1, step):
            numbers = ERRNOS if call != "Thread.start" else ERRNOS[:1]
            for number in numbers:
                yield Point(call, nth, number)
