"""Notices requests that a gateway has caused itself, by way of others (RFC 8586).

Each gateway has an id of its own; an address would not do, for it may stand for several. What is
fetched for a file carries the ids of all gateways that lately asked for it, directly or through
others. So a gateway that finds its own id is its own source.
"""

from __future__ import annotations

import secrets
import time

from aiohttp import web

HEADER = "CDN-Loop"
_MOST_IDS = 64
_SECONDS = 60.0
"""How long an id is passed on after the last request with it."""


def new_id() -> str:
    """An id that no other gateway has."""
    return f"regather-{secrets.token_hex(8)}"


class LoopGuard:
    """For one file of one gateway."""

    def __init__(self, own: str) -> None:
        """``own`` is the id of the gateway."""
        self.own = own
        self._seen: dict[str, float] = {}

    def is_loop(self, request: web.BaseRequest) -> bool:
        """Whether a request comes from this gateway; takes note of whom it comes from."""
        fields = ",".join(request.headers.getall(HEADER, ()))
        ids = {part.partition(";")[0].strip(" \t") for part in fields.split(",")} - {""}
        if self.own in ids:
            return True
        now = time.monotonic()
        self._seen = {n: at for n, at in self._seen.items() if now - at < _SECONDS}
        for name in ids:
            fits = name in self._seen or len(self._seen) < _MOST_IDS
            if name.isascii() and name.isprintable() and fits:
                self._seen[name] = now
        return False

    def header(self) -> str:
        """What requests to sources carry. For any thread."""
        now = time.monotonic()
        lately = [name for name, at in list(self._seen.items()) if now - at < _SECONDS]
        return ", ".join((self.own, *lately))
