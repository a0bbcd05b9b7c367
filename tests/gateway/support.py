"""A gateway over servers of ours, all on real sockets, and what clients get from it."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from regather.gateway.launch import GatewayServer, prepared
from regather.sources.settings import Settings
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE
from tests.support.small import Small

SETTINGS = Settings(timeout=10, connect_timeout=5, retries=2)


def started(
    hosting: Hosting,
    sources: Sequence[object],
    *,
    settings: Settings = SETTINGS,
    **options: Any,
) -> GatewayServer:
    """A gateway in the loop of the servers of a test."""
    return hosting.start(prepared([str(s) for s in sources], settings=settings, **options))


def content_of(part: Small) -> bytes:
    """The file, in one piece."""
    return b"".join(part.content[f.name] for f in part.manifest.fragments if f.kind == "data")


@dataclass(frozen=True)
class Got:
    """An answer, with as much of its body as came."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    whole: bool = True


def get(url: str, path: str = "", *, method: str = "GET", **headers: str) -> Got:
    """One request on a connection of its own; ``If_None_Match`` is ``If-None-Match``."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
    with closing(connection):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, f"/{path}", headers=named)
        answer = connection.getresponse()
        body, whole = b"", True
        try:
            while chunk := answer.read1(1 << 16):
                body += chunk
        except (http.client.IncompleteRead, ConnectionError) as error:
            whole = False
            body += getattr(error, "partial", b"")
        if method != "HEAD" and answer.length:
            whole = False
        return Got(answer.status, answer.headers, body, whole)


def asking(url: str, path: str, **headers: str) -> socket.socket:
    """A connection on which a request was sent, and nothing read."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), PATIENCE)
    lines = [f"GET /{path} HTTP/1.1", "Host: x", *(f"{k}: {v}" for k, v in headers.items())]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def eventually(what: Callable[[], bool]) -> bool:
    """Whether something is so before long."""
    until = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def received(gateway: GatewayServer) -> int:
    """Bytes that the sources of its only file sent."""
    (hosted,) = gateway.catalogue.files
    return sum(tally.received for tally in hosted.live.tallies) if hosted.live else 0
