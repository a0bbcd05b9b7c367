"""TLS contexts: whom to trust, and who we are for those who ask."""

from __future__ import annotations

import errno
import functools
import socket
from typing import TYPE_CHECKING, Any

from regather.errors import UsageError, pem_flaw, unusable
from regather.forking import NotWhileForking
from regather.transport.options import TransportOptions

if TYPE_CHECKING:
    import ssl

__all__ = ["context_with", "secured", "speaks_tls", "tls_for"]

_handshaking = NotWhileForking()  # OpenSSL has locks that would never be free in the child
_LOOK_SECONDS = 2.0
"""How long to wait for an answer where it is only asked whether TLS is spoken."""


def tls_for(options: TransportOptions, host: str, port: int) -> ssl.SSLContext:
    """The context for connections to a server. Raises UsageError as context_with does."""
    own = options.hosts.of(host, port)
    if not own.cert:
        return options.tls()
    return context_with(own.cert, own.key, options.cacert)


def secured(
    context: ssl.SSLContext, connection: socket.socket, host: str | None = None
) -> ssl.SSLSocket:
    """Do the TLS handshake over a connection, which is closed where that fails.

    Raises OSError (ssl.SSLError is one).
    """
    context.sslsocket_class = _socket_class()
    with _handshaking():
        return context.wrap_socket(connection, server_hostname=host)


@functools.cache
def _socket_class() -> type[ssl.SSLSocket]:
    import ssl

    class TlsSocket(ssl.SSLSocket):
        """Closed where its connection was reset before the handshake: ssl leaves it open then."""

        def getpeername(self) -> Any:
            try:
                return super().getpeername()
            except OSError:
                # Not after the handshake: what came before the reset can still be read.
                if getattr(self, "_sslobj", None) is None:
                    self.close()
                raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer") from None

    return TlsSocket


def speaks_tls(connection: socket.socket) -> bool:
    """Whether the other end of a connection that was just made speaks TLS. Closes it."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent, and no answer is used
    connection.settimeout(_LOOK_SECONDS)
    try:
        secured(context, connection).close()
    except ssl.SSLError as error:  # what it refuses it refuses in TLS
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
    finally:
        connection.close()
    return True


@functools.cache
def context_with(cert: str, key: str, cacert: str) -> ssl.SSLContext:
    """A context that shows a certificate; ``key`` and ``cacert`` may be empty.

    Raises UsageError where the files are of no use.
    """
    import ssl

    context = ssl.create_default_context(cafile=cacert or None)
    try:
        context.load_cert_chain(cert, key or None, password=_refuse)
    except ssl.SSLError as error:
        raise UsageError(
            f"{cert}: not usable as --cert ({pem_flaw(error)})",
            help="give a PEM file with the certificate, and its key in it or with --key-file",
        ) from None
    except OSError as error:
        raise unusable(key or cert, "certificate or key", error) from None
    return context


def _refuse() -> str:
    raise UsageError(
        "the key of the client certificate is encrypted",
        help="decrypt it first: openssl pkey -in KEY -out PLAIN",
    )
