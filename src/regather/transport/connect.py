"""Opens plain and TLS connections, with time-outs that the kernel keeps where that is faster.

A Python-level time-out would make the socket non-blocking underneath and defeat MSG_WAITALL, so
time-outs of plain sockets are the kernel's (SO_RCVTIMEO, SO_SNDTIMEO).
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable

from regather.transport.base import TICK, Failure, RequestFailed
from regather.transport.credentials import Origin
from regather.transport.options import TransportOptions

_NOT_TLS = frozenset(("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"))
"""What OpenSSL makes of an answer that is plain text."""
_UNKNOWN_AUTHORITY = frozenset((18, 19, 20, 21))
"""OpenSSL's codes for certificates that lead to nobody who is trusted."""


def connect(
    origin: Origin, options: TransportOptions, on_made: Callable[[socket.socket | None], bool]
) -> socket.socket:
    """Connect to the first address of a host that answers.

    ``on_made`` is told each socket before it is used, and None when it was closed, so that
    another thread can shut it down; it returns False where the attempt is to end. Raises
    RequestFailed.
    """
    scheme, host, port = origin
    where = f"{host}:{port}"
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RequestFailed(Failure.UNREACHABLE, f"{where}: unknown host ({error})") from None
    last: OSError | None = None
    for family, kind, protocol, _, address in addresses:
        made: socket.socket | None = None
        try:
            made = socket.socket(family, kind, protocol)
            wanted = on_made(made)
            made.settimeout(options.connect_timeout)
            made.connect(address)
            made = _prepare(made, scheme, host, options)
            wanted = on_made(made)
        except OSError as error:
            if made is not None:
                made.close()
            if getattr(error, "reason", "") in _NOT_TLS:
                on_made(None)
                raise RequestFailed(
                    Failure.BAD_RESPONSE, f"{where}: speaks no TLS: use http://"
                ) from None
            if why := getattr(error, "verify_message", ""):
                on_made(None)
                if getattr(error, "verify_code", 0) in _UNKNOWN_AUTHORITY:
                    why += "; trust its authority with --cacert FILE"
                raise RequestFailed(
                    Failure.FORBIDDEN, f"{where}: certificate refused ({why})"
                ) from None
            last = error
            wanted = on_made(None)
        else:
            if wanted:
                return made
            made.close()
            on_made(None)
        if not wanted:
            raise RequestFailed(Failure.ABORTED, "aborted") from None
    if isinstance(last, TimeoutError):
        raise RequestFailed(Failure.TIMEOUT, f"{where}: no connection in time") from None
    why = (last.strerror if last else None) or str(last)
    raise RequestFailed(Failure.UNREACHABLE, f"{where}: {why}") from None


def _prepare(
    made: socket.socket, scheme: str, host: str, options: TransportOptions
) -> socket.socket:
    with contextlib.suppress(OSError):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if scheme == "https":
        # TLS reads record by record, so nothing is lost by a Python time-out.
        secured = options.tls().wrap_socket(made, server_hostname=host)
        secured.settimeout(TICK)
        return secured
    made.setblocking(True)
    tick = struct.pack("@ll", 0, int(TICK * 1_000_000))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, tick)
    wait = struct.pack("@ll", int(options.timeout) + 1, 0)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)
    return made
