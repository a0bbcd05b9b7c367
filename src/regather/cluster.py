"""Several servers of ours on this machine, each a process: for trying out, demos and tests."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regather.errors import RegatherError, UsageError, reason
from regather.tasks import interrupts_held

_START_SECONDS = 60.0
_STOP_SECONDS = 8.0
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Member:
    """One server: its folder, its process, its URL."""

    folder: Path
    process: subprocess.Popen[str]
    url: str

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait()


def server_folders(folder: Path) -> list[Path]:
    """The ``server1`` to ``serverN`` of a split folder, in order; else the folder itself.

    Raises UsageError where there is nothing to serve.
    """
    if not os.path.isdir(folder):
        flaw = "is a file, not a folder" if os.path.lexists(folder) else "no such folder"
        raise UsageError(f"{folder}: {flaw}", help="give a folder that split created")
    numbered = [
        (int(match[1]), path)
        for path in folder.iterdir()
        if path.is_dir() and (match := re.fullmatch(r"server([1-9]\d*)", path.name))
    ]
    if not numbered and not any(folder.glob("*.regather.json")):
        raise UsageError(
            f"{folder}: contains neither server1, server2, ... nor a manifest",
            help="create one: regather split FILE --out DIR --servers 3",
        )
    return [path for _, path in sorted(numbered)] or [folder]


class Cluster:
    """Starts a server process a folder, on free ports; stops them at the end.

    Use as a context manager. ``arguments`` are further ``regather serve`` arguments, by server.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        host: str = "127.0.0.1",
        first_port: int = 0,
        arguments: Sequence[Sequence[str]] = (),
    ) -> None:
        self._folders = folders
        self._host = host
        self._first_port = first_port
        self._arguments = arguments
        self._processes: list[subprocess.Popen[str]] = []
        self.members: list[Member] = []

    @property
    def urls(self) -> list[str]:
        """Where the servers listen, in the order of the folders."""
        return [member.url for member in self.members]

    def __enter__(self) -> Cluster:
        self._check_addresses()
        try:
            started = [
                self._spawn(
                    folder,
                    self._first_port + n if self._first_port else 0,
                    self._arguments[n] if n < len(self._arguments) else (),
                )
                for n, folder in enumerate(self._folders)
            ]
            for folder, process in zip(self._folders, started, strict=True):
                self.members.append(Member(folder, process, _listening(process, folder)))
        except BaseException:
            self.stop()
            raise
        return self

    def _check_addresses(self) -> None:
        """Raise where a server could not listen: the server's own hints name options of its own."""
        last = self._first_port + len(self._folders) - 1
        if last > _LAST_PORT:
            raise UsageError(
                f"{len(self._folders)} ports from {self._first_port} would exceed {_LAST_PORT}",
                help="choose a smaller --first-port, or omit it to use free ports",
            )
        try:
            family = socket.getaddrinfo(self._host, None, type=socket.SOCK_STREAM)[0][0]
        except (OSError, UnicodeError) as error:
            raise UsageError(
                f"cannot listen on {self._host!r}: unknown host ({reason(error)})",
                help="give an address of this machine with --host",
            ) from None
        for port in range(self._first_port, last + 1) if self._first_port else (0,):
            try:
                socket.create_server((self._host, port), family=family).close()
            except OSError as error:
                taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
                where = f"port {port} of {self._host}" if port else self._host
                why = reason(error).partition(" (while")[0].lower()
                raise RegatherError(
                    f"cannot listen on {where}: {why}",
                    help="choose another --first-port, or omit it to use free ports"
                    if taken
                    else "give an address of this machine with --host",
                ) from None

    def _spawn(self, folder: Path, port: int, extra: Sequence[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "regather", "serve", str(folder), "--json", "--no-config"]
        command += ["--host", self._host, "--port", str(port), *extra]
        with interrupts_held():  # or one that was started might not be known
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
            )
            self._processes.append(process)
        return process

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop all servers, politely first."""
        with interrupts_held():
            for process in self._processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            for process in self._processes:
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                if process.stdout is not None:
                    process.stdout.close()


def _listening(process: subprocess.Popen[str], folder: Path) -> str:
    """Wait for the line that says where a server listens; return its URL."""
    assert process.stdout is not None
    # A server that hangs at its start must not hang us.
    watchdog = threading.Timer(_START_SECONDS, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
    finally:
        watchdog.cancel()
    try:
        url = json.loads(line)["url"]
    except (ValueError, KeyError, TypeError):
        raise RegatherError(f"{folder}: the server did not start") from None
    return str(url)
