"""The process ends without freeing its objects; nothing else that belongs to the end is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hosting import Hosting

# The command has printed, registered a handler, and perhaps left a thread behind.
CODE = """
import atexit, sys, threading, time
import regather.cli as cli

class Freed:
    def __del__(self):
        print("freed")

def main():
    cli.kept = Freed()
    print("told")
    atexit.register(print, "handler")
    if sys.argv[1] == "thread":
        def work():
            threading.main_thread().join()
            print("thread")
        threading.Thread(target=work).start()
    return 3

cli.main = main
cli.run()
"""


def ended(how: str) -> tuple[int, list[str], str]:
    command = [sys.executable, "-c", CODE, how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout.split(), done.stderr


def test_handlers_run_and_output_is_flushed() -> None:
    assert ended("alone") == (3, ["told", "handler"], "")


@pytest.mark.parametrize("to", ["/dev/full", "pipe"])
def test_a_full_standard_error_ends_nothing(tmp_path: Path, hosting: Hosting, to: str) -> None:
    """Notes and progress go there: a full disk under a log is no fault of a download."""
    (tmp_path / "a").write_bytes(b"abc")
    if to == "pipe":
        read, write = os.pipe()
        os.close(read)
    else:
        write = os.open(to, os.O_WRONLY)
    url = hosting.serve(tmp_path).url + "a"  # not verified: there is a note
    command = [sys.executable, "-m", "regather", "get", url, "-vo", "b"]
    done = subprocess.run(command, cwd=tmp_path, stderr=write, timeout=60, check=False)
    os.close(write)
    assert done.returncode == 0
    assert (tmp_path / "b").read_bytes() == b"abc"


def test_a_thread_is_waited_for() -> None:
    code, told, errors = ended("thread")
    assert (code, errors) == (3, "")
    assert "thread" in told
    assert "handler" in told
