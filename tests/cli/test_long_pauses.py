"""What get tells of a server that asks to be left alone for an hour, and what Ctrl-C leaves."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

import pytest

from tests.support.files import MIB, random_file

_SIZE = 20 * MIB


class _Busy(ThreadingHTTPServer):
    """Answers ``good`` requests, all others with Retry-After: 3600.

    A quick client gets a file by five requests: the last bytes are busy until ``good`` is large.
    """

    def __init__(self, content: bytes, good: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.good = good
        self._lock = Lock()

    def take(self, stop: int) -> bool:
        """Whether this request, of the bytes before ``stop``, is one of the good ones."""
        with self._lock:
            self.good -= 1
            return self.good >= (0 if stop < len(self.content) else 100)

    def handle_error(self, *_: object) -> None:
        """Clients that break off are nothing to tell of."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Busy

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        if not self.server.take(int(last) + 1):
            self.send_response(503)
            self.send_header("Retry-After", "3600")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = self.server.content[int(first) : int(last) + 1]
        self.send_response(206)
        self.send_header("ETag", '"x"')
        end = int(first) + len(content) - 1
        self.send_header("Content-Range", f"bytes {first}-{end}/{len(self.server.content)}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def _busy_after(content: bytes, good: int) -> Iterator[_Busy]:
    with _Busy(content, good) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(60)


def _interrupted(command: list[str], seen: Callable[[str], bool]) -> tuple[int, list[str]]:
    """Run get until ``seen`` holds of a line, then as after Ctrl-C; exit code and all lines."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line.rstrip("\n"))
            if seen(line):
                process.send_signal(signal.SIGINT)
                break
        lines += process.stderr.read().splitlines()
        return process.wait(60), lines


@pytest.mark.parametrize("good", [0, 1, 3, 5])
def test_how_long_it_waits_is_told_and_ctrl_c_loses_nothing(tmp_path: Path, good: int) -> None:
    """The server is the only source; it is busy at once, at the first request, or later on."""
    source = random_file(tmp_path / "file.bin", _SIZE)
    target = tmp_path / "got" / "file.bin"
    target.parent.mkdir()
    with _busy_after(source.read_bytes(), good) as server:
        host = f"127.0.0.1:{server.server_address[1]}"
        command = [sys.executable, "-m", "regather", "get", f"http://{host}/file.bin"]
        command += ["-o", str(target)]
        long = re.compile(
            r"waiting ([\d:]{4,}|(?:5\d|60)\.\d\d s) for "
            rf"{re.escape(host)} \(HTTP 503\)(, retry 1 of \d)?\n"
        )
        code, lines = _interrupted(command, lambda line: line.startswith("waiting "))
        assert code == 130
        assert any(long.fullmatch(f"{line}\n") for line in lines), lines
        assert "the same command resumes" in lines[-1]
        server.good = 1000
        again = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert again.returncode == 0, again.stderr
    assert target.read_bytes() == source.read_bytes()
