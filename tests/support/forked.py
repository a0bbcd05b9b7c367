"""Our command in a process of its own, without the time that Python takes to start.

The first call starts a process that imports the package. From then on that one forks: a command is
there in some milliseconds, with arguments, folder, environment and standard streams of its own, and
ends as every process does. It has imported more than it needs. Whoever tests the start of the
command, or what Python itself takes from the environment, starts it by subprocess.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

_LENGTH = struct.Struct("!I")
_STATUS = struct.Struct("!i")
_ROOT = Path(__file__).parents[2]
_OF_PYTHON = ("PYTHON", "LC_", "LANG", "MALLOC_", "LD_")
"""Variables that begin so have their effect when Python starts."""


# -- in the tests -----------------------------------------------------------------------------


class Forker:
    """The process that forks, and our line to it."""

    def __init__(
        self, module: str = __name__, environment: Mapping[str, str] | None = None
    ) -> None:
        """``module`` calls ``main`` below; ``environment`` is added to that of this process."""
        self._line, theirs = socket.socketpair()
        self._lock = threading.Lock()
        self.environment = {**os.environ, **(environment or {})}
        self.network = _network()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(theirs.fileno())],
            cwd=_ROOT,
            env=self.environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        atexit.register(self.end)

    def end(self) -> None:
        """End it, and its line."""
        self._line.close()  # which ends it
        self._process.wait()

    def fork(self, request: Mapping[str, object], files: Sequence[int]) -> None:
        """Start a command with these standard streams; its states go to the fourth file."""
        body = json.dumps(request).encode("utf-8", "surrogateescape")
        with self._lock:
            socket.send_fds(self._line, [_LENGTH.pack(len(body))], files)
            self._line.sendall(body)


_forkers: list[Forker] = []
_making = threading.Lock()


def _ready() -> Forker:
    with _making:
        if not _forkers:
            _forkers.append(Forker())
        return _forkers[0]


def prepare() -> None:
    """Start what forks now, before somebody counts what is open."""
    if sys.platform == "linux":
        _ready()


def can_be_forked(environment: Mapping[str, str] | None) -> bool:
    """Whether a command with this environment is the same as one that Python starts."""
    if sys.platform != "linux" or _ready().network != _network():
        return False
    started = _ready().environment
    given = os.environ if environment is None else environment
    names = {n for n in (*given, *started) if n.startswith(_OF_PYTHON)}
    return all(given.get(n) == started.get(n) for n in names)


class Command:
    """A command that runs; like Popen."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        forker: Forker | None = None,
    ) -> None:
        self._states, theirs = socket.socketpair()
        request = {
            "arguments": list(arguments),
            "cwd": str(cwd or Path.cwd()),
            "environment": dict(os.environ if environment is None else environment),
            "umask": _umask(),
        }
        with theirs:
            (forker or _ready()).fork(request, [stdin, stdout, stderr, theirs.fileno()])
        self.pid: int = _STATUS.unpack(self._received(None))[0]
        self.returncode: int | None = None

    def _received(self, timeout: float | None) -> bytes:
        self._states.settimeout(timeout)
        data = self._states.recv(_STATUS.size, socket.MSG_WAITALL)
        if len(data) < _STATUS.size:
            raise RuntimeError("the process that forks commands has ended")
        return data

    def poll(self) -> int | None:
        """The exit code, once it has one."""
        with contextlib.suppress(TimeoutError, BlockingIOError):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code. Raises TimeoutError."""
        if self.returncode is None:
            self.returncode = _STATUS.unpack(self._received(timeout))[0]
            self._states.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def run(
    arguments: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; like ``subprocess.run``."""
    done = run_bytes(arguments, cwd=cwd, environment=environment, timeout=timeout)
    told, errors = (_text(data) for data in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, told, errors)


