"""What a GET is answered with: a file, or anything else that has bytes and a version."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web

from regather.server.body import Outlet
from regather.server.preconditions import Version


class OtherAnswer(Exception):
    """There is nothing to send; ``response`` says why."""

    def __init__(self, response: web.Response) -> None:
        super().__init__(response.status)
        self.response = response


class Content(ABC):
    """What one response sends; whoever got it calls ``close``."""

    name: str
    version: Version
    headers: Mapping[str, str] = MappingProxyType({})
    """Sent with every answer about it, beside those that all have."""
    sha256: str = ""
    """The hash of all its bytes, in hexadecimal digits; empty where it is not known."""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.version.size

    async def ready(self, start: int, stop: int) -> None:  # noqa: B027
        """Wait until the first bytes of a range can be sent: nothing was sent yet.

        Raises OtherAnswer where that does not happen.
        """

    @abstractmethod
    async def send(self, outlet: Outlet, start: int, stop: int) -> None:
        """Send a range; raises as Outlet.send_file does."""

    @abstractmethod
    async def byte(self, at: int) -> bytes:
        """One byte of it; none where it has become too short."""

    @abstractmethod
    def close(self) -> None:
        """Free what it holds."""
