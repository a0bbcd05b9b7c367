"""Answers requests: found or not, whole or a range, as it should be or with a fault."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from aiohttp import hdrs, web

from regather.errors import reason
from regather.names import MANIFEST_SUFFIX
from regather.server.access_log import BodyResponse, error_logger, sign
from regather.server.authorization import Tokens
from regather.server.body import Outlet, open_outlet
from regather.server.connections import abort
from regather.server.content import Content, OtherAnswer
from regather.server.faults import Decision, Fault, FaultKind, decide
from regather.server.pacer import Pacer
from regather.server.problem import problem
from regather.server.reply import Reply, Segment, length_of, part_of, reply_to
from regather.server.status import ServerState

EXIT_DIED = 70
"""The exit code of a server that a ``die`` fault ended."""
_SEND_TIMEOUT = 120.0
"""Seconds that a client may take nothing of a body before it is given up."""
_GONE_CHECK = 0.5
"""Seconds between looks whether the client of a stalled response went away."""
READING = (hdrs.METH_GET, hdrs.METH_HEAD)
WRITING = (hdrs.METH_PUT, hdrs.METH_DELETE)
_STATUS_OF_ERROR = {
    errno.ENOENT: 404,
    errno.ENOTDIR: 404,
    errno.ENAMETOOLONG: 404,
    errno.ELOOP: 404,
    errno.ENXIO: 404,
    errno.EACCES: 403,
    errno.EPERM: 403,
    errno.EMFILE: 503,
    errno.ENFILE: 503,
    errno.EAGAIN: 503,
    errno.ENOMEM: 503,
}
_MESSAGES = {403: "not readable", 404: "not found", 500: "cannot be read", 503: "too busy"}
_BREAKING = (FaultKind.RESET, FaultKind.STALL, FaultKind.TRUNCATE, FaultKind.DIE)


class RequestAnswers(ABC):
    """Answers requests for what it finds; fails as ``faults`` and their seed say.

    ``tokens`` say who may read and write; without them all may read, and nobody may write.
    """

    no_writing = "nothing can be stored here"
    """Why PUT and DELETE are not possible."""

    def __init__(
        self,
        *,
        faults: Sequence[Fault] = (),
        fault_seed: int = 0,
        tokens: Tokens | None = None,
    ) -> None:
        self.state = ServerState()
        self._tokens = tokens or Tokens()
        self.faults = tuple(faults)
        self.fault_seed = fault_seed
        self._pacers = {
            place: Pacer(fault.rate)
            for place, fault in enumerate(faults)
            if fault.kind is FaultKind.SLOW
        }

    def kind_of(self, target: str) -> str:
        """The kind of an address, one of a few, for the tallies."""
        if target.startswith("/-/"):
            return "status"
        return "manifest" if target.endswith(MANIFEST_SUFFIX) else "file"

    @abstractmethod
    async def find(self, request: web.BaseRequest, target: str) -> Content | web.StreamResponse:
        """What a path stands for (as sent, percent-encoded), or another answer. Raises OSError."""

    async def write(self, request: web.BaseRequest, target: str) -> web.StreamResponse | None:
        """Carry out PUT or DELETE; None where that is not possible."""
        return None

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; what breaks on the way ends its connection, nothing else."""
        with self.state.answering(request) as number:
            decision = decide(self.faults, self.fault_seed, number, self.state.elapsed)
            if decision.fault is not None and decision.fault.kind is FaultKind.ERROR:
                return web.Response(status=decision.fault.status)
            writes = request.method not in READING
            refusal = self._tokens.refusal(request, writing=writes)
            if refusal is not None:
                if request.body_exists:
                    refusal.force_close()  # rather than wait for a body that nobody wants
                return refusal
            target = target_of(request)
            if writes:
                written = None
                if request.method in WRITING:
                    written = await self.write(request, target)
                return self._not_allowed(request) if written is None else written
            try:
                found = await self.find(request, target)
            except OSError as error:
                return _failed(request, error)
            if isinstance(found, web.StreamResponse):
                return found
            try:
                return await self._answer_with(request, found, decision)
            except OtherAnswer as error:
                return error.response
            finally:
                found.close()

    def _not_allowed(self, request: web.BaseRequest) -> web.Response:
        allowed = READING if self.no_writing else READING + WRITING
        line = f"only {', '.join(allowed[:-1])} and {allowed[-1]}"
        if request.method in WRITING:
            line += f": {self.no_writing}"
        response = problem(request, 405, line, headers={hdrs.ALLOW: ", ".join(allowed)})
        response.force_close()  # rather than wait for a body that nobody wants
        return response

    async def _answer_with(
        self, request: web.BaseRequest, file: Content, decision: Decision
    ) -> web.StreamResponse:
        reply = reply_to(request, file)
        if isinstance(reply, web.Response):
            return reply
        response = BodyResponse(status=reply.status, headers=reply.headers)
        response.content_length = reply.length
        sign(response)
        if reply.first is None:
            return response
        try:
            await file.ready(*reply.first)
        except OSError as error:
            return _failed(request, error)

        def count_sent(count: int) -> None:
            response.sent += count
            self.state.bytes_sent += count

        try:
            # Before the head: an answer may still say that there is no descriptor left for it.
            outlet = open_outlet(
                request.transport,
                request.writer.drain,
                on_sent=count_sent,
                timeout=_SEND_TIMEOUT,
            )
        except ConnectionError:
            return response
        except OSError as error:
            return _failed(request, error)
        with outlet:
            await self._send(request, response, outlet, file, reply, decision)
        return response

    async def _send(
        self,
        request: web.BaseRequest,
        response: BodyResponse,
        outlet: Outlet,
        file: Content,
        reply: Reply,
        decision: Decision,
    ) -> None:
        began = time.monotonic()
        try:
            transport = request.transport
            if transport is not None and transport.get_extra_info("sslcontext") is None:
                # Let the head be out before the body overtakes it. (A TLS connection would take
                # a limit of zero as reached for ever; there the body waits behind the head.)
                transport.set_write_buffer_limits(high=0)
            self.state.tallies.begun(request, response)
            await response.prepare(request)
            await request.writer.drain()
            fault = await self._send_body(request, outlet, file, reply, decision)
            if fault is FaultKind.RESET:
                abort(request.transport)
            if fault is not None:
                response.force_close()
        except (OSError, EOFError) as error:
            # The client went away, or the file is no longer what the head promised.
            if not isinstance(error, ConnectionError):
                error_logger.warning("sending of %r broke off: %s", file.name, reason(error))
                self.state.tallies.abort("no_source")
            elif isinstance(error, ConnectionAbortedError):
                self.state.tallies.abort("client_stalled")
            else:
                self.state.tallies.abort("client_gone")
            response.force_close()
            abort(request.transport)
        except asyncio.CancelledError:
            stopping = self.state.stopping.is_set()
            self.state.tallies.abort("stopping" if stopping else "client_gone")
            if (log := request.protocol.access_logger) is not None:
                # aiohttp logs only what it finishes
                log.log(request, response, time.monotonic() - began)
            raise

    async def _send_body(
        self,
        request: web.BaseRequest,
        outlet: Outlet,
        file: Content,
        reply: Reply,
        decision: Decision,
    ) -> FaultKind | None:
        """Send what the decision leaves of the body; return the fault that the connection ends by.

        Does not return where the fault ends the process.
        """
        kind = decision.fault.kind if decision.fault is not None else None
        pacers = [self._pacers[place] for place in decision.slow]
        length = reply.length

        async def send(start: int, stop: int) -> None:
            for segment in reply.cut(start, stop):
                await _send_paced(outlet, file, segment, pacers)

        if kind is FaultKind.CORRUPT:
            at = decision.flip(length)
            await send(0, at)
            for segment in reply.cut(at, at + 1):
                right = segment if isinstance(segment, bytes) else await file.byte(segment.start)
                if not right:
                    raise EOFError("the file was truncated")
                await outlet.send_bytes(bytes(byte ^ 0xFF for byte in right))
            await send(at + 1, length)
            return None
        if kind not in _BREAKING:
            await send(0, length)
            return None
        await send(0, decision.cut(length))
        if kind is FaultKind.DIE:
            os._exit(EXIT_DIED)
        if kind is FaultKind.STALL:
            await self._stall(request)
        return kind

    async def _stall(self, request: web.BaseRequest) -> None:
        """Wait until the client goes away or the server stops."""
        while request.transport is not None and not self.state.stopping.is_set():
            try:
                await asyncio.wait_for(self.state.stopping.wait(), _GONE_CHECK)
            except TimeoutError:
                pass


async def _send_paced(
    outlet: Outlet, file: Content, segment: Segment, pacers: Sequence[Pacer]
) -> None:
    at, length = 0, length_of(segment)
    step = min((pacer.step for pacer in pacers), default=length)
    while at < length:
        count = min(step, length - at)
        for pacer in pacers:
            await pacer.pass_through(count)
        part = part_of(segment, at, at + count)
        if isinstance(part, bytes):
            await outlet.send_bytes(part)
        else:
            await file.send(outlet, part.start, part.stop)
        at += count


def target_of(request: web.BaseRequest) -> str:
    """Return the path as it was sent, percent-encoded, without query and origin."""
    raw = request.raw_path.partition("?")[0].partition("#")[0]
    _, origin, rest = raw.partition("://")
    if origin and not raw.startswith("/"):  # absolute form, as proxies send it
        return "/" + rest.partition("/")[2]
    return raw


def _failed(request: web.BaseRequest, error: OSError) -> web.Response:
    status = 404 if error.errno is None else _STATUS_OF_ERROR.get(error.errno, 500)
    return problem(request, status, _MESSAGES[status])
