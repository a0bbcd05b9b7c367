"""The clients: ``download`` in a thread, ``adownload`` in a loop, ``regather get`` in a process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import regather


@dataclass(frozen=True, slots=True)
class Call:
    """What a client is told."""

    manifest: str
    dest: Path
    servers: Sequence[str]
    digest: str
    force: bool
    timeout: float
    retries: int
    connections: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a client ended."""

    code: int
    """The exit code; negative: the signal that killed it."""
    told: str
    """What it said, errors in full."""
    missing: tuple[str, ...] = ()
    resumed: int | None = None
    """Bytes that it says an earlier run had brought; None where it did not get to say so."""
    received: int | None = None
    flaw: str = ""
    """What no client may do, and this one did."""


class Client(Protocol):
    """One run of a client, begun when it is made."""

    def wait(self, seconds: float) -> bool:
        """Wait so long at most; whether it has ended."""
        ...

    def disturb(self, how: str) -> None:
        """Interrupt it: ``stop``, or ``kill``, ``int``, ``term`` for processes."""
        ...

    def outcome(self) -> Outcome:
        """How it ended."""
        ...


class ApiClient:
    """``regather.download`` in a thread, or ``regather.adownload`` in a loop in a thread."""

    def __init__(self, call: Call, *, asynchronous: bool) -> None:
        self._call = call
        self._stop = threading.Event()
        self._outcome: Outcome | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[regather.DownloadReport] | None = None
        work = self._asynchronous if asynchronous else self._plain
        self._thread = threading.Thread(target=self._run, args=(work,), name="client", daemon=True)
        self._thread.start()

    def _arguments(self) -> dict[str, Any]:
        call = self._call
        settings = regather.Settings(
            connections=call.connections,
            timeout=call.timeout,
            connect_timeout=2,
            retries=call.retries,
        )
        return {
            "servers": call.servers,
            "digest": call.digest,
            "force": call.force,
            "settings": settings,
        }

    def _plain(self) -> regather.DownloadReport:
        call = self._call
        return regather.download(call.manifest, call.dest, stop=self._stop, **self._arguments())

    def _asynchronous(self) -> regather.DownloadReport:
        async def main() -> regather.DownloadReport:
            call = self._call
            work = regather.adownload(call.manifest, call.dest, **self._arguments())
            self._loop = asyncio.get_running_loop()
            self._task = asyncio.ensure_future(work)
            if self._stop.is_set():
                self._task.cancel()
            return await self._task

        return asyncio.run(main())

    def _run(self, work: Any) -> None:
        try:
            report = work()
            self._outcome = Outcome(
                0, "done", resumed=report.resumed, received=report.received, flaw=_unsound(report)
            )
        except regather.RegatherError as error:
            told = "\n  ".join([f"{error.kind}: {error}", *error.details])
            self._outcome = Outcome(error.exit_code, told, missing=error.missing)
        except asyncio.CancelledError:
            self._outcome = Outcome(130, "cancelled")
        except BaseException:
            self._outcome = Outcome(1, traceback.format_exc(), flaw="an error that is not ours")

    def wait(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def disturb(self, how: str) -> None:
        self._stop.set()
        if self._loop is not None and self._task is not None:
            with contextlib.suppress(RuntimeError):  # it has ended meanwhile
                self._loop.call_soon_threadsafe(self._task.cancel)

    def outcome(self) -> Outcome:
        assert self._outcome is not None
        return self._outcome


def _unsound(report: regather.DownloadReport) -> str:
    return "" if report.verified else "it says that the file was not verified"


class CliClient:
    """``regather get`` in a process, and a session, of its own."""

    def __init__(
        self, call: Call, scratch: Path, *, before: Sequence[str] = (), extra: Mapping[str, str]
    ) -> None:
        """``scratch`` is an empty folder for its temporary files; ``before`` goes before the
        command, ``extra`` into its environment."""
        self._scratch = scratch
        words = [call.manifest, "-o", str(call.dest), "--json", "--digest", call.digest]
        words += ["--timeout", str(call.timeout), "--connect-timeout", "2"]
        words += ["--retries", str(call.retries), "--connections", str(call.connections)]
        words += ["--force"] if call.force else []
        words += [word for url in call.servers for word in ("--server", url)]
        self._streams = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]  # noqa: SIM115
        self._process = subprocess.Popen(
            [*before, sys.executable, "-m", "regather", "get", *words],
            stdin=subprocess.DEVNULL,
            stdout=self._streams[0],
            stderr=self._streams[1],
            env={**os.environ, "TMPDIR": str(scratch), **extra},
            start_new_session=True,
        )
        self.pid = self._process.pid

    def wait(self, seconds: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.poll() is not None

    def disturb(self, how: str) -> None:
        number = {
            "kill": signal.SIGKILL,
            "stop": signal.SIGKILL,  # as the last means against a hang
            "int": signal.SIGINT,
            "term": signal.SIGTERM,
            "pause": signal.SIGSTOP,
            "go on": signal.SIGCONT,
        }[how]
        self._process.send_signal(number)

    def outcome(self) -> Outcome:
        code = self._process.wait()
        out, err = (self._read(stream) for stream in self._streams)
        flaw = ""
        if "Traceback" in err or "Traceback" in out:
            flaw = "a traceback"
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
            flaw = flaw or "it left processes behind"
        if code >= 0 and (left := os.listdir(self._scratch)):
            flaw = flaw or f"it left temporary files behind: {left}"
        last: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            last = json.loads(out.splitlines()[-1]) if out else {}
        if code == 0 and last.get("event") != "done":
            flaw = flaw or "its last line is not the event `done`"
        if code > 0 and (last.get("event"), last.get("exit_code")) != ("error", code):
            flaw = flaw or "its last line is not the event `error` with the exit code"
        return Outcome(
            code,
            f"{err}{'' if code else 'done'}".strip(),
            tuple(last.get("missing", ())),
            last.get("resumed"),
            last.get("received"),
            flaw,
        )

    @staticmethod
    def _read(stream: Any) -> str:
        stream.seek(0)
        text: str = stream.read().decode(errors="replace")
        stream.close()
        return text
