"""Run one command and report what it took: ``python -I -S launch.py FD COMMAND…``.

A process of its own because Linux counts, in a child's peak memory, the memory of whoever
spawned it: the benchmark's own would drown a small tool's. This one is as small as Python gets
(the peak memory of smaller tools is therefore shown as about 10 MiB).

Writes two lines of JSON to the file descriptor FD: ``{"pid", "started"}`` at the start and
``{"code", "wall", "cpu", "peak_rss"}`` at the end; seconds and bytes; ``started`` is
CLOCK_MONOTONIC, which all processes share. The command's children count as far as it waited
for them.
"""

import json
import os
import signal
import sys
import time


def main() -> None:
    """Run the command of ``sys.argv`` and report."""
    report = int(sys.argv[1])
    command = sys.argv[2:]
    os.set_inheritable(report, False)
    started = time.monotonic()
    pid = os.posix_spawnp(
        command[0], command, os.environ, setsigdef=[signal.SIGPIPE, signal.SIGXFSZ]
    )
    os.write(report, (json.dumps({"pid": pid, "started": started}) + "\n").encode())
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - started
    result = {
        "code": os.waitstatus_to_exitcode(status),
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_rss": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }
    os.write(report, (json.dumps(result) + "\n").encode())


if __name__ == "__main__":
    main()
