"""Serves a folder or a file until it is told to stop: for the command, and for Python."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from regather.errors import UsageError, pem_flaw, system_errors
from regather.server.authorization import Tokens
from regather.server.faults import parse_fault
from regather.server.notify import Notifier
from regather.server.run import HttpServer, Server
from regather.server.writing import Limits
from regather.tasks import interrupts_held
from regather.tokens import flaw_of_token

_LAST_PORT = 65535
LOG_FORMATS = ("text", "json")
"""How the log of requests can be written."""
_STOP_TICK = 0.05
"""Seconds between two looks at the event that stops the server."""


def serve(
    path: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    faults: str | Sequence[str] = (),
    fault_seed: int | None = None,
    read_token: str | None = None,
    write_token: str | None = None,
    max_upload: int | None = None,
    max_total: int | None = None,
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
    access_log: bool = False,
    log_format: str = "text",
    on_listening: Callable[[str, int], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve a folder, or one file, over HTTP until SIGTERM, SIGINT or ``stop``.

    - ``port``: 0 chooses a free port.
    - ``on_listening``: called with the URL and the port when connections are accepted.
    - ``faults``: intentional failures, each as ``KIND[:ARG][@WHEN]``, for example ``reset@0.2``.
      The same ``fault_seed`` repeats them.
    - ``read_token``: required for reading. Without it, everyone can read.
    - ``write_token``: permits to store (PUT) and remove (DELETE) files, which is refused otherwise.
    - ``max_upload``, ``max_total``: the maximum bytes of one file, and of the folder.
    - ``tls_cert``, ``tls_key``: PEM files for https.
    - ``access_log``: a line for each request on standard error, as ``log_format`` says: ``text``,
      or ``json``.
    - ``stop``: an event that stops the server. Outside the main thread it is the only way, because
      signals are handled in the main thread.

    The first signal, or ``stop``, is a graceful shutdown: responses get some seconds to finish. A
    second signal ends the process. Raises UsageError if the call cannot be carried out, and
    RegatherError if the address is in use or not permitted.
    """
    faults = (faults,) if isinstance(faults, str) else faults
    planned = tuple(map(parse_fault, faults))
    tls = checked(port, log_format, tls_cert, tls_key, read_token, write_token)
    if write_token is None and (max_upload is not None or max_total is not None):
        raise UsageError("limits for uploads without uploads", help="add --write-token")

    def server() -> Server:
        return Server(
            Path(path),
            host=host,
            port=port,
            faults=planned,
            fault_seed=fault_seed,
            access_log=access_log,
            log_format=log_format,
            tokens=Tokens(read=read_token, write=write_token),
            limits=Limits(upload=max_upload, total=max_total),
            tls=tls,
        )

    run_server(server, on_listening, stop)


def checked(
    port: int,
    log_format: str,
    tls_cert: str | Path | None,
    tls_key: str | Path | None,
    read_token: str | None,
    write_token: str | None = None,
) -> ssl.SSLContext | None:
    """Check what every server is given; return what TLS needs. Raises UsageError."""
    if not 0 <= port <= _LAST_PORT:
        raise UsageError(f"no such port: {port}", help=f"ports go from 0 (any) to {_LAST_PORT}")
    if log_format not in LOG_FORMATS:
        raise UsageError(f"no such format: {log_format!r}", help=f"use {' or '.join(LOG_FORMATS)}")
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("TLS needs both a certificate and its key", help="--tls-cert --tls-key")
    for token, option in ((read_token, "--read-token"), (write_token, "--write-token")):
        if token is not None and (flaw := flaw_of_token(token)):
            raise UsageError(f"{option}: the token {flaw}", help="take one long random word")
    if tls_cert is None or tls_key is None:
        return None
    return tls_context(str(tls_cert), str(tls_key))


def run_server(
    make: Callable[[], HttpServer],
    on_listening: Callable[[str, int], None] | None,
    stop: threading.Event | None,
) -> None:
    """Run what ``make`` makes in an event loop until it is told to stop; see ``serve``."""
    _raise_file_limit()
    # Held back, interrupts reach the loop alone, and not the thread that holds a lock.
    with interrupts_held(), asyncio.Runner(loop_factory=_ServerLoop) as runner:
        runner.run(_serve(make, on_listening, stop))


class _ServerLoop(asyncio.SelectorEventLoop):
    """Half of one, where there are no descriptors for it, goes without a traceback."""

    _whole = False

    def __init__(self) -> None:
        super().__init__()
        self._whole = True

    def __del__(self) -> None:
        if self._whole:
            super().__del__()


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """Make the context for a PEM certificate (with its chain) and its private key.

    Raises UsageError where they cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    for path, option in ((certificate, "--tls-cert"), (key, "--tls-key")):
        with system_errors(
            UsageError, f"{option} {path}", "give a PEM file that this user can read"
        ):
            open(path, "rb").close()
    try:
        # Without a password here OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise UsageError(
            f"--tls-cert {certificate} and --tls-key {key} cannot be used: {pem_flaw(error)}",
            help="give PEM files: the certificate with its chain, and its key without a password",
        ) from None
    return context


async def _serve(
    make: Callable[[], HttpServer],
    on_listening: Callable[[str, int], None] | None,
    stop: threading.Event | None,
) -> None:
    signalled = asyncio.Event()

    def end(number: int) -> None:
        if signalled.is_set():
            os._exit(128 + number)
        signalled.set()

    loop = asyncio.get_running_loop()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as in a script's background job
                loop.add_signal_handler(number, end, number)
    notifier = Notifier()
    server = make()
    await server.start()
    alive = asyncio.create_task(notifier.keep_alive())
    try:
        if on_listening is not None:
            on_listening(server.url, server.port)
        notifier.send("READY=1", f"STATUS=Listening at {server.url}")
        if stop is None:
            await signalled.wait()
        while stop is not None and not stop.is_set() and not signalled.is_set():
            await asyncio.sleep(_STOP_TICK)
    finally:
        notifier.send("STOPPING=1")
        alive.cancel()
        await server.stop()


def _raise_file_limit() -> None:
    """Allow as many open files, so connections, as the system grants without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
