"""A real Varnish on loopback, with the configuration that a test gives."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support.net import HOST, free_port, is_listening, wait_until

MISSING = "varnish is missing: apt-get install varnish gcc"


def find_varnish() -> str | None:
    """The path of varnishd, or None where it is not installed, or cannot compile."""
    found = shutil.which("varnishd") or shutil.which("varnishd", path="/usr/sbin:/usr/local/sbin")
    return found if shutil.which("cc") else None


needs_varnish = pytest.mark.skipif(find_varnish() is None, reason=MISSING)


class Varnish:
    """Caches in memory, as ``vcl`` says, while the ``with`` body runs; ``url`` is its address."""

    def __init__(self, vcl: str) -> None:
        self._vcl = vcl
        self.url = ""

    def __enter__(self) -> Self:
        program = find_varnish()
        if program is None:
            raise FileNotFoundError(MISSING)
        self._folder = Path(tempfile.mkdtemp(prefix="varnish-"))
        (self._folder / "test.vcl").write_text(self._vcl, encoding="utf-8")
        port = free_port(HOST)
        with (self._folder / "log").open("wb") as log:
            self._process = process = subprocess.Popen(
                [
                    program, "-F", "-j", "none", "-n", str(self._folder / "work"), "-T", "none",
                    "-a", f"{HOST}:{port}", "-f", str(self._folder / "test.vcl"),
                    "-s", "malloc,256m",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

        def ready() -> bool:
            if process.poll() is not None:
                log = (self._folder / "log").read_text(encoding="utf-8", errors="replace")
                raise RuntimeError(f"varnishd exited with {process.returncode}: {log}")
            return is_listening(port, HOST)

        try:
            wait_until(ready, what="a listening Varnish")
        except BaseException:
            self._stop()
            raise
        self.url = f"http://{HOST}:{port}/"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
