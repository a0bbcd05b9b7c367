"""Debian's tinyproxy, microsocks and ssh on free ports of loopback."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.net import HOST
from tests.support.sftp import SftpServer
from tests.support.tls import TlsFiles

_CONFIGURATION = """\
Port {port}
Listen {host}
Timeout 600
LogFile "{prefix}/proxy.log"
LogLevel Connect
PidFile "{prefix}/pid"
MaxClients 100
Allow 127.0.0.1
Allow ::1
DisableViaHeader Yes
{extra}
"""


class HttpProxy(Daemon):
    """A proxy for http, and for https by CONNECT; ``login`` is USER and PASSWORD, or None."""

    program = "tinyproxy"
    package = "tinyproxy"

    def __init__(self, *, login: tuple[str, str] | None = None, extra: str = "") -> None:
        super().__init__()
        self._login = login
        self._extra = extra

    def command(self, program: str) -> list[str]:
        """See Daemon.command."""
        extra = self._extra + ("\nBasicAuth {} {}".format(*self._login) if self._login else "")
        configuration = self.prefix / "tinyproxy.conf"
        configuration.write_text(
            _CONFIGURATION.format(port=self.port, host=self.host, prefix=self.prefix, extra=extra)
        )
        return [program, "-d", "-c", str(configuration)]

    @property
    def address(self) -> str:
        """What to give as --proxy."""
        login = "{}:{}@".format(*self._login) if self._login else ""
        return f"http://{login}{self.host}:{self.port}"

    @property
    def asked(self) -> list[str]:
        """What it was asked for: the first lines of requests."""
        log = Path(self.prefix / "proxy.log").read_text("utf-8", "replace")
        requests = (line.partition("): ")[2] for line in log.splitlines() if "Request (" in line)
        return list(requests)


class SocksProxy(Daemon):
    """A SOCKS5 proxy; ``login`` is USER and PASSWORD, or None."""

    program = "microsocks"
    package = "microsocks"

    def __init__(self, *, login: tuple[str, str] | None = None) -> None:
        super().__init__()
        self._login = login

    def command(self, program: str) -> list[str]:
        """See Daemon.command."""
        login = ["-u", self._login[0], "-P", self._login[1]] if self._login else []
        return [program, "-i", self.host, "-p", str(self.port), *login]

    def address(self, scheme: str = "socks5h") -> str:
        """What to give as --proxy."""
        login = "{}:{}@".format(*self._login) if self._login else ""
        return f"{scheme}://{login}{self.host}:{self.port}"

    @property
    def asked(self) -> list[str]:
        """Where it connected to."""
        return [line for line in self.log.splitlines() if "connected to" in line]


class SshProxy(Daemon):
    """What ``ssh -D`` opens: a proxy of SOCKS4, 4a and 5, whose other end is an SSH server."""

    program = "ssh"
    package = "openssh-client"

    def __init__(self, server: SftpServer) -> None:
        super().__init__()
        self._server = server

    def command(self, program: str) -> list[str]:
        """See Daemon.command."""
        settings = ("ExitOnForwardFailure=yes", "IdentitiesOnly=yes", "BatchMode=yes")
        files = (f"UserKnownHostsFile={self._server.known_hosts}",)
        return [
            *(program, "-F", "none", "-vv", "-N", "-D", f"{self.host}:{self.port}"),
            *(word for setting in settings + files for word in ("-o", setting)),
            *("-i", str(self._server.key), "-p", str(self._server.port), self._server.host),
        ]

    def address(self, scheme: str) -> str:
        """What to give as --proxy."""
        return f"{scheme}://{self.host}:{self.port}"

    @property
    def asked(self) -> list[str]:
        """What it was asked for, beginning with the protocol."""
        marked = (line.partition("dynamic request: ") for line in self.log.splitlines())
        return [request for _, mark, request in marked if mark]


@contextmanager
def in_tls(port: int, files: TlsFiles) -> Iterator[int]:
    """Something on ``port`` behind TLS, as an https:// proxy is; yields the port to connect to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    sockets: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def relay(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    def start(run: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=run, name="in-tls"))
        threads[-1].start()

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = listener.accept()[0]
                try:
                    near = context.wrap_socket(near, server_side=True)
                except OSError:  # who does not trust us
                    near.close()
                    continue
                far = socket.create_connection((HOST, port))
                sockets.extend((near, far))
                start(lambda a=near, b=far: relay(a, b))  # type: ignore[misc]
                start(lambda a=far, b=near: relay(a, b))  # type: ignore[misc]

    with socket.create_server((HOST, 0)) as listener:
        start(lambda: accept(listener))
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    for one in sockets:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(one, socket.SHUT_RDWR)
    for thread in threads:
        thread.join(60)
    for one in sockets:
        one.close()
