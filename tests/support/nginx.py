"""A stock nginx that serves one folder: what our downloader meets in the wild."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import pytest

from tests.support.net import HOST, free_port, is_alive, is_listening, wait_until
from tests.support.tls import TlsFiles

# Every path in the configuration is relative to nginx's prefix, which is ours and plain; the
# served folder, the log and the PEM files are links in it. So their own names may hold spaces,
# quotes, `$` and any script without ever being parsed by nginx.
_CONFIGURATION = """\
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log warn;
{user}
events {{ worker_connections 512; }}
http {{
    default_type application/octet-stream;
    access_log {access_log};
    sendfile {sendfile};
    tcp_nopush on;
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    {http}
    server {{
        listen {host}:{port}{ssl};
        {certificate}
        root root;
        {extra}
    }}
}}
"""
_ATTEMPTS = 5


def find_nginx() -> str | None:
    """Return the path of the nginx program, or None where it is not installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


MISSING = "nginx is missing: apt-get install nginx-light"
needs_nginx = pytest.mark.skipif(find_nginx() is None, reason=MISSING)


class Nginx:
    """Serves ``root`` on ``host``, loopback by default, while the ``with`` body runs.

    ``url`` is the address of the folder (it ends in a slash), ``pid`` the master process.
    ``access_log`` names a file for the requests; ``tls`` turns the server to https, ``http2`` to
    HTTP/2 too; ``extra`` is put into the ``server`` section as it is, ``http`` before it.
    """

    def __init__(
        self,
        root: Path,
        *,
        host: str = HOST,
        port: int | None = None,
        tls: TlsFiles | None = None,
        access_log: Path | None = None,
        sendfile: bool = True,
        extra: str = "",
        http: str = "",
        http2: bool = False,
    ) -> None:
        self.root = root
        self.host = host
        self.port = port or 0
        self._any_port = port is None
        self._tls = tls
        self._access_log = access_log
        self._sendfile = sendfile
        self._extra = extra
        self._http = http
        self._http2 = http2
        self._prefix: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of the folder."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}/"

    @property
    def pid(self) -> int:
        """The master process; its worker is a child of it."""
        if self._process is None:
            raise RuntimeError("nginx is not running")
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start, and return when connections are accepted (again on the same port after a stop)."""
        program = find_nginx()
        if program is None:
            raise FileNotFoundError(MISSING)
        for attempts_left in reversed(range(_ATTEMPTS if self._any_port else 1)):
            if self._any_port:
                self.port = free_port(self.host)
            self._prefix = Path(tempfile.mkdtemp(prefix="nginx-"))
            try:
                self._launch(program, self._prefix)
            except BaseException as error:
                log = self._log()
                self.stop()
                if not isinstance(error, Exception):
                    raise
                if not (attempts_left and "Address already in use" in log):
                    raise RuntimeError(f"nginx did not start: {error}\n{log}") from error
            else:
                self._any_port = False
                return

    def _launch(self, program: str, prefix: Path) -> None:
        (prefix / "nginx.conf").write_text(self._configuration(), encoding="utf-8")
        (prefix / "temp").mkdir()
        (prefix / "root").symlink_to(self.root.absolute(), target_is_directory=True)
        if self._access_log is not None:
            (prefix / "access.log").symlink_to(self._access_log.absolute())
        if self._tls is not None:
            (prefix / "certificate.pem").symlink_to(self._tls.certificate.absolute())
            (prefix / "key.pem").symlink_to(self._tls.key.absolute())
        error_log = prefix / "error.log"
        with error_log.open("ab") as log:
            self._process = process = subprocess.Popen(
                [program, "-p", str(prefix), "-c", "nginx.conf", "-e", str(error_log)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

        def ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"it exited with {process.returncode}")
            # The pid file is written after the port was bound: it is ours that listens there.
            return (prefix / "nginx.pid").exists() and is_listening(self.port, self.host)

        wait_until(ready, what="a listening nginx")

    def _configuration(self) -> str:
        user = ""
        if os.geteuid() == 0:  # otherwise nginx would drop to a user who may not read the folder
            owner = pwd.getpwuid(0).pw_name
            user = f"user {owner} {grp.getgrgid(os.getegid()).gr_name};"
        return _CONFIGURATION.format(
            user=user,
            access_log="access.log" if self._access_log else "off",
            sendfile="on" if self._sendfile else "off",
            host=self.host,
            port=self.port,
            ssl=f" ssl{' http2' * self._http2}" if self._tls else "",
            certificate="ssl_certificate certificate.pem; ssl_certificate_key key.pem;"
            if self._tls
            else "",
            extra=self._extra,
            http=self._http,
        )

    def _log(self) -> str:
        if self._prefix is None:
            return ""
        try:
            return (self._prefix / "error.log").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def stop(self) -> None:
        """Stop at once, in order: open transfers end; do nothing when it does not run."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()
        self._clean()

    def kill(self) -> None:
        """Kill master and worker without a word, as a crash or a power cut would."""
        if self._process is not None:
            workers = self._workers()
            self._process.kill()  # first, lest it start a new worker
            for worker in workers:
                try:
                    os.kill(worker, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self._process.wait()
            # A worker that is still dying would accept connections, and hold the port.
            wait_until(lambda: not any(map(is_alive, workers)), what="the end of nginx's workers")
        self._clean()

    def _workers(self) -> list[int]:
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii")
            return [int(child) for child in children.split()]
        except OSError:  # no Linux, or a kernel without this file
            listing = subprocess.run(
                ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
            )
            pairs = (line.split() for line in listing.stdout.splitlines())
            return [int(child) for child, parent in pairs if int(parent) == self.pid]

    def _clean(self) -> None:
        self._process = None
        if self._prefix is not None:
            shutil.rmtree(self._prefix, ignore_errors=True)
            self._prefix = None
