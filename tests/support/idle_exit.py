"""Run a script, and end the process once its other threads rest: ``idle_exit.py SCRIPT [ARG...]``.

pyarrow's threads drop their last references to a Python file after its call has returned. Before
Python 3.14, a thread that wants the interpreter while that ends is killed, which C++ takes for a
reason to abort: "terminate called without an active exception" (apache/arrow, issue 33975). It does
so with any Python file: with one over a local file in 3 of 100 runs, which uses nothing of ours.
"""

from __future__ import annotations

import runpy
import sys
import threading
import time
from pathlib import Path

_TASKS = Path("/proc/self/task")


def others_rest() -> bool:
    """Whether no thread but this one is running, as far as the system tells."""
    own = str(threading.get_native_id())
    for task in _TASKS.iterdir() if _TASKS.is_dir() else ():
        try:
            state = (task / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # it has ended
        if task.name != own and state == "R":
            return False
    return True


def main() -> None:
    """Run the script and wait."""
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
    resting = 0
    while resting < 3:
        time.sleep(0.01)  # lets go of the interpreter, which they may be waiting for
        resting = resting + 1 if others_rest() else 0


if __name__ == "__main__":
    main()
