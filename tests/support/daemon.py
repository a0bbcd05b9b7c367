"""A server of somebody else's in the foreground: started, frozen, killed, with all its children."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

import pytest

from tests.support.net import HOST, PATIENCE, free_port, is_alive, is_listening, wait_until

_ATTEMPTS = 5


def find_program(name: str) -> str | None:
    """The path of a program, also of those that only root has in its PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


class Daemon(ABC):
    """Runs while the ``with`` body does, on a free port; ``prefix`` is a folder of its own."""

    program = ""
    package = ""

    def __init__(self, host: str = HOST, port: int = 0) -> None:
        self.host = host
        self.port = port
        self._any_port = not port
        self.prefix = Path()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self, program: str) -> list[str]:
        """Write the configuration into ``prefix``; return what to run."""

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self.prefix / "log").read_text("utf-8", "replace")

    def __enter__(self) -> Self:
        program = find_program(self.program)
        if program is None:
            pytest.skip(f"{self.program} is missing: apt-get install {self.package}")
        for left in reversed(range(_ATTEMPTS)):
            if self._any_port:
                self.port = free_port()
            self.prefix = Path(tempfile.mkdtemp(prefix=f"{self.program}-"))
            try:
                self._launch(program)
                return self
            except RuntimeError:
                self.kill()
                if not left:
                    raise
        raise AssertionError("not reached")

    def _launch(self, program: str) -> None:
        command = self.command(program)
        with (self.prefix / "log").open("ab") as log:
            self._process = process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

        def ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"it exited with {process.returncode}: {self.log}")
            return is_listening(self.port, self.host)

        wait_until(ready, what=f"a listening {self.program}")

    def freeze(self) -> None:
        """Stop it and all its children in their tracks; their connections stay."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it and all its children without a word; returns when their sockets are closed."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)  # lest it have a child that is not seen
            family = self._family(self._process.pid)
            self._signal(signal.SIGKILL)
            self._process.wait(PATIENCE)
            self._process = None
            # A child that is still dying would accept connections: it has what its parent listened
            # on, too.
            wait_until(lambda: not any(map(is_alive, family)), what="the end of its children")
        shutil.rmtree(self.prefix, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        for pid in self._family(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _family(self, pid: int) -> list[int]:
        """A process and its descendants: some make sessions of their own."""
        found = [pid]
        for task in Path(f"/proc/{pid}/task").glob("*"):
            with contextlib.suppress(OSError):
                for child in (task / "children").read_text("ascii").split():
                    found += self._family(int(child))
        return found

    def __exit__(self, *_: object) -> None:
        self.kill()
