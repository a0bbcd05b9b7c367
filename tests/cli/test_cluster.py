"""Which server of a cluster gets which fault."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

import regather
from regather.cli.cluster import _faults_by_server
from regather.errors import UsageError
from tests.support.files import regather as run
from tests.support.processes import talking


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
    words: list[str | Path] = [
        "cluster",
        tmp_path / "out",
        "--fault",
        "2:die@0.1s",
        *["--json"] * as_json,
    ]
    with talking(*words) as (_, output, errors):
        line = output.readline()
        if as_json:
            url = json.loads(line)["urls"][1]
            event = json.loads(output.readline())
            assert (event["event"], event["url"]) == ("ended", url)
        else:
            url = output.readline().split()[0]
            assert errors.readline() == f"regather: {url} ended with exit code 70\n"


def test_requests_to_all_servers_are_logged(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(bytes(1000))
    regather.split(tmp_path / "file.bin", tmp_path / "out", servers=2)
    words: list[str | Path] = ["cluster", tmp_path / "out", "--json", "-v", "--log-format", "json"]
    with talking(*words) as (_, output, errors):
        urls = json.loads(output.readline())["urls"]
        for url in urls:
            with urllib.request.urlopen(url, timeout=60) as answer:
                answer.read()
            line = json.loads(errors.readline())
            assert (line["event"], line["status"]) == ("request", 200)
            assert f"http://{line['server']}/" == url


def test_a_page_of_a_manifest_that_cannot_be_read(tmp_path: Path) -> None:
    """It says which."""
    (tmp_path / "server1").mkdir()
    manifest = tmp_path / "file.bin.regather.json"
    manifest.write_text("{")
    done = run("cluster", tmp_path, "--page")
    assert done.returncode == 3
    assert done.stderr.startswith(f"regather: {manifest}: not JSON")
    assert done.stderr.count("\n") == 1
