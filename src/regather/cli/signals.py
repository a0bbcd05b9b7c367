"""Ends that are asked for politely, all of which are handled as Ctrl-C is."""

from __future__ import annotations

import signal


def end_politely() -> None:
    """Let SIGTERM, and SIGHUP unless ``nohup`` has it ignored, end this process as Ctrl-C does.

    So what is under way is cleared away, and the same state is left.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def ignore_ends() -> None:
    """Let no signal end this process any more: what happened is told.

    One that comes while the interpreter ends would change the exit code, or add a traceback.
    Raises KeyboardInterrupt where one came before: then call it again.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # First held back: one that came between two of the calls below would interrupt them.
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
