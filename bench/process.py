"""Run a command, bounded in time, and say what it took."""

from __future__ import annotations

import compileall
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.model import Sample

ROOT = Path(__file__).resolve().parents[1]
_LAUNCHER = Path(__file__).with_name("launch.py")
_OUTPUT_KEPT = 2000


def environment() -> dict[str, str]:
    """Return the environment of every measured command: ours, without proxies."""
    kept = {name: text for name, text in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"LC_ALL": "C.UTF-8"}


def compile_modules() -> None:
    """Make the bytecode of our modules, as installing them would: commands then start alike."""
    for folder in ("src", "bench"):
        compileall.compile_dir(ROOT / folder, quiet=1)


class Running:
    """A command under way. Leave it by ``wait`` or ``stop``: both end everything it started."""

    def __init__(self, command: Sequence[str]) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._report, theirs = os.pipe()
        try:
            self._launcher = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LAUNCHER), str(theirs), *command],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=(theirs,),
                start_new_session=True,
                cwd=ROOT,
                env=environment(),
            )
        finally:
            os.close(theirs)
        self._received = b""
        try:
            first = self._line(time.monotonic() + 30)
        except BaseException:
            self.stop()
            raise
        self.pid: int | None = first["pid"] if first else None
        """The command's own process; None where it could not be started."""
        self.started: float = first["started"] if first else time.monotonic()
        """When it was started, by ``time.monotonic()``."""

    def _line(self, deadline: float) -> dict[str, Any] | None:
        while b"\n" not in self._received:
            readable, _, _ = select.select(
                [self._report], [], [], max(0, deadline - time.monotonic())
            )
            received = os.read(self._report, 4096) if readable else b""
            if not received:
                return None
            self._received += received
        line, _, self._received = self._received.partition(b"\n")
        parsed: dict[str, Any] = json.loads(line)
        return parsed

    def wait(self, limit: float) -> Sample:
        """Wait for the end, ``limit`` seconds from now at most."""
        try:
            result = self._line(time.monotonic() + limit) if self.pid is not None else None
        finally:
            late = self._launcher.poll() is None
            self.stop()
        self._output.seek(max(0, self._output.seek(0, os.SEEK_END) - _OUTPUT_KEPT))
        output = self._output.read().decode("utf-8", "replace").strip()
        self._output.close()
        last = output.splitlines()[-1] if output else "it said nothing"
        if result is None:
            why = f"no end within {limit:g} s" if self.pid and late else f"no start: {last}"
            return Sample(wall=limit, cpu=0, peak_rss=0, output=output, problem=why)
        code = result.pop("code")
        return Sample(**result, output=output, problem=f"exit code {code}: {last}" if code else "")

    @property
    def ended(self) -> bool:
        """Whether the command has ended by itself."""
        return self._launcher.poll() is not None

    def stop(self) -> None:
        """End the command and all it started, at once; nothing where it has ended."""
        if self._launcher.poll() is None:
            try:  # its session is its own, so the group holds nothing else
                os.killpg(self._launcher.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._launcher.wait()
        if self._report >= 0:
            os.close(self._report)
            self._report = -1


def measure(command: Sequence[str], *, limit: float) -> Sample:
    """Run ``command`` to its end, ``limit`` seconds at most, and return what it took."""
    return Running(command).wait(limit)
