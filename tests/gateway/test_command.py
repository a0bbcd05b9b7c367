"""``regather gateway`` as a process: what it prints, serves, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import regather
from regather.cluster import Cluster
from tests.gateway.support import get
from tests.support.small import PIECE, small

COMMAND = [sys.executable, "-m", "regather"]


def test_one_of_three_servers_is_killed(tmp_path: Path) -> None:
    part = small([400 * PIECE, 400 * PIECE], parity=1)
    manifest = part.write(tmp_path, {"1": [1], "2": [2], "3": [3]})
    content = b"".join(part.content[name] for name in part.names[:2])
    with Cluster([tmp_path / name for name in "123"]) as cluster:
        servers = [word for url in cluster.urls for word in ("--server", url)]
        arguments = ["gateway", str(manifest), "--port", "0", "--json", "-v", *servers]
        process = subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            line = json.loads(process.stdout.readline())
            assert (line["event"], line["path"]) == ("listening", str(manifest))
            url = line["url"]
            assert get(url, "small", Range="bytes=0-99").body == content[:100]
            cluster.members[0].kill()
            assert get(url, "small").body == content
            got = regather.download(f"{url}small.regather.json", tmp_path / "copy")
            assert Path(got.path).read_bytes() == content
        finally:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "GET /small bytes=0-99 206 100 " in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none.regather.json"], 2, "none.regather.json: no such file"),
        (["a.regather.json", "b.regather.json", "--digest", "0" * 64], 2, "--digest is that of"),
        (["x", "--max-clients", "0"], 2, "--max-clients"),
        (["http://127.0.0.1:1/x.regather.json"], 4, "cannot get the manifest"),
    ],
)
def test_what_cannot_be_served(arguments: list[str], code: int, said: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [*COMMAND, "gateway", "--port", "0", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (code, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
