"""Our own servers, as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.support.processes import end

from bench.process import ROOT, environment
from bench.tools import find_regather

_START_LIMIT = 60.0
_LONGEST_LINE = 64 << 10


class OwnProcess:
    """A command of ours that listens while the ``with`` body runs; ``url`` is its address."""

    def __init__(self, *arguments: str, log: Path | None = None) -> None:
        """``log`` gets a line for each request."""
        self.url = ""
        self._command = [find_regather() or "regather", *arguments, "--json"]
        self._command += ["--verbose"] if log else []
        self._log = log

    @property
    def peak_rss(self) -> int:
        """The most memory that it had, in bytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text("ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

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

    def __exit__(self, *_: object) -> None:
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
                    raise RuntimeError(f"regather: unexpected first line {first!r}")
                url: str = event["url"]
                return url.rstrip("/") + "/"
            if ended or time.monotonic() > deadline:
                self._errors.seek(0)
                why = self._errors.read().decode("utf-8", "replace").strip().splitlines()
                raise RuntimeError(f"regather did not start: {why[-1] if why else '-'}")
            time.sleep(0.01)

    def _stop(self) -> None:
        end(self._process)
        self._output.close()
        self._errors.close()


class BareGateway(OwnProcess):
    """The loop of ``bench.gateway_floor``, for one client."""

    def __init__(self, cache: Path, size: int, files: Sequence[str], port: int) -> None:
        super().__init__()
        words = ("-m", "bench.gateway_floor", str(port), str(cache), str(size), *files)
        self._command = [sys.executable, *words]


class OwnServer(OwnProcess):
    """``regather serve FOLDER``."""

    def __init__(
        self,
        folder: Path,
        *,
        fault: str = "",
        host: str = "127.0.0.1",
        write_token: Path | None = None,
        log: Path | None = None,
    ) -> None:
        """``write_token`` is a file with the token of those who may store files there."""
        how = ["--fault", fault] if fault else []
        how += ["--write-token", str(write_token)] if write_token else []
        super().__init__("serve", str(folder), "--host", host, "--port", "0", *how, log=log)


class OwnGateway(OwnProcess):
    """``regather gateway MANIFEST``."""

    def __init__(
        self, manifest: Path, servers: Sequence[str], *options: str, port: int = 0
    ) -> None:
        where = [word for url in servers for word in ("--server", url)]
        super().__init__("gateway", str(manifest), *where, "--port", str(port), *options)
