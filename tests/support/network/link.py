"""A link between two namespaces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.network.emulator import READY
from tests.support.network.line import LinkSettings
from tests.support.network.namespace import Namespace

_EMULATOR = "from tests.support.network.emulator import main; main()"
_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class End:
    """One end of a link: a device in a namespace."""

    namespace: Namespace
    device: str
    address: str
    peer: str
    """The address of the other end."""

    def down(self) -> None:
        """Take the device down, as a pulled plug does."""
        self.namespace.ip(f"link set {self.device} down")

    def up(self) -> None:
        """Take it up again."""
        self.namespace.up(self.device, self.address, self.peer)


class EmulatedLink:
    """A TUN device at each end, and a process of ours between them (see emulator.py)."""

    def __init__(self, first: End, second: End, settings: LinkSettings) -> None:
        self.ends = (first, second)
        self._settings = settings
        self.report: dict[str, Any] = {}
        """What the emulator says at the end: packets each way, CPU seconds, how late it was."""

    def __enter__(self) -> Self:
        fds: list[int] = []
        try:
            # One by one, so that those are closed that were made where the next one fails.
            fds.extend(end.namespace.tun(end.device, end.address, end.peer) for end in self.ends)
            told = json.dumps({"fds": fds, "settings": asdict(self._settings)})
            self._process = subprocess.Popen(
                [sys.executable, "-c", _EMULATOR, told],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=fds,
                cwd=_ROOT,
            )
            self._await()
        finally:
            for fd in fds:
                os.close(fd)
        return self

    def _await(self) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != READY.encode():
            self._process.wait(60)
            raise RuntimeError(f"the emulator did not start: exit code {self._process.returncode}")

    def __exit__(self, *of: object) -> None:
        try:
            said, _ = self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            said, _ = self._process.communicate()
        if said:
            self.report = json.loads(said)
