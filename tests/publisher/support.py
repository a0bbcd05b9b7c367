"""Servers that take files, each in a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import regather
from regather.server.authorization import Tokens
from regather.server.run import Server
from regather.server.writing import Limits
from tests.support.files import random_file
from tests.support.hosting import Hosting

SECRET = "write-secret"
SIZE = 5_000_011
SETTINGS = regather.Settings(
    retries=1, timeout=5, connect_timeout=2, tokens={"127.0.0.1": SECRET}, connections=2
)


@dataclass
class Cloud:
    """A file, and servers to publish it to."""

    root: Path
    hosting: Hosting
    servers: list[Server]

    @property
    def file(self) -> Path:
        return self.root / "file.bin"

    @property
    def urls(self) -> list[str]:
        return [s.url for s in self.servers]

    def folder(self, number: int) -> Path:
        return self.root / f"store{number}"

    def names(self, number: int) -> list[str]:
        """All there is, hidden files included."""
        return sorted(os.listdir(self.folder(number)))

    def add(self, *, limits: Limits | None = None, faults: Sequence[str] = ()) -> Server:
        number = len(self.servers)
        self.folder(number).mkdir(exist_ok=True)
        server = self.hosting.serve(
            self.folder(number), tokens=Tokens(write=SECRET), limits=limits, faults=faults
        )
        self.servers.append(server)
        return server

    def kill(self, number: int) -> None:
        self.hosting.kill(self.servers[number])

    def revive(self, number: int) -> None:
        self.servers[number] = self.hosting.serve(
            self.folder(number), tokens=Tokens(write=SECRET), port=self.servers[number].port
        )

    def check(self, report: regather.PublishReport | str, name: str = "copy.bin") -> None:
        """Get the file, and compare it."""
        manifest = report if isinstance(report, str) else report.manifests[0]
        servers = [] if manifest.startswith("http") else [str(Path(manifest).parent)]
        copy = self.root / name
        regather.download(manifest, copy, servers=servers, force=True, settings=SETTINGS)
        assert copy.read_bytes() == self.file.read_bytes()


def make_cloud(root: Path, hosting: Hosting, count: int, size: int = SIZE) -> Cloud:
    cloud = Cloud(root, hosting, [])
    random_file(cloud.file, size)
    for _ in range(count):
        cloud.add()
    return cloud
