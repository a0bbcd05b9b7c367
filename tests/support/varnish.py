"""A real Varnish on loopback, with the configuration that a test gives."""

from __future__ import annotations

import shutil

import pytest

from tests.support.daemon import Daemon, find_program

needs_varnish = pytest.mark.skipif(
    not (find_program("varnishd") and shutil.which("cc")),  # it compiles its configuration
    reason="varnish is missing: apt-get install varnish gcc",
)


class Varnish(Daemon):
    """Caches in memory, as ``vcl`` says, while the ``with`` body runs."""

    program, package = "varnishd", "varnish"

    def __init__(self, vcl: str) -> None:
        super().__init__()
        self._vcl = vcl

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}:{self.port}/"

    def command(self, program: str) -> list[str]:
        """See Daemon.command."""
        (self.prefix / "test.vcl").write_text(self._vcl, encoding="utf-8")
        return [
            program, "-F", "-j", "none", "-n", str(self.prefix / "work"), "-T", "none",
            "-a", f"{self.host}:{self.port}", "-f", str(self.prefix / "test.vcl"),
            "-s", "malloc,256m",
        ]  # fmt: skip
