"""Connections of clients, beneath what asyncio offers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

_UNSENT = 256 << 10
"""Bytes that the system takes, at most, before it can send them.

Without a limit it takes megabytes for each client that reads slowly. For a thousand of them it then
had no memory for sockets left, and dropped packets of those that read fast.
"""


def bound_unsent(transport: asyncio.BaseTransport | None) -> None:
    """Have the system take few bytes for a client that does not take them."""
    connection = None if transport is None else transport.get_extra_info("socket")
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # of Linux and macOS
    if connection is not None and option is not None:
        with contextlib.suppress(OSError):  # it is closed, or not TCP
            connection.setsockopt(socket.IPPROTO_TCP, option, _UNSENT)


def unsent(transport: asyncio.BaseTransport | None) -> int:
    """Bytes that wait in this process to be sent, encrypted ones included."""
    if not isinstance(transport, asyncio.Transport):
        return 0
    if not hasattr(transport, "_ssl_protocol"):
        return transport.get_write_buffer_size()
    # What is encrypted waits in the transport beneath, to which asyncio has no public way.
    tls = transport._ssl_protocol
    if tls is None:
        return 0
    beneath = tls._transport
    return transport.get_write_buffer_size() + (
        beneath.get_write_buffer_size() if beneath is not None else 0
    )


def abort(transport: asyncio.BaseTransport | None) -> None:
    """Break a connection off, so that its other end sees a reset; do nothing where it is gone."""
    if not isinstance(transport, asyncio.Transport):
        return
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
