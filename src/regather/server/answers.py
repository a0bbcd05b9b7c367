"""RequestAnswers requests: found or not, whole or a range, as it should be or with a fault."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from aiohttp import hdrs, web

from regather.errors import reason
from regather.server.access_log import BodyResponse, error_logger, log_request, sign
from regather.server.authorization import Tokens
from regather.server.body import Outlet, Pacer, abort, open_outlet
from regather.server.content import Content, OtherAnswer
from regather.server.faults import Decision, Fault, FaultKind, decide
from regather.server.preconditions import Preconditions, range_applies
from regather.server.ranges import ByteRange, UnsatisfiableRange, parse_range
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
    """RequestAnswers requests for what it finds; fails as ``faults`` and their seed say.

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
        self._faults = tuple(faults)
        self._seed = fault_seed
        self._pacers = {
            place: Pacer(fault.rate)
            for place, fault in enumerate(faults)
            if fault.kind is FaultKind.SLOW
        }

    @abstractmethod
    async def find(self, request: web.BaseRequest, target: str) -> Content | web.StreamResponse:
        """What a path stands for (as sent, percent-encoded), or another answer. Raises OSError."""

    async def write(self, request: web.BaseRequest, target: str) -> web.Response | None:
        """Carry out PUT or DELETE; None where that is not possible."""
        return None

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; what breaks on the way ends its connection, nothing else."""
        with self.state.answering(request) as number:
            decision = decide(self._faults, self._seed, number, self.state.elapsed)
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
                return _failed(error)
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
        response = web.Response(
            status=405, text=f"{line}\n", headers={hdrs.ALLOW: ", ".join(allowed)}
        )
        response.force_close()  # rather than wait for a body that nobody wants
        return response

    async def _answer_with(
        self, request: web.BaseRequest, file: Content, decision: Decision
    ) -> web.StreamResponse:
        version = file.version
        headers = {**version.validators, hdrs.ACCEPT_RANGES: "bytes", **file.headers}
        match Preconditions.of(request.headers).for_reading(version):
            case 304:
                return web.Response(status=304, headers=headers)
            case 412:
                return web.Response(status=412, text="the file has changed\n", headers=headers)
        try:
            span = _span(request, file)
        except UnsatisfiableRange:
            headers[hdrs.CONTENT_RANGE] = f"bytes */{file.size}"
            return web.Response(status=416, text="range not satisfiable\n", headers=headers)
        headers[hdrs.CONTENT_TYPE] = file.content_type
        if span is not None:
            headers[hdrs.CONTENT_RANGE] = f"bytes {span.start}-{span.stop - 1}/{file.size}"
        response = BodyResponse(status=200 if span is None else 206, headers=headers)
        span = span or ByteRange(0, file.size)
        response.content_length = span.stop - span.start
        sign(response)
        if request.method == hdrs.METH_HEAD or span.start == span.stop:
            return response
        await file.ready(*span)

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
            return _failed(error)
        with outlet:
            await self._send(request, response, outlet, file, span, decision)
        return response

    async def _send(
        self,
        request: web.BaseRequest,
        response: BodyResponse,
        outlet: Outlet,
        file: Content,
        span: ByteRange,
        decision: Decision,
    ) -> None:
        began = time.monotonic()
        try:
            transport = request.transport
            if transport is not None and transport.get_extra_info("sslcontext") is None:
                # Let the head be out before the body overtakes it. (A TLS connection would take
                # a limit of zero as reached for ever; there the body waits behind the head.)
                transport.set_write_buffer_limits(high=0)
            await response.prepare(request)
            await request.writer.drain()
            fault = await self._send_body(request, outlet, file, span, decision)
            if fault is FaultKind.RESET:
                abort(request.transport)
            if fault is not None:
                response.force_close()
        except (OSError, EOFError) as error:
            # The client went away, or the file is no longer what the head promised.
            if not isinstance(error, ConnectionError):
                error_logger.warning("sending of %r broke off: %s", file.name, reason(error))
            response.force_close()
            abort(request.transport)
        except asyncio.CancelledError:
            if request.protocol.access_logger is not None:  # aiohttp logs only what it finishes
                log_request(request, response, time.monotonic() - began)
            raise

    async def _send_body(
        self,
        request: web.BaseRequest,
        outlet: Outlet,
        file: Content,
        span: ByteRange,
        decision: Decision,
    ) -> FaultKind | None:
        """Send what the decision leaves of the body; return the fault that the connection ends by.

        Does not return where the fault ends the process.
        """
        start, stop = span
        kind = decision.fault.kind if decision.fault is not None else None
        pacers = [self._pacers[place] for place in decision.slow]
        if kind is FaultKind.CORRUPT:
            at = start + decision.flip(stop - start)
            await _send_paced(outlet, file, start, at, pacers)
            wrong = bytes(byte ^ 0xFF for byte in await file.byte(at))
            if not wrong:
                raise EOFError("the file was truncated")
            await outlet.send_bytes(wrong)
            await _send_paced(outlet, file, at + 1, stop, pacers)
            return None
        if kind not in _BREAKING:
            await _send_paced(outlet, file, start, stop, pacers)
            return None
        await _send_paced(outlet, file, start, start + decision.cut(stop - start), pacers)
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
    outlet: Outlet, file: Content, start: int, stop: int, pacers: Sequence[Pacer]
) -> None:
    step = min((pacer.step for pacer in pacers), default=stop - start)
    while start < stop:
        count = min(step, stop - start)
        for pacer in pacers:
            await pacer.pass_through(count)
        await file.send(outlet, start, start + count)
        start += count


def _span(request: web.BaseRequest, file: Content) -> ByteRange | None:
    """Return which bytes are wanted; None for the whole file, as for every HEAD (RFC 9110 14.2)."""
    headers = request.headers
    if request.method == hdrs.METH_HEAD or not range_applies(
        headers.getall(hdrs.IF_RANGE, ()), file.version
    ):
        return None
    return parse_range(headers.getall(hdrs.RANGE, ()), file.size)


def target_of(request: web.BaseRequest) -> str:
    """Return the path as it was sent, percent-encoded, without query and origin."""
    raw = request.raw_path.partition("?")[0].partition("#")[0]
    _, origin, rest = raw.partition("://")
    if origin and not raw.startswith("/"):  # absolute form, as proxies send it
        return "/" + rest.partition("/")[2]
    return raw


def _failed(error: OSError) -> web.Response:
    return _text(404 if error.errno is None else _STATUS_OF_ERROR.get(error.errno, 500))


def _text(status: int) -> web.Response:
    return web.Response(status=status, text=f"{_MESSAGES[status]}\n")
