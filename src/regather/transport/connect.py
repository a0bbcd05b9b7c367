"""Opens plain and TLS connections, with time-outs that the kernel keeps where that is faster.

A Python-level time-out would make the socket non-blocking underneath and defeat MSG_WAITALL, so
time-outs of plain sockets are the kernel's (SO_RCVTIMEO, SO_SNDTIMEO).
"""

from __future__ import annotations

import contextlib
import socket
import struct

from regather.errors import reason
from regather.names import host_port, idna, without_zone
from regather.origins import Origin
from regather.transport.base import TICK, Failure, RequestFailed
from regather.transport.dial import OnMade, dial
from regather.transport.head import (
    MAX_HEAD_BYTES,
    check_is_http,
    head_bytes,
    parse_head,
    refused_by_proxy,
)
from regather.transport.options import TransportOptions
from regather.transport.proxies import Proxy
from regather.transport.tls import secured, tls_for

_NOT_TLS = frozenset(("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"))
"""What OpenSSL makes of an answer that is plain text."""
_OLD_TLS = frozenset(("TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL"))
_UNKNOWN_AUTHORITY = frozenset((18, 19, 20, 21))
"""OpenSSL's codes for certificates that lead to nobody who is trusted."""


def connect(origin: Origin, options: TransportOptions, on_made: OnMade) -> socket.socket:
    """Connect to the first address of a host, or of the proxy on the way to it, that answers.

    ``on_made`` is told each socket before it is used, and None when it was closed, so that
    another thread can shut it down; it returns False where the attempt is to end. Raises
    RequestFailed.
    """
    server = host_port(*origin[1:])
    proxy = options.proxies.of(origin)
    where = server if proxy is None else f"{proxy.where} (the proxy)"
    host, port = reached(origin, options)
    try:
        waiting = options.silent.ordered(host, port)
    except (OSError, UnicodeError) as error:
        why = f"unknown host ({reason(error)})"
        raise RequestFailed(Failure.UNREACHABLE, f"{where}: {why}") from None
    last: OSError = OSError("no address")
    while waiting:
        made: socket.socket | None = None
        address = ""
        try:
            made = dial(waiting, options.connect_timeout, lambda: on_made(None))
            address = peer(made)
            wanted = on_made(made)
            made.settimeout(options.connect_timeout)
            made = _prepare(made, origin, options, proxy)
            wanted = on_made(made)
        except InterruptedError:
            wanted = False
        except RequestFailed:
            wanted = on_made(None)
            if made is not None:
                made.close()
            if wanted:
                raise
        except OSError as error:
            wanted = on_made(None)
            if made is not None:
                if isinstance(error, TimeoutError):
                    options.silent.add(host, port, address)
                made.close()
            # Never the proxy's: with that we speak no TLS, only through it.
            if failed := refused_by_tls(error, server):
                raise failed from None
            last = error
        else:
            if wanted:
                return made
            on_made(None)
            made.close()
        if not wanted:
            raise RequestFailed(Failure.ABORTED, "aborted") from None
    if isinstance(last, TimeoutError):
        raise RequestFailed(Failure.TIMEOUT, f"{where}: connection timed out") from None
    refused = isinstance(last, ConnectionRefusedError)
    what = f"{where}: {reason(last)}"
    raise RequestFailed(Failure.UNREACHABLE, what, refused=refused) from None


def reached(origin: Origin, options: TransportOptions) -> tuple[str, int]:
    """Host and port that are connected to for an origin: its own, or those of the proxy."""
    proxy = options.proxies.of(origin)
    return origin[1:] if proxy is None else (proxy.host, proxy.port)


def peer(connection: socket.socket) -> str:
    """The address at the other end; empty where there is none any more."""
    try:
        return str(connection.getpeername()[0])
    except OSError:
        return ""


def tunnel(origin: Origin, options: TransportOptions) -> socket.socket:
    """A connection to an https server, or through the proxy on the way, in which TLS may begin.

    Raises OSError and RequestFailed.
    """
    proxy = options.proxies.of(origin)
    place = origin[1:] if proxy is None else (proxy.host, proxy.port)
    made = socket.create_connection(place, timeout=options.connect_timeout)
    try:
        if proxy is not None:
            _tunnel(made, origin, proxy, options)
    except BaseException:
        made.close()
        raise
    return made


def refused_by_tls(error: OSError, where: str) -> RequestFailed | None:
    """What an error of TLS means, where to try again, or another address, would not help."""
    told = getattr(error, "reason", "")
    if told in _NOT_TLS:
        return RequestFailed(Failure.BAD_RESPONSE, f"{where}: does not support TLS: use http://")
    if told in _OLD_TLS:
        return RequestFailed(
            Failure.BAD_RESPONSE, f"{where}: supports only TLS before 1.2, which is not safe"
        )
    if told == "TLSV13_ALERT_CERTIFICATE_REQUIRED":
        return RequestFailed(
            Failure.FORBIDDEN, f"{where}: requires a client certificate: --cert HOST=FILE"
        )
    if why := getattr(error, "verify_message", ""):
        if getattr(error, "verify_code", 0) in _UNKNOWN_AUTHORITY:
            why += "; trust its certificate authority with --cacert FILE"
        return RequestFailed(Failure.FORBIDDEN, f"{where}: certificate refused ({why})")
    return None


def _prepare(
    made: socket.socket, origin: Origin, options: TransportOptions, proxy: Proxy | None
) -> socket.socket:
    scheme, host, port = origin
    with contextlib.suppress(OSError):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if scheme == "https":
        if proxy is not None:
            _tunnel(made, origin, proxy, options)
        # TLS reads record by record, so nothing is lost by a Python time-out.
        ready = secured(tls_for(options, host, port), made, without_zone(host))
        ready.settimeout(TICK)
        return ready
    made.setblocking(True)
    tick = struct.pack("@ll", 0, int(TICK * 1_000_000))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, tick)
    wait = struct.pack("@ll", int(options.timeout) + 1, 0)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)
    return made


def _tunnel(made: socket.socket, origin: Origin, proxy: Proxy, options: TransportOptions) -> None:
    """Have a proxy connect us through to an origin (CONNECT). Raises RequestFailed, OSError."""
    target = host_port(idna(origin[1]), origin[2])
    made.settimeout(options.timeout)
    made.sendall(head_bytes("CONNECT", target, [("Host", target), *proxy.headers]))
    answer = bytearray()
    while not answer.endswith((b"\n\r\n", b"\n\n")):
        # To the byte: what follows belongs to the tunnel.
        more = made.recv(1)
        if not more:
            raise ConnectionResetError("the proxy closed the connection")
        answer += more
        check_is_http(answer, proxy.where)
        if len(answer) > MAX_HEAD_BYTES:
            raise RequestFailed(
                Failure.BAD_RESPONSE, f"{proxy.where}: the proxy does not support https"
            )
    head = parse_head(bytes(answer))
    status = head.status if head is not None else 0
    if 200 <= status < 300:
        return
    raise refused_by_proxy(status, target, proxy)
