"""Which server of a cluster gets which fault."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import regather
from regather.cli.cluster import _faults_by_server
from regather.errors import UsageError


def test_a_number_in_front_means_that_server_alone() -> None:
    given = ["reset@0.1", "2:die@10s", "2:error:503@0.5", "slow:20MB"]
    assert _faults_by_server(given, 3) == [
        ["reset@0.1", "slow:20MB"],
        ["reset@0.1", "die@10s", "error:503@0.5", "slow:20MB"],
        ["reset@0.1", "slow:20MB"],
    ]


@pytest.mark.parametrize("fault", ["0:die", "4:die", "2:", "2:explode", "x:die", "-1:die"])
def test_what_cannot_be_is_told_before_anything_starts(fault: str) -> None:
    with pytest.raises(UsageError):
        _faults_by_server([fault], 3)


@pytest.mark.parametrize("as_json", [False, True])
def test_it_says_which_server_ended(tmp_path: Path, as_json: bool) -> None:
    (tmp_path / "file.bin").write_bytes(bytes(1000))
    regather.split(tmp_path / "file.bin", tmp_path / "out", servers=2)
    words = ["cluster", str(tmp_path / "out"), "--fault", "2:die@0.1s", *["--json"] * as_json]
    command = [sys.executable, "-m", "regather", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        if as_json:
            url = json.loads(line)["urls"][1]
            event = json.loads(process.stdout.readline())
            assert (event["event"], event["url"]) == ("ended", url)
        else:
            url = process.stdout.readline().split()[0]
            assert process.stderr.readline() == f"regather: {url} ended with exit code 70\n"
        process.terminate()


def test_requests_to_all_servers_are_logged(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(bytes(1000))
    regather.split(tmp_path / "file.bin", tmp_path / "out", servers=2)
    words = ["cluster", str(tmp_path / "out"), "--json", "-v", "--log-format", "json"]
    command = [sys.executable, "-m", "regather", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        urls = json.loads(process.stdout.readline())["urls"]
        for url in urls:
            with urllib.request.urlopen(url, timeout=60) as answer:
                answer.read()
            line = json.loads(process.stderr.readline())
            assert (line["event"], line["status"]) == ("request", 200)
            assert f"http://{line['server']}/" == url
        process.terminate()
