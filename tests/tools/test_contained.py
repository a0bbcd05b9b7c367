"""What a command leaves behind is ended, and signals reach it, whatever the caller ignores."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.net import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]
CONTAINED = [sys.executable, "-m", "tools.contained", sys.executable]
PROCESSES_STARTED = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
pids = [subprocess.Popen(sleep, start_new_session=True).pid for _ in range(2)]
ready, tell = os.pipe()
child = os.fork()
if not child:  # a daemon, with a child of its own
    os.setsid()
    print(os.getpid(), subprocess.Popen(sleep).pid, *pids, flush=True)
    os.write(tell, b"!")
    time.sleep(600)
os.read(ready, 1)
os._exit(3)  # as after a time-out: nothing is cleaned up
"""
FAILING_TEST = """
import subprocess, sys, pytest

process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open("pid", "w") as file:  # before the time of the test begins
    file.write(str(process.pid))

@pytest.mark.timeout(1, method="thread")
def test_hangs():
    process.wait()
"""


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text("latin-1")
    except FileNotFoundError:
        return False


def ended(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_that_are_left_are_ended_and_named() -> None:
    done = ended([*CONTAINED, "-c", PROCESSES_STARTED])
    assert done.returncode == 3
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 4
    assert not any(map(is_running, pids))
    assert all(f"left behind and ended: {pid} {sys.executable}" in done.stderr for pid in pids)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_test_that_hangs_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FAILING_TEST)
    done = subprocess.run(
        [*CONTAINED, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode != 0
    assert not is_running(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("ignored", [False, True])
def test_the_command_has_its_usual_sigint(ignored: bool) -> None:
    handler = "import signal; print(signal.getsignal(signal.SIGINT).__name__)"
    shell = 'trap "" INT; exec "$@"' if ignored else 'exec "$@"'
    done = ended(["sh", "-c", shell, "sh", *CONTAINED, "-c", handler])
    assert done.stdout == "default_int_handler\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_the_command(number: int, tmp_path: Path) -> None:
    script = (
        "import time\n"
        "try:\n    print('ready', flush=True); time.sleep(600)\n"
        "finally:\n    print('bye')"
    )
    with subprocess.Popen(
        [*CONTAINED, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
            assert process.stdout.read() == "bye\n"
            assert process.wait(PATIENCE) == 130
        finally:
            process.kill()


def test_a_signal_that_comes_while_the_command_starts_reaches_it() -> None:
    script = (
        "import os, signal, subprocess, sys, tools.contained as contained\n"
        "class Signalled(subprocess.Popen):\n"
        "    def __init__(self, *arguments, **options):\n"
        "        super().__init__(*arguments, **options)\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "contained.subprocess.Popen = Signalled\n"
        "sys.exit(contained.main([sys.executable, '-c', 'import time; time.sleep(600)']))"
    )
    done = ended([sys.executable, "-c", script])
    assert done.returncode in (1, 128 + signal.SIGINT)


def test_the_second_signal_kills_it() -> None:
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, lambda *_: print('no', flush=True))\n"
        "print('ready', flush=True)\n"
        "while True: signal.pause()"
    )
    with subprocess.Popen(
        [*CONTAINED, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            for line in ("ready\n", "no\n"):
                assert process.stdout.readline() == line
                process.send_signal(signal.SIGINT)
            wait_until(lambda: process.poll() is not None)
            assert process.returncode == 128 + signal.SIGKILL
        finally:
            process.kill()
