"""Servers that are tormented while a client talks to them: ``serve`` that receives, ``gateway``."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
import tempfile
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.support.files import random_file
from tests.torture.harness import Outcome, Work, environment
from tests.torture.recorder import Point, Recorder

_SECONDS = 60.0
_TOKEN = "secret"
_STORED = (201, 204)
_CACHED = re.compile(r"cache/(?:cache\.lock|[0-9a-f]{64}-[0-9a-f]{16}/[0-9]+)")


class ServedWork(Work):
    """A server: started, asked by one client, and told to stop."""

    @abstractmethod
    def arguments(self, folder: Path) -> list[str]:
        """The command line."""

    @abstractmethod
    def talk(self, port: int) -> Iterator[str]:
        """Talk to it, and yield a line an answer; the same request again where it fails once."""

    def run(
        self, recorder: Recorder, folder: Path, point: Point | None, *, record: bool = False
    ) -> Outcome:
        """See Work.run."""
        reading, writing = os.pipe()
        told: list[str] = []
        flaws: list[str] = []
        with open(reading, "rb") as output, tempfile.TemporaryFile() as errors:
            with open(writing, "wb") as end:
                command = recorder.start(
                    self.arguments(folder),
                    environment(folder),
                    point,
                    (end.fileno(), errors.fileno()),
                    record=record,
                )
            watchdog = threading.Timer(_SECONDS, command.kill)
            watchdog.start()
            # Without a port it could not start, and says why.
            if port := json.loads(output.readline() or b"{}").get("port"):
                try:
                    told.extend(self.talk(port))
                except (OSError, http.client.HTTPException) as error:
                    flaws.append(f"fails twice: {error!r} after {told}")
                command.send_signal(signal.SIGTERM)
            code = command.wait(_SECONDS)
            if code == -signal.SIGKILL:
                flaws = [] if watchdog.is_alive() else ["hangs"]
            watchdog.cancel()
            errors.seek(0)
            text = errors.read().decode()
        return Outcome(code, "\n".join(told).encode(), text, flaws)


def _twice(ask: Callable[[], str]) -> str:
    """What it returns; once more where it raises."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return ask()
    return ask()


@contextlib.contextmanager
def _connected(port: int) -> Iterator[http.client.HTTPConnection]:
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    ) as connection:
        yield connection


class ReceivingWork(ServedWork):
    """``serve`` that gets a new file in new folders, and one for an older file."""

    def __init__(self, base: Path) -> None:
        self.stored = ["store/new/deep/a.bin", "store/old.bin"]
        super().__init__("serve, receiving", self.stored)
        self._token = base / "token.txt"
        self._token.write_text(_TOKEN)
        self._new = random_file(base / "put.bin", 150_000, seed=3).read_bytes()
        self._old = b"older" * 1000

    def prepare(self, folder: Path) -> None:
        """See Work.prepare."""
        (folder / "d" / "store").mkdir()
        (folder / "d" / "store" / "old.bin").write_bytes(self._old)

    def arguments(self, folder: Path) -> list[str]:
        """See ServedWork.arguments."""
        store = str(folder / "d" / "store")
        return ["serve", store, "--write-token", str(self._token), "--port", "0", "--json"]

    def talk(self, port: int) -> Iterator[str]:
        """See ServedWork.talk."""
        for name in ("new/deep/a.bin", "old.bin"):
            yield f"{_twice(lambda name=name: self._put(port, name))} {name}"  # type: ignore[misc]

    def _put(self, port: int, name: str) -> str:
        digest = base64.b64encode(hashlib.sha256(self._new).digest()).decode()
        headers = {
            "Authorization": f"Bearer {_TOKEN}",
            "Content-Digest": f"sha-256=:{digest}:",
        }
        with _connected(port) as connection:
            connection.request("PUT", f"/{name}", self._new, headers)
            answer = connection.getresponse()
            answer.read()
        if answer.status not in _STORED:
            raise http.client.HTTPException(f"{answer.status} to PUT {name}")
        return str(answer.status)

    def wrong(self, folder: Path, outcome: Outcome) -> str:
        """What was acknowledged is there; else the old file or the new one."""
        acknowledged = {line.split()[1] for line in outcome.output.decode().splitlines()}
        for name, old in (("new/deep/a.bin", None), ("old.bin", self._old)):
            path = folder / "d" / "store" / name
            found = path.read_bytes() if path.exists() else None
            if found != self._new and (name in acknowledged or found != old):
                return f"{name} is not what was sent"
        return ""


class GatewayWork(ServedWork):
    """``gateway`` with a cache on the disk, asked twice for a whole file."""

    cached = True

    def __init__(self, manifest: str, content: bytes) -> None:
        super().__init__("gateway", [])
        self._manifest = manifest
        self._content = content

    def arguments(self, folder: Path) -> list[str]:
        """See ServedWork.arguments."""
        cache = str(folder / "d" / "cache")
        return ["gateway", self._manifest, "--cache", cache, "--port", "0", "--json"]

    def talk(self, port: int) -> Iterator[str]:
        """See ServedWork.talk."""
        for _ in range(2):
            yield _twice(lambda: self._get(port))

    def _get(self, port: int) -> str:
        with _connected(port) as connection:
            connection.request("GET", "/f.bin")
            answer = connection.getresponse()
            body = answer.read()
        if answer.status != 200:
            raise http.client.HTTPException(f"{answer.status} to GET")
        return "right" if body == self._content else "wrong"

    def wrong(self, folder: Path, outcome: Outcome) -> str:
        """See Work.wrong."""
        return "wrong bytes were sent" if b"wrong" in outcome.output else ""

    def unknown(self, folder: Path, *, done: bool) -> str:
        """See Work.unknown."""
        found = [str(p.relative_to(folder / "d")) for p in folder.glob("d/**/*") if p.is_file()]
        left = [name for name in found if not _CACHED.fullmatch(name)]
        left += os.listdir(folder / "tmp")
        return f"other names: {left}" if left else ""


def served(base: Path, manifest: str, content: bytes) -> Sequence[Work]:
    """All of them."""
    return [ReceivingWork(base), GatewayWork(manifest, content)]
