"""Libraries in C, compiled once, for processes that load them before the C library."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


@functools.cache
def compiled(source: Path) -> str | None:
    """The library made of ``source``, kept between runs; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    name = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"regather-{source.stem}-{os.getuid()}-{name}.so"
    if not library.exists():
        made = library.with_suffix(f".{os.getpid()}")
        options = ["-shared", "-fPIC", "-O1", "-w", "-fno-delete-null-pointer-checks"]
        command = [compiler, *options, "-o", str(made), str(source), "-ldl"]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            return None
        made.replace(library)
    return str(library)
