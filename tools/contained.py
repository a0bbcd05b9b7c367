"""``python -m tools.contained COMMAND`` runs it, and ends every process that it leaves behind.

A test that is killed, by a time-out for instance, cannot stop the servers that it has started. On
Linux they become children of this process, which kills them after the command has ended. Elsewhere
only those in the command's own session are found.

The command gets SIGINT in its usual state, also where this process was started with it ignored, as
background jobs of a script are. The first signal interrupts the command; the second kills it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

_PR_SET_CHILD_SUBREAPER = 36
_GRACE = 3.0
"""Seconds that processes get to end by themselves after the command has ended."""


def main(command: Sequence[str]) -> int:
    """Run ``command``; return its exit code."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []
    signalled = 0

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal signalled
        if number == signal.SIGINT and ignored:
            return
        if process is None:  # the command may run already, and its caller know it
            early.append(number)
            return
        signalled += 1
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGINT if signalled == 1 else signal.SIGKILL)

    # A signal that is handled here has its default action in the command.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    process = subprocess.Popen(command, start_new_session=True)
    while early:
        end(early.pop(), None)
    status = 0
    while True:  # orphans end here too, and would stay as zombies
        pid, ended = os.wait()
        if pid == process.pid:
            status = os.waitstatus_to_exitcode(ended)
            break
    for left in _end_the_rest(process.pid):
        print(f"left behind and ended: {left}", file=sys.stderr)
    return status if status >= 0 else 128 - status


def _end_the_rest(session: int) -> list[str]:
    """Kill what is left of the command; return the command lines."""
    if sys.platform != "linux":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(session, signal.SIGKILL)
        return []
    until, found = time.monotonic() + _GRACE, list[str]()
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        children = _children()
        if not children:
            return found
        if time.monotonic() >= until:
            # Their own children become ours, and are killed in the next round.
            for pid in children:
                with contextlib.suppress(OSError):
                    line = Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
                    found.append(f"{pid} {' '.join(line.split(chr(0)))}")
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _children() -> list[int]:
    """The processes whose parent is this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name of the program, in brackets, may hold anything.
            fields = path.read_text("latin-1").rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                found.append(int(path.parent.name))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
