"""Tells systemd that a service is ready, alive or stopping (sd_notify), where it wants to know."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping

_MICROSECONDS = 10**6


class Notifier:
    """Sends states to the socket in NOTIFY_SOCKET; does nothing where there is none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        microseconds = environment.get("WATCHDOG_USEC", "")
        is_ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        limit = int(microseconds) if is_ours and microseconds.isdecimal() else 0
        self.interval = limit / 2 / _MICROSECONDS
        """Seconds between signs of life; 0 for none."""

    def send(self, *states: str) -> None:
        """Send states such as ``READY=1``. systemd's own failures are none of ours."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto("\n".join(states).encode(), self._address)

    async def keep_alive(self) -> None:
        """Send signs of life for ever: from the event loop, so that one that hangs sends none."""
        while self.interval:
            self.send("WATCHDOG=1")
            await asyncio.sleep(self.interval)
