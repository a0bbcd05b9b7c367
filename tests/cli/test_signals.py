"""A signal may come at any moment: also between the end of the work and that of the process."""

from __future__ import annotations

import io
import signal
import subprocess
import sys

import pytest

from regather.cli import main

# Each call that lets signals be ignored finds one that came just before it.
LATE = """
import os, signal, sys
import regather.cli as cli
from regather.cli.signals import end_politely

def late(real):
    times = iter("12345")
    def call(*arguments):
        if next(times, None):
            os.kill(os.getpid(), int(sys.argv[1]))
        return real(*arguments)
    return call

def main():
    signal.signal, signal.pthread_sigmask = late(signal.signal), late(signal.pthread_sigmask)
    return 3

end_politely()
cli.main = main
cli.run()
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_at_the_end_changes_nothing(number: str) -> None:
    command = [sys.executable, "-c", LATE, str(int(getattr(signal, number)))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


def test_an_error_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no signal comes between a line and its end."""

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    written: list[str] = []
    monkeypatch.setattr(sys, "stderr", Stream())
    assert main(["info", "there-is-no-such-file"]) == 2
    (line,) = written
    assert line.startswith("regather: there-is-no-such-file: no such file")
    assert line.endswith("\n")
