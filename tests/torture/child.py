"""Forks the commands whose calls of the system are recorded: see ``recorder``."""

from __future__ import annotations

import ctypes
import json
import os

from tests.support import forked

ARMED = "TORTURE"
"""The variable that says what is recorded, and what fails."""


def arm() -> None:
    """In the child, right before the command."""
    armed = os.environ.pop(ARMED, "")
    os.environ.pop("LD_PRELOAD", None)
    if armed:
        arguments = [a.encode() if isinstance(a, str) else a for a in json.loads(armed)]
        ctypes.CDLL(None).torture_arm(*arguments)


if __name__ == "__main__":
    forked.main(arm)
