"""Our own servers, as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.processes import end

from bench.process import ROOT, environment
from bench.tools import find_regather

_START_LIMIT = 20.0
_LONGEST_LINE = 64 << 10


class OwnServer:
    """``regather serve FOLDER`` while the ``with`` body runs; ``url`` is its address."""

    def __init__(
        self,
        folder: Path,
        *,
        fault: str = "",
        host: str = "127.0.0.1",
        write_token: Path | None = None,
        log: Path | None = None,
    ) -> None:
        """``write_token`` is a file with the token of those who may store files there.

        ``log`` gets a line for each request.
        """
        self.url = ""
        self._command = [find_regather() or "regather", "serve", str(folder)]
        self._command += ["--host", host]
        self._command += ["--port", "0", "--json", *(["--fault", fault] if fault else [])]
        self._command += ["--write-token", str(write_token)] if write_token else []
        self._command += ["--verbose"] if log else []
        self._log = log

    def __enter__(self) -> Self:
        self._output = tempfile.TemporaryFile()
        self._errors = self._log.open("w+b") if self._log else tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._errors,
            cwd=ROOT,
            env=environment(),
        )
        try:
            self.url = self._listening()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def kill(self) -> None:
        """Kill it without a word."""
        self._process.kill()
        self._process.wait()

    def _listening(self) -> str:
        deadline = time.monotonic() + _START_LIMIT
        while True:
            ended = self._process.poll() is not None
            # Not by seeking: its position is the server's too.
            said = os.pread(self._output.fileno(), _LONGEST_LINE, 0)
            first, complete, _ = said.partition(b"\n")
            if complete:
                event = json.loads(first)
                if event.get("event") != "listening":
                    raise RuntimeError(f"regather serve: unexpected first line {first!r}")
                url: str = event["url"]
                return url.rstrip("/") + "/"
            if ended or time.monotonic() > deadline:
                self._errors.seek(0)
                why = self._errors.read().decode("utf-8", "replace").strip().splitlines()
                raise RuntimeError(f"regather serve did not start: {why[-1] if why else '-'}")
            time.sleep(0.01)

    def _stop(self) -> None:
        end(self._process)
        self._output.close()
        self._errors.close()
