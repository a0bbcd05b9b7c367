"""One call of a command fails, or the command is killed at it: what is left, and does it go on?

A first run records the calls; each of them is then made to fail in a run of its own, in every way
that it may. A point that a run did not reach is tried again, and in the end counted apart.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.torture.recorder import KILL, SHORT, Call, Point, Recorder

_NO_ACCESS = (errno.EIO, errno.EACCES)
_CHANGE = (errno.EIO, errno.ENOSPC, errno.EACCES)
_TRANSFER = (errno.EIO, errno.EINTR, SHORT)
_NO_DESCRIPTOR = (errno.EMFILE,)
FAILURES: dict[str, Sequence[int]] = {
    "open": (*_NO_ACCESS, errno.EMFILE, errno.EINTR),
    "create": (*_CHANGE, errno.EMFILE, errno.EINTR),
    **dict.fromkeys(("read", "pread"), _TRANSFER),
    **dict.fromkeys(("write", "pwrite"), (errno.ENOSPC, *_TRANSFER)),
    **dict.fromkeys(("fsync", "fdatasync"), (errno.EIO, errno.ENOSPC, errno.EINTR)),
    "syncfs": (errno.EIO, errno.ENOSPC),
    **dict.fromkeys(("ftruncate", "fallocate"), (errno.EIO, errno.ENOSPC, errno.EINTR)),
    **dict.fromkeys(("rename", "link", "symlink", "unlink", "mkdir", "rmdir"), _CHANGE),
    **dict.fromkeys(("fchmod", "chmod", "futimens", "utimens", "stat"), _NO_ACCESS),
    "access": (errno.EACCES,),  # Python tells no other
    **dict.fromkeys(("fstat", "statvfs", "fstatvfs", "readlink", "readdir"), (errno.EIO,)),
    "opendir": (*_NO_ACCESS, errno.EMFILE),
    **dict.fromkeys(("close", "flock"), (errno.EIO, errno.EINTR)),
    **dict.fromkeys(
        ("socket", "socketpair", "accept", "dup", "pipe", "epoll_create", "eventfd"), _NO_DESCRIPTOR
    ),
    **dict.fromkeys(("bind", "listen"), (errno.EACCES,)),
    "connect": (errno.EACCES, errno.ECONNREFUSED),
    **dict.fromkeys(("recv", "send", "sendfile"), (errno.ECONNRESET, errno.EINTR, SHORT)),
    "thread": (errno.EAGAIN,),
    "getaddrinfo": (errno.EIO, errno.EMFILE),
}
"""How each call fails; besides, the process is killed at it."""
_OF_OUR_OWN = ("unix", "anon_inode")
"""Between threads of one process: the system lets nothing but an interruption befall them."""
HARMLESS = (errno.EINTR, SHORT)
"""What no command may fail of, except in ``close``: Python does not call that again."""
CODES = frozenset((0, 1, 2, 3, 4, 5, 6, 130))
_KEPT = 6
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    code: int
    output: bytes
    errors: str
    flaws: Sequence[str] = ()
    """What whoever watched it has seen."""


class Work:
    """A command in a folder of its own: below ``d`` is what it makes."""

    name: str
    final: frozenset[str]
    """What stands below ``d`` when the command has succeeded, folders aside."""

    durable = True
    """Whether all is on the disk when the command has ended."""
    cached = False
    """Whether what it leaves is claimed only, and looked at before it is used."""
    stored: Sequence[str] = ()
    """What a client stores, in order: it is on the disk when that is acknowledged."""

    def __init__(self, name: str, final: Sequence[str], *, refuses: bool = False) -> None:
        """``refuses``: the same command again replaces nothing that is whole (exit code 6)."""
        self.name = name
        self.final = frozenset(final)
        self.refuses = refuses

    def prepare(self, folder: Path) -> None:
        """Make what stands there before."""

    @abstractmethod
    def run(
        self, recorder: Recorder, folder: Path, point: Point | None, *, record: bool = False
    ) -> Outcome:
        """Carry it out, with one call failing, or recorded."""

    @abstractmethod
    def wrong(self, folder: Path, outcome: Outcome) -> str:
        """What is wrong with what stands under final names; empty: nothing."""

    def unknown(self, folder: Path, *, done: bool) -> str:
        """Files of other names than documented."""
        found = {str(p.relative_to(folder / "d")) for p in folder.glob("d/**/*") if not p.is_dir()}
        found = {name for name in found if done or ".regather-" not in name}
        left = [*(found - self.final), *os.listdir(folder / "tmp")]
        if done:
            left += [f"(not there) {name}" for name in self.final - found]
        return f"other names: {sorted(left)}" if left else ""


def environment(folder: Path) -> dict[str, str]:
    """That of a command: nothing of the user's, and temporary files where they are seen."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    home = str(folder / "home")
    return {**kept, "HOME": home, "XDG_STATE_HOME": home, "TMPDIR": str(folder / "tmp")}


