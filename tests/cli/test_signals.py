"""A signal may come at any moment: also between the end of the work and that of the process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

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


# An output is interrupted after each time that it is written to.
WHILE_TOLD = """
import os, signal, sys
import regather.cli as cli

class Interrupted:
    def __init__(self, output):
        self.output = output
    def __getattr__(self, name):
        return getattr(self.output, name)
    def write(self, text):
        self.output.write(text)
        os.kill(os.getpid(), signal.SIGINT)

name = sys.argv.pop(1)
setattr(sys, name, Interrupted(getattr(sys, name)))
cli.run()
"""


def test_a_line_is_told_whole_or_not_at_all() -> None:
    command = [sys.executable, "-c", WHILE_TOLD, "stderr", "get", "https://"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (2, 130), "that of the error, or of the signal"
    assert done.stderr.startswith("regather: not a URL")
    assert done.stderr.endswith("\n")


def test_a_document_is_printed_whole_or_not_at_all() -> None:
    command = [sys.executable, "-c", WHILE_TOLD, "stdout", "get", "https://", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (2, 130), "that of the error, or of the signal"
    assert json.loads(done.stdout)["event"] == "error"
    assert done.stdout.endswith("\n")


# A signal comes right after the system has taken what was written to standard error.
AFTER_WRITTEN = """
import os, signal, sys
import regather.cli as cli
from regather.cli import standard_streams

raw = standard_streams._StandardError
write = raw.write

def interrupted(self, data):
    count = write(self, data)
    os.kill(os.getpid(), signal.SIGINT)
    return count

raw.write = interrupted
cli.run()
"""


def test_a_line_is_told_once() -> None:
    command = [sys.executable, "-c", AFTER_WRITTEN, "get", "https://"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (2, 130), "that of the error, or of the signal"
    assert done.stderr.count("regather: not a URL") == 1


# A signal comes while the command looks at the error that it ends with.
WHILE_LOOKED_AT = """
import os, signal
import regather.cli as cli

def interrupted(error):
    os.kill(os.getpid(), signal.SIGINT)
    return False

cli.is_fault_here = interrupted
cli.run()
"""


@pytest.mark.parametrize(
    "program", [[WHILE_TOLD, "stdout"], [WHILE_TOLD, "stderr"], [WHILE_LOOKED_AT]]
)
def test_the_document_has_the_exit_code_whenever_a_signal_comes(program: list[str]) -> None:
    command = [sys.executable, "-c", *program, "get", "https://", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    told = json.loads(done.stdout)
    assert (told["event"], told["exit_code"]) == ("error", done.returncode)
    assert done.stderr.count("regather: ") == 1