def run_bytes(
    arguments: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float,
    forker: Forker | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, forked by another forker if one is given."""
    until = time.monotonic() + timeout
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        reading, writing = zip(*(os.pipe() for _ in range(2)), strict=True)
        for end in reading:
            stack.callback(os.close, end)
            selector.register(end, selectors.EVENT_READ)
        with open(os.devnull, "rb") as null:
            try:
                command = Command(
                    arguments,
                    stdin=null.fileno(),
                    stdout=writing[0],
                    stderr=writing[1],
                    cwd=cwd,
                    environment=environment,
                    forker=forker,
                )
            finally:
                for end in writing:
                    os.close(end)
        output = {end: bytearray() for end in reading}
        while selector.get_map():
            ready = selector.select(max(0, until - time.monotonic()))
            if not ready:
                command.kill()
                raise subprocess.TimeoutExpired(list(arguments), timeout)
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                output[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
        code = command.wait(max(0.01, until - time.monotonic()))
    told, errors = (bytes(output[end]) for end in reading)
    return subprocess.CompletedProcess(list(arguments), code, told, errors)


def _text(data: bytes) -> str:
    return io.TextIOWrapper(io.BytesIO(data)).read()


def _network() -> str:
    """The network that this thread is in."""
    return os.readlink("/proc/thread-self/ns/net")


def _umask() -> int:
    """That of this process; to ask the system for it sets it, for other threads too."""
    status = Path("/proc/self/status").read_text("ascii", "replace")
    return int(status.partition("Umask:")[2].split()[0], 8)


# -- in the process that forks ----------------------------------------------------------------


def _requests(line: socket.socket, states: dict[int, tuple[int, socket.socket]]) -> Iterator[bool]:
    """Fork for each request; yields in the child alone, where it is to run the command."""
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not line:
                    _tell_end(key.fd, states, selector)
                    continue
                head, files, _, _ = socket.recv_fds(line, _LENGTH.size, 4)
                if not head:
                    return
                body = line.recv(_LENGTH.unpack(head)[0], socket.MSG_WAITALL)
                pid = os.fork()
                if not pid:
                    _become(json.loads(body.decode("utf-8", "surrogateescape")), files)
                    yield True
                for file in files[:3]:
                    os.close(file)
                told = socket.socket(fileno=files[3])
                told.sendall(_STATUS.pack(pid))
                ended = os.pidfd_open(pid)
                states[ended] = pid, told
                selector.register(ended, selectors.EVENT_READ)


def _tell_end(
    ended: int, states: dict[int, tuple[int, socket.socket]], selector: selectors.BaseSelector
) -> None:
    pid, told = states.pop(ended)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    selector.unregister(ended)
    os.close(ended)
    with told, contextlib.suppress(OSError):  # the test may be over
        told.sendall(_STATUS.pack(code))


def _become(request: Mapping[str, object], files: Sequence[int]) -> None:
    """Make this child what Python would have started."""
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
    os.closerange(3, 1024)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    os.umask(request["umask"])  # type: ignore[arg-type]
    os.chdir(request["cwd"])  # type: ignore[arg-type]
    sys.argv = [sys.argv[0], *request["arguments"]]  # type: ignore[misc]
    sys.stdin = _stream(0, sys.stdin)
    sys.stdout = _stream(1, sys.stdout)
    sys.stderr = _stream(2, sys.stderr)


def _stream(number: int, like: object) -> io.TextIOWrapper:
    assert isinstance(like, io.TextIOWrapper)
    raw = io.FileIO(number, "r" if number == 0 else "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw),
        encoding=like.encoding,
        errors=like.errors,
        line_buffering=number == 2 or raw.isatty(),
        write_through=like.write_through,
    )


def _import_all() -> None:
    import regather

    for module in pkgutil.walk_packages(regather.__path__, "regather."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _run_and_end() -> NoReturn:
    """Run the command, and end as Python does, except that it takes nothing apart: that is slow."""
    from regather.cli import run

    code: object = 1
    try:
        run()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0)


def main(before: Callable[[], object] = lambda: None) -> None:
    """Fork until the tests are over; in a child, call ``before`` and run the command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the tests and the commands
    _import_all()
    gc.freeze()
    line = socket.socket(fileno=int(sys.argv[1]))
    for _ in _requests(line, {}):
        before()
        _run_and_end()


if __name__ == "__main__":
    main()
