"""A command whose standard output is a pipe: a test reads as much as it wants, when it wants."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support import forked
from tests.support.files import without_progress
from tests.support.net import PATIENCE


class Piped:
    """A command that runs; use as a context manager."""

    def __init__(self, *arguments: str | Path, cwd: Path | None = None) -> None:
        self._told = tempfile.TemporaryFile()  # noqa: SIM115
        reading, writing = os.pipe()
        self.output = os.fdopen(reading, "rb", buffering=0)
        """Its standard output; close it to leave."""
        with open(os.devnull, "rb") as null:
            self.command = forked.Command(
                [*map(str, arguments)],
                stdin=null.fileno(),
                stdout=writing,
                stderr=self._told.fileno(),
                cwd=cwd,
            )
        os.close(writing)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.output.close()
        if error is not None:
            self.command.kill()
        self.command.wait(PATIENCE)
        self._told.close()

    def read(self, size: int) -> bytes:
        """So many bytes, fewer only at the end."""
        found = bytearray()
        while len(found) < size and (data := self.output.read(size - len(found))):
            found += data
        return bytes(found)

    def rest(self) -> bytes:
        """All that comes."""
        return self.output.readall() or b""

    def told_of(self, what: str) -> bool:
        """Whether it writes this on standard error before it ends."""
        while (over := self.command.poll()) is None or over >= 0:
            if what.encode() in os.pread(self._told.fileno(), 1 << 20, 0):
                return True
            if over is not None:
                return False
            time.sleep(0.02)
        return False

    def ended(self) -> tuple[int, str]:
        """Wait for the end; the exit code, and what it wrote on standard error."""
        code = self.command.wait(PATIENCE)
        self._told.seek(0)
        return code, without_progress(self._told.read().decode())


def piped(arguments: Sequence[str | Path]) -> tuple[bytes, int, str]:
    """Run a command to its end; its output, exit code, and what it wrote on standard error."""
    with Piped(*arguments) as running:
        return (running.rest(), *running.ended())
