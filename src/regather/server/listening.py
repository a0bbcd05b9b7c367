"""Sockets to listen on, without the server behind them, which takes longer to import."""

from __future__ import annotations

import errno
import socket

from regather.errors import RegatherError, UsageError, reason
from regather.names import host_port, idna

BACKLOG = 4096


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to ``host`` and ``port``, not listening yet.

    Raises UsageError and RegatherError where that cannot be had.
    """
    try:
        # As bytes: for a text, Python imports the tables of its codec.
        family, kind, protocol, _, address = socket.getaddrinfo(
            idna(host).encode(), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"cannot listen on {host!r}: unknown host ({reason(error)})",
            help="give a host name or an address of this machine",
        ) from None
    try:
        bound = socket.socket(family, kind, protocol)
    except OSError as error:  # a kind of address that this machine does not have
        raise cannot_listen(host, port, error) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` means every address of the machine, also those of IPv4.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise cannot_listen(host, port, error) from error
    return bound


def url_of(host: str, port: int, scheme: str = "http") -> str:
    """The address of what listens there; it ends in a slash."""
    return f"{scheme}://{host_port(host, port)}/"


def cannot_listen(host: str, port: int, error: OSError) -> RegatherError:
    """The error for an address that cannot be listened on."""
    where = f"port {port} on {host}"
    if error.errno == errno.EADDRINUSE:
        return RegatherError(
            f"{where} is in use",
            help="stop the program that listens there, or use another port: --port 0 chooses one",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return RegatherError(f"{where} cannot be used", help="take a port from 1024 on")
    return RegatherError(
        f"cannot listen on {where}: {reason(error)}", help="give an address of this machine"
    )
