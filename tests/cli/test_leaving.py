"""The process ends without freeing its objects; nothing else that belongs to the end is lost."""

from __future__ import annotations

import subprocess
import sys

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


def test_a_thread_is_waited_for() -> None:
    code, told, errors = ended("thread")
    assert (code, errors) == (3, "")
    assert "thread" in told
    assert "handler" in told
