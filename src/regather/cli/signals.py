"""Ends that are asked for politely, all of which are handled as Ctrl-C is."""

from __future__ import annotations

import signal

__all__ = ["end_politely"]


def end_politely() -> None:
    """Let SIGTERM, and SIGHUP unless ``nohup`` has it ignored, end this process as Ctrl-C does.

    So what is under way is cleared away, and the same state is left.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)
