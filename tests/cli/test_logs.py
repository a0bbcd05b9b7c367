"""What --verbose and --log say of a download."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

import regather
from tests.support.files import random_file
from tests.support.files import regather as run
from tests.support.hosting import Hosting
from tests.support.net import free_port


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    random_file(tmp_path / "file.bin", 500_000)
    regather.split(tmp_path / "file.bin", tmp_path / "out", servers=2, replicas=2)
    return tmp_path / "out/file.bin.regather.json"


def test_verbose_tells_what_each_source_did(manifest: Path, hosting: Hosting) -> None:
    # Slow: the download must not end before the other one has refused.
    good = hosting.serve(manifest.parent / "server1", faults=["slow:250KB"]).url
    dead = f"http://127.0.0.1:{free_port()}/"
    servers = ("--server", good, "--server", dead)
    told = run("get", manifest, *servers, "-o", manifest.parent / "got", "-v", "-q")
    assert told.returncode == 0, told.stderr
    assert told.stdout == ""
    lines = told.stderr.splitlines()
    assert all(re.match(r" *\d+ ms  ", line) for line in lines), told.stderr
    assert any(
        f"{dead}: failing, next attempt in" in line and "Connection refused" in line
        for line in lines
    )
    assert any(f"{dead}: in all 0 B, " in line for line in lines)
    assert any(f"{good}: in all 488.3 KiB" in line for line in lines)


def test_a_log_is_appended_to(manifest: Path, hosting: Hosting) -> None:
    good = hosting.serve(manifest.parent / "server1").url
    log = manifest.parent / "log"
    log.write_text("before\n")
    for name in ("a", "b"):
        command = ("get", manifest, "--server", good, "-o", manifest.parent / name, "--log", log)
        told = run(*command, "--json")
        assert told.returncode == 0, told.stderr
        assert told.stderr == ""
    lines = log.read_text().splitlines()
    assert lines[0] == "before"
    assert sum(f"{good}: in all 488.3 KiB" in line for line in lines) == 2
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  ", line) for line in lines[1:])


def test_a_log_as_json(manifest: Path, hosting: Hosting) -> None:
    good = hosting.serve(manifest.parent / "server1").url
    log, output = manifest.parent / "log", manifest.parent / "got"
    words = ("--server", good, "-o", output, "-v", "-q", "--log", log, "--log-format", "json")
    told = run("get", manifest, *words)
    assert told.returncode == 0, told.stderr
    shown, logged = (
        [json.loads(x) for x in t.splitlines()] for t in (told.stderr, log.read_text())
    )
    assert any(line["message"].startswith(f"{good}: in all 488.3 KiB") for line in shown)
    assert {line["level"] for line in shown} == {"info"}
    assert {line["level"] for line in logged} == {"info", "debug"}
    assert shown[0].keys() == {"time", "event", "level", "logger", "message"}


def test_a_list_is_logged_too(tmp_path: Path, hosting: Hosting) -> None:
    random_file(tmp_path / "one", 5000)
    url = hosting.serve(tmp_path / "one").url
    (tmp_path / "list").write_text(f"{url}one\n")
    told = run("get", "-i", tmp_path / "list", "-o", tmp_path / "o", "-v")
    assert told.returncode == 0, told.stderr
    assert "one: in all 4.9 KiB" in told.stderr


def test_a_log_that_cannot_be_written(manifest: Path) -> None:
    told = run("get", manifest, "-o", manifest.parent / "x", "--log", manifest.parent / "no/log")
    assert told.returncode == 2
    assert re.search(r"--log .*/no/log: no such file or directory; name a file", told.stderr)
    assert not (manifest.parent / "x").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is full")
def test_a_log_that_cannot_go_on_ends_with_one_line(manifest: Path) -> None:
    told = run("get", manifest, "-o", manifest.parent / "x", "--log", "/dev/full")
    assert (told.returncode, told.stderr) == (
        0,
        "regather: warning: --log /dev/full: no space left on device; the log ends here\n",
    )


@pytest.mark.parametrize("option", ["manifest", "output"])
def test_a_log_spoils_no_file_that_the_command_names(manifest: Path, option: str) -> None:
    before, output = manifest.read_bytes(), manifest.parent / "x"
    log = manifest.parent / "." / manifest.name if option == "manifest" else output
    told = run("get", manifest, "-o", output, "--log", log)
    assert told.returncode == 2
    assert "the command names this file for something else; name another" in told.stderr
    assert manifest.read_bytes() == before
    assert not output.exists()


def test_who_sent_something_was_used(manifest: Path) -> None:
    told = run("get", manifest, "-o", manifest.parent / "x", "-v")
    assert "not used" not in told.stderr
    assert "in all" in told.stderr


def test_each_request_is_told_without_secrets(tmp_path: Path, hosting: Hosting) -> None:
    random_file(tmp_path / "file.bin", 5000)
    url = hosting.serve(tmp_path / "file.bin").url
    told = run(
        "get",
        f"{url}file.bin?signature=SECRET",
        "-o",
        tmp_path / "got",
        "-vv",
        "--log",
        tmp_path / "log",
    )
    assert told.returncode == 0, told.stderr
    for text in (told.stderr, (tmp_path / "log").read_text()):
        assert f"GET {url}file.bin (bytes=0-16383): HTTP 206, bytes 0-4999/5000, " in text
        assert "SECRET" not in text


def test_check_tells_of_failures(manifest: Path) -> None:
    dead = f"http://127.0.0.1:{free_port()}/"
    told = run("check", manifest, "--server", dead, "-v", "-q", "--retries", "1")
    assert told.returncode == 4, told.stderr
    assert "Connection refused; next attempt in " in told.stderr
