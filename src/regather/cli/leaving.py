"""The process ends at once: freeing every object first takes longer than a small download."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process with an exit code; exit handlers run, and what was printed is flushed.

    Threads that are no daemons are waited for.
    """
    mine = threading.current_thread()
    others = any(not thread.daemon for thread in threading.enumerate() if thread is not mine)
    if not others:
        atexit._run_exitfuncs()
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:  # tells of it, with a code of its own
            sys.exit(code)
        os._exit(code)
    sys.exit(code)
