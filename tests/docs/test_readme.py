"""The README: its commands run on a smaller file; its figures are those of the record."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bench.readme import filled

import regather

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(kind, text) for kind, text in FENCE.findall(README)]
SHELL = [text for kind, text in BLOCKS if kind == "sh"]
INSTALL, FIVE, *JOBS = SHELL
LINES = 120
# In place of a fixed time: until the servers that the line starts listen.
WAIT = """wait_for() {
  for port; do until (exec 3<>/dev/tcp/127.0.0.1/$port) 2>&-; do sleep 0.1; done; done
}
"""


@contextmanager
def free_decades(count: int) -> Iterator[list[str]]:
    """What to write before the last digit, so that ports 1 to 9 of each are free.

    Port 0 of each is kept meanwhile: another worker of the tests may run the same.
    """
    found = []
    with ExitStack() as kept:
        for decade in range(2100 + os.getpid() % 800, 3200):
            try:
                with ExitStack() as stack:
                    taken = [
                        stack.enter_context(
                            socket.create_server(("127.0.0.1", decade * 10 + digit))
                        )
                        for digit in range(10)
                    ]
                    kept.enter_context(taken[0].dup())
            except OSError:
                continue
            found.append(str(decade))
            if len(found) == count:
                yield found
                return
    raise AssertionError("no free ports")


def waiting(line: str) -> str:
    """Return a line of the README with its fixed time replaced by what it is for."""
    ports = []
    if each := re.search(r"for n in ([\d ]+);.* --port (\d+)\$n", line):
        ports = [each[2] + n for n in each[1].split()]
    elif first := re.search(r"--first-port (\d+)", line):
        ports = [str(int(first[1]) + n) for n in range(6)]
    elif one := re.search(r"--port (\d+) &", line):
        ports = [one[1]]
    return re.sub(r"sleep \d+$", " ".join(["wait_for", *ports]), line)


@dataclass
class Ran:
    folder: Path
    output: str
    errors: str


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Every command but the installation, by one shell, as pasted: nobody waits for a server."""
    with free_decades(4) as free:
        return _run(tmp_path_factory.mktemp("readme"), free)


def _run(folder: Path, decades: list[str]) -> Ran:
    script = FIVE + "".join(JOBS)
    script = script.replace("1GB", "20MB").replace("200MB", "10MB")
    for known, free in zip(("900", "800", "801", "802"), decades, strict=True):
        script = re.sub(rf"\b{known}(?=\d\b|\{{|\$)", free, script)
    assert not re.search(r"\b[89]0[0-9](?=\d\b|\{|\$)", script)
    script = WAIT + "\n".join(waiting(line) for line in script.splitlines())
    tools = Path(sys.executable).parent
    with subprocess.Popen(
        ["bash", "-c", "set -ex\n" + script + "\nkill $(jobs -p) || true\nwait\n"],
        cwd=folder,
        env={"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(folder), "no_proxy": "*"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            output, errors = shell.communicate(timeout=150)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            output, errors = shell.communicate()
    assert shell.returncode == 0, output + errors
    return Ran(folder, output, errors)


def test_the_two_lines_install(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -e\n{INSTALL}\ncommand -v regather\nregather --version"],
        cwd=ROOT,
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "PIP_CACHE_DIR": str(Path.home() / ".cache" / "pip"),
            "PIP_NO_COMPILE": "1",
        },
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(tmp_path) in done.stdout
    assert f"regather {regather.__version__}" in done.stdout


def test_the_demo_of_a_new_clone_installs_what_it_needs_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "--dry-run", "demo", f"VENV={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.findall(r"-r (\S+)", done.stdout) == ["requirements/runtime.txt"]


def test_the_five_lines_leave_what_they_promise(ran: Ran) -> None:
    original = (ran.folder / "large_file.txt").read_bytes()
    assert (ran.folder / "copy.txt").read_bytes() == original
    assert "\nidentical\n" in ran.output
    assert len(list((ran.folder / "hosted").glob("server[14]/file_fragment_*.dat"))) == 2


def test_the_jobs_leave_what_they_promise(ran: Ran) -> None:
    original = (ran.folder / "weights.bin").read_bytes()
    for copy in ("mirrored.bin", "hosted.bin", "dataset_copy/weights.bin"):
        assert (ran.folder / copy).read_bytes() == original
    names = ["SHA256SUMS", "weights.bin"]
    assert sorted(path.name for path in (ran.folder / "dataset_copy").iterdir()) == names


def test_the_output_shown_is_what_the_last_two_lines_print(ran: Ran) -> None:
    """Numbers differ, and so do the errors of a source: they are what is left out.

    Server 3 may live to the end of so small a file. Where it does not, and server 2 sent nothing
    but wrong bytes, the folders beside the manifest may be asked, and have rows as well.
    """

    def form(line: str) -> str:
        line = re.sub(r", \d+ errors?, last: .*", "", line)
        line = re.sub(r"127\.0\.0\.1:\d+", "HOST", line)
        return re.sub(r"\b\d[\d.]*(?: [KMGT]?i?B\b)?", "N", line)

    shown = next(text for kind, text in BLOCKS if kind == "text").splitlines()
    lines = (ran.output + ran.errors).splitlines()
    assert any("ended with exit code" in line for line in shown)
    shown = [line for line in shown if "ended with exit code" not in line]
    real = [
        line
        for line in lines
        if re.match(r"copy\.txt: |identical|\S.*\bserver[14]/|\w+\.txt: healthy", line)
    ]
    assert [form(line) for line in shown if not line.startswith(" ")] == [
        form(line) for line in real
    ]
    for line in shown:
        assert form(line) in {form(line) for line in lines}, line


def test_the_figures_are_those_of_the_record() -> None:
    record = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert filled(README, record) == README, "call: python -m bench.readme"


def test_another_record_gives_other_figures() -> None:
    record = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    shown = re.search(r"is faster\) \| 1 \| ([\d.]+)", README)
    assert shown is not None
    assert filled(README, record.replace(f"| {shown[1]} |", "| 0.11 |")) != README


def test_it_fits_a_first_look() -> None:
    assert len(README.splitlines()) <= LINES


def test_its_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", README)
    assert len(targets) > 10
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_picture_needs_nothing_from_elsewhere() -> None:
    path = ROOT / "docs" / "picture.svg"
    text = path.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    title, described = root.find(f"{space}title"), root.find(f"{space}desc")
    assert path.stat().st_size <= 60 << 10
    assert title is not None
    assert title.text
    assert described is not None
    assert "python -m bench.picture" in (described.text or "")
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"(?:href|src)=|url\(|@import|@font-face", text)
