"""A publisher with a key, readers who trust it, and a server that counts what it is asked."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import regather
from regather.sources.signing import sign
from regather.trust.secret_key import SecretKey
from tests.support.files import random_file
from tests.support.rogue import Rogue


@dataclass
class Publisher:
    """Whoever signs: files below ``folder``, each split and signed in a folder of its own."""

    folder: Path
    key: SecretKey = field(default_factory=SecretKey.new)

    @property
    def public(self) -> str:
        """The key that readers trust."""
        return self.key.public.line

    def publish(
        self, name: str = "a.bin", *, seed: int = 1, version: int | None = 1, place: str = "at"
    ) -> Path:
        """Split a file of that name; returns the path of its manifest. No version: unsigned."""
        self.folder.mkdir(exist_ok=True)
        source = random_file(self.folder / name, 5000, seed)
        regather.split(source, self.folder / place, force=True)
        path = self.folder / place / f"{name}.regather.json"
        if version is not None:
            sign(path, self.key, version)
        return path


class Folder(Rogue):
    """Serves a folder, and notes the paths that are asked for; ``headers`` and moves by path."""

    def __init__(
        self,
        root: Path,
        *,
        moved: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        before: Callable[[str], None] | None = None,
    ) -> None:
        self.paths: list[str] = []

        def answer(head: bytes, connection: socket.socket) -> None:
            method, path, *_ = head.decode("latin-1").split(" ")
            self.paths.append(path)
            if before is not None:
                before(path)
            if moved is not None and path in moved:
                connection.sendall(
                    f"HTTP/1.1 302 Found\r\nLocation: {moved[path]}\r\nContent-Length: 0\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
                return
            more = (headers or {}).get(path, "")
            try:
                body, status = (root / unquote(path).lstrip("/")).read_bytes(), "200 OK"
            except OSError:
                body, status = b"", "404 Not Found"
            start = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}"
            connection.sendall(start.encode() + b"Connection: close\r\n\r\n")
            if method != "HEAD":
                connection.sendall(body)

        super().__init__(answer)

    @property
    def content(self) -> list[str]:
        """What was asked for beside manifests and signatures."""
        return [p for p in self.paths if not p.endswith((".regather.json", ".minisig"))]
