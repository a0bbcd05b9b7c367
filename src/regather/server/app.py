"""What answers requests: the server's own addresses, and files under all others."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11, hdrs, web

from regather._version import __version__
from regather.errors import reason
from regather.server.access_log import sign
from regather.server.answers import READING, RequestAnswers, target_of
from regather.server.authorization import Tokens
from regather.server.content import Content
from regather.server.faults import Fault
from regather.server.files import Root
from regather.server.known_hashes import KnownHashes
from regather.server.problem import problem
from regather.server.reply import WANTED_DIGEST
from regather.server.tallies import Tallied
from regather.server.threads import in_thread
from regather.server.writing import Limits, Writing

if TYPE_CHECKING:
    from regather.server.metrics import Exposition

_HOST = re.compile(
    r"(?:\[[0-9A-Za-z:.~!$&'()*+,;=_%-]*+\]|(?:[0-9A-Za-z._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*+)"
    r"(?::[0-9]*+)?"
)
INSTALL = "pip install 'prometheus-client>=0.22'"
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class BaseApplication(RequestAnswers):
    """Answers all requests, those for the server's own addresses too.

    There is no router: aiohttp's takes quadratic time for long paths.
    """

    cancels = False
    """Whether who answers a request is cancelled when its client leaves."""

    def __init__(
        self,
        *,
        faults: Sequence[Fault] = (),
        fault_seed: int = 0,
        tokens: Tokens | None = None,
    ) -> None:
        super().__init__(faults=faults, fault_seed=fault_seed, tokens=tokens)
        self.internal: dict[str, Handler] = {
            "/-/health": self._health,
            "/-/ready": self._ready,
            "/-/metrics": self._metrics,
        }
        """What answers GET and HEAD for the server's own addresses."""
        self.tallied: list[Tallied] = [self.state]
        """What ``/-/metrics`` collects."""
        self._exposition: Exposition | None = None

    @abstractmethod
    def check(self) -> None:
        """Raise OSError where what is served cannot be read now."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        target = target_of(request)
        with self.state.tallies.handling(request, self.kind_of(target)):
            if request.version.major != 1:
                # aiohttp would answer in the version of the request, whatever that is.
                request._cache["version"] = HttpVersion11
                response: web.StreamResponse = problem(
                    request, 505, "send the request with HTTP/1.1"
                )
                response.force_close()
            elif not _names_a_host(request):
                response = problem(request, 400, "the Host header must name one host")
                response.force_close()
            else:
                own = self.internal.get(target) if request.method in READING else None
                response = await (own or self.answer)(request)
            self.state.tallies.begun(request, response)
        sign(response)
        return response

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        """Send all tallies, to whoever may read."""
        if refusal := self._tokens.refusal(request, writing=False):
            return refusal
        if self._exposition is None:
            try:
                metrics = await in_thread(import_module, "regather.server.metrics")
            except ImportError:
                return problem(request, 501, f"metrics need prometheus-client: {INSTALL}")
            self._exposition = metrics.Exposition(self.tallied)
        body, kind = self._exposition.encode(request.headers.get(hdrs.ACCEPT, ""))
        headers = {hdrs.CACHE_CONTROL: "no-store", hdrs.CONTENT_TYPE: kind}
        return web.Response(body=body, headers=headers)

    async def _ready(self, request: web.BaseRequest) -> web.Response:
        """Say whether requests for files should come here; 503 where they should not."""
        line, status = "ready", 200
        if self.state.stopping.is_set():
            line, status = "stopping", 503
        else:
            try:
                self.check()
            except OSError as error:
                line, status = f"what is served cannot be read: {reason(error)}", 503
        headers = {hdrs.CACHE_CONTROL: "no-store"}
        return web.Response(status=status, text=f"{line}\n", headers=headers)

    async def _health(self, request: web.BaseRequest) -> web.Response:
        state = self.state
        return web.json_response(
            {
                "status": "stopping" if state.stopping.is_set() else "ok",
                "version": __version__,
                "uptime_seconds": round(state.elapsed, 3),
                "requests": state.requests,
                "bytes_sent": state.bytes_sent,
                "connections": state.count_connections(),
            },
            headers={hdrs.CACHE_CONTROL: "no-store"},
        )


class Application(BaseApplication):
    """Answers requests for what is in ``root``; ``limits`` say how much may be written."""

    def __init__(
        self,
        root: Root,
        *,
        faults: Sequence[Fault] = (),
        fault_seed: int = 0,
        tokens: Tokens | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(faults=faults, fault_seed=fault_seed, tokens=tokens)
        self._root = root
        self._listing = None if root.is_file else root.listing()
        self._hashes = None if root.is_file else KnownHashes(root)
        self._writing = None
        if root.is_file:
            self.no_writing = "a single file is served, uploads are not possible"
        elif self._tokens.write is None:
            self.no_writing = "to store files, start the server with --write-token FILE"
        else:
            self.no_writing = ""
            self._writing = Writing(root, limits or Limits())

    def check(self) -> None:
        """See BaseApplication.check."""
        self._root.check()

    def kind_of(self, target: str) -> str:
        """See RequestAnswers.kind_of."""
        is_list = target == "/" and self._listing is not None
        return "listing" if is_list else super().kind_of(target)

    async def find(self, request: web.BaseRequest, target: str) -> Content | web.StreamResponse:
        """See RequestAnswers.find."""
        if target == "/" and self._listing is not None:
            return web.Response(text=await self._listing.text())
        file = self._root.open(target)
        # Of ranges only where it is wanted: to look for manifests would slow small ones down.
        if self._hashes and (hdrs.RANGE not in request.headers or WANTED_DIGEST in request.headers):
            try:
                file.sha256 = await self._hashes.sha256_of(target, file)
            except BaseException:
                file.close()
                raise
        return file

    async def write(self, request: web.BaseRequest, target: str) -> web.Response | None:
        """See RequestAnswers.write."""
        if self._writing is None:
            return None
        if request.method == hdrs.METH_PUT:
            return await self._writing.put(request, target)
        return await self._writing.delete(request, target)


def _names_a_host(request: web.BaseRequest) -> bool:
    """Whether there is one right Host header; HTTP/1.0 needs none (RFC 9112 3.2)."""
    hosts = request.headers.getall(hdrs.HOST, ())
    if not hosts:
        return request.version < HttpVersion11
    return len(hosts) == 1 and _HOST.fullmatch(hosts[0]) is not None