def afresh(work: Work, folder: Path) -> None:
    """An empty folder, and what stands there before the command."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("d", "home", "tmp"):
        (folder / name).mkdir(parents=True)
    work.prepare(folder)


def recorded(work: Work, recorder: Recorder, folder: Path) -> tuple[str, list[Call]]:
    """What is wrong without any failure, and the calls that were made."""
    afresh(work, folder)
    outcome = work.run(recorder, folder, None, record=True)
    calls = recorder.calls()
    return _whole(work, folder, outcome), calls


def whole_again(work: Work, folder: Path, outcome: Outcome) -> str:
    """What is wrong after the same command was carried out again."""
    if work.refuses and outcome.code == _KEPT:
        outcome = replace(outcome, code=0)
    flaw = _whole(work, folder, outcome)
    return flaw and f"the same command again: {flaw}"


def _whole(work: Work, folder: Path, outcome: Outcome) -> str:
    if outcome.code or outcome.flaws:
        return f"exit code {outcome.code}: {outcome.errors!r} {outcome.flaws}"
    return work.wrong(folder, outcome) or work.unknown(folder, done=True)


def tried(work: Work, recorder: Recorder, folder: Path, point: Point) -> tuple[bool, str]:
    """Whether the point was reached, and what is wrong then."""
    for _ in range(_TRIES):
        afresh(work, folder)
        try:
            outcome = work.run(recorder, folder, point)
            fired = recorder.fired
            flaw = _flaw(work, folder, point, outcome)
            if fired and not flaw:
                again = work.run(recorder, folder, None)
                flaw = whole_again(work, folder, again)
        except subprocess.TimeoutExpired:
            return True, "hangs"
        if fired or flaw:
            return fired, flaw
    return False, ""


def _flaw(work: Work, folder: Path, point: Point, outcome: Outcome) -> str:
    lines = [line for line in outcome.errors.splitlines() if line.startswith("regather")]
    flaws = list(outcome.flaws)
    killed = point.action == KILL and outcome.code == -9
    if outcome.code not in CODES and not killed:
        flaws.append(f"exit code {outcome.code}")
    if "Traceback" in outcome.errors:
        flaws.append("a traceback")
    if outcome.code and not (lines or outcome.output) and not killed:
        flaws.append(f"exit code {outcome.code} and not a word")
    if outcome.code and point.action in HARMLESS and point.name != "close":
        flaws.append(f"exit code {outcome.code} though nothing failed")
    if outcome.code == 2 and point.action in (errno.EIO, errno.EMFILE):
        flaws.append("the user is blamed")
    if any(": none" in line.lower() for line in lines):
        flaws.append("says None")
    flaws += filter(None, [work.wrong(folder, outcome), work.unknown(folder, done=False)])
    return "; ".join(flaws) and f"{'; '.join(flaws)}: {outcome.errors[-2000:]!r}"


def points(calls: Sequence[Call]) -> Iterator[Point]:
    """Every call in every way that it may fail."""
    counts: Counter[tuple[str, str]] = Counter()
    for call in calls:
        counts[call.name, call.key] += 1
        ways = list(FAILURES[call.name])
        if call.key in _OF_OUR_OWN:
            ways = [way for way in ways if way == errno.EINTR and call.name != "close"]
        if call.key == "socket" and call.name == "close":
            ways = []  # Linux: nothing can fail
        for way in (*ways, KILL):
            yield Point(call.name, call.key, counts[call.name, call.key], way)
