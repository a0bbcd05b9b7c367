"""Live progress, as it shows on a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import regather
from tests.support.files import alone, random_file
from tests.support.hosting import Hosting
from tests.support.net import free_port


def on_a_terminal(
    *arguments: str | Path, term: str = "xterm", columns: int = 120
) -> tuple[int, str]:
    """Run the command with its standard error on a terminal; return exit code and what it shows."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": term, "COLUMNS": str(columns)}
    process = subprocess.Popen(
        [sys.executable, "-m", "regather", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=slave,
        env=environment,
    )
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # the other end was closed
        while data := os.read(master, 65536):
            shown += data
    os.close(master)
    process.communicate(timeout=60)
    return process.returncode, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def test_get_shows_every_source_and_the_total(tmp_path: Path, hosting: Hosting) -> None:
    random_file(tmp_path / "file.bin", 4_000_000)
    regather.split(tmp_path / "file.bin", tmp_path / "out", servers=2)
    urls = [hosting.serve(tmp_path / f"out/server{n}", faults=["slow:1MB"]).url for n in (1, 2)]
    servers = [word for url in urls for word in ("--server", url)]
    manifest = alone(tmp_path / "out/file.bin.regather.json")
    code, shown = on_a_terminal("get", manifest, *servers, "-o", tmp_path / "got")
    assert code == 0, shown
    assert "Traceback" not in shown
    hosts = [url.removeprefix("http://").rstrip("/") for url in urls]
    for word in ("source", "state", "rate", "errors", "active", "left", "of 3.8 MiB", *hosts):
        assert word in shown, word


def test_a_list_shows_every_file_and_the_total(tmp_path: Path, hosting: Hosting) -> None:
    (tmp_path / "d").mkdir()
    for name in ("one", "two", "three"):
        random_file(tmp_path / "d" / name, 1_000_000)
    url = hosting.serve(tmp_path / "d", faults=["slow:1MB"]).url
    listed = tmp_path / "list"
    listed.write_text("".join(f"{url}{name}\n" for name in ("one", "two", "three")))
    for term in ("xterm", "dumb"):
        code, shown = on_a_terminal("get", "-i", listed, "-o", tmp_path / term, term=term)
        assert code == 0, shown
        assert re.search(r"\bone\b.* %", shown)
        assert "of 3 files" in shown


def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path, hosting: Hosting) -> None:
    (tmp_path / "d").mkdir()
    random_file(tmp_path / "d" / "file.bin", 4_000_000)
    url = hosting.serve(tmp_path / "d", faults=["slow:2MB"]).url
    code, shown = on_a_terminal("get", f"{url}file.bin", "-o", tmp_path / "got", term="dumb")
    assert code == 0, shown
    assert re.search(r"^downloading got: \d+ % of 3.8 MiB", shown, re.MULTILINE), shown


def test_a_check_without_reading_leaves_no_bar(tmp_path: Path) -> None:
    random_file(tmp_path / "file.bin", 5000)
    regather.split(tmp_path / "file.bin", tmp_path / "out")
    code, shown = on_a_terminal("check", tmp_path / "out/file.bin.regather.json")
    assert code == 0, shown
    assert "0/?" not in shown


def test_long_steps_show_a_bar(tmp_path: Path) -> None:
    code, shown = on_a_terminal("generate", tmp_path / "x", "--size", "50MB")
    assert code == 0
    assert "writing x" in shown
    assert not re.search(r"\d [kMG]B/s", shown), "binary units, as everywhere"
    code, shown = on_a_terminal("split", tmp_path / "x", "--out", tmp_path / "o")
    assert code == 0
    assert "splitting x" in shown
    code, shown = on_a_terminal("publish", tmp_path / "x", "--to", tmp_path / "p")
    assert code == 0
    assert "publishing x" in shown
    code, shown = on_a_terminal("split", tmp_path / "x", "--out", tmp_path / "o2", "--quiet")
    assert (code, shown) == (0, "")


def test_get_shows_whom_it_waits_for(tmp_path: Path) -> None:
    random_file(tmp_path / "file.bin", 5000)
    regather.split(tmp_path / "file.bin", tmp_path / "out")
    manifest = alone(tmp_path / "out/file.bin.regather.json")
    nobody = f"127.0.0.1:{free_port()}"
    code, shown = on_a_terminal(
        "get", manifest, "--server", nobody, "-o", tmp_path / "got", "--retries", "4"
    )
    assert code == 4, shown
    assert re.search(rf"{nobody}: connection refused, retry [1-4] of 4", shown)
