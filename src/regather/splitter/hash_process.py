"""The hash of a whole file, computed in a process of its own that maps the file into its memory.

A file that is mapped is not copied before it is hashed, which saves half of what hashing it costs.
But whoever reads such memory where the file has become shorter is killed (SIGBUS, see mmap(2)):
that must not be us, nor a program that uses us.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import blake3

_LEAST = 64 << 20
"""Bytes: with less the process costs more, to start, than it saves."""
_LOOK_MILLISECONDS = 100
_PROGRAM = """
import mmap, os, sys
sys.path.insert(0, sys.argv[1])
from blake3 import blake3
size, parent, window = int(sys.argv[2]), int(sys.argv[3]), 4 << 20
whole = blake3()
for start in range(0, size, window):
    if os.getppid() != parent:
        sys.exit(1)
    count = min(window, size - start)
    with mmap.mmap(0, count, mmap.MAP_SHARED, mmap.PROT_READ, offset=start) as mapped:
        with memoryview(mapped) as view:
            whole.update(view)
print(whole.hexdigest())
"""


def _is_python(program: str | None) -> bool:
    """Whether this is Python, and not a program that it is a part of: we would start that again."""
    return not getattr(sys, "frozen", False) and "python" in Path(program or "").name.lower()


def hash_apart(descriptor: int, size: int, stop: Callable[[], bool]) -> bytes | None:
    """BLAKE3 of the first ``size`` bytes of an open file, or None: then read it yourself.

    None where that would not pay, another process cannot be had or the file cannot be mapped, and
    where it has become shorter; also soon after ``stop``, asked ten times a second, says so.
    """
    if size < _LEAST or not _is_python(sys.executable):
        return None
    where = str(Path(blake3.__file__).parent.parent)
    command = [sys.executable, "-I", "-S", "-c", _PROGRAM, where, str(size), str(os.getpid())]
    try:
        process = subprocess.Popen(
            command, stdin=descriptor, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return None
    with process:
        assert process.stdout is not None
        told = select.poll()  # select() takes no descriptor above 1023
        told.register(process.stdout)
        while not told.poll(_LOOK_MILLISECONDS):
            if stop():
                process.kill()
        digest = process.stdout.read()
    return bytes.fromhex(digest.decode()) if process.returncode == 0 else None
