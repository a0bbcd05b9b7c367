"""Repairs that are killed at any moment."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from regather.files.atomic import PREFIX
from regather.server.authorization import Tokens
from regather.upkeep.inspection import check
from tests.support.files import regather
from tests.support.hosting import Hosting
from tests.support.net import wait_until
from tests.support.small import PIECE, Small, flip, small

SIX = {f"server{n}": [n] for n in range(1, 7)}


def visible(folder: Path) -> dict[str, bytes]:
    """Fragments by path, without what is on its way."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*.dat")
        if not p.name.startswith(PREFIX)
    }


def begin(*arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "regather", "repair", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.timeout(600)
def test_kill_at_any_moment(tmp_path: Path) -> None:
    coded: Small = small([1500 * PIECE] * 4, parity=2)
    hosted, temp = tmp_path / "hosted", tmp_path / "temp"
    temp.mkdir()
    path = coded.write(hosted, SIX)
    rng = random.Random(11)
    killed = 0
    for attempt in range(60):
        if killed == 20:
            break
        (hosted / "server1" / coded.names[0]).unlink(missing_ok=True)
        flip(hosted / "server5" / coded.names[4], rng.randrange(8 * 1500 * PIECE))
        before = visible(hosted)
        process = begin(path, "--temp", temp)
        if attempt % 2:
            # As soon as something is on its way to a source.
            wait_until(
                lambda p=process: any(hosted.rglob(f"{PREFIX}*")) or p.poll() is not None,  # type: ignore[misc]
                what="a fragment on its way",
            )
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.2, 0.7))
        killed += process.poll() is None
        process.kill()
        process.wait()
        for name, content in visible(hosted).items():
            right = coded.content[name.rpartition("/")[2]]
            assert content in (right, before.get(name, right)), name
        assert list(temp.iterdir()) == []
    assert killed == 20
    done = regather("repair", path, "--temp", temp)
    assert done.returncode == 0, done
    assert coded.wrong(hosted) == []
    assert list(hosted.rglob(f"{PREFIX}*")) == []
    assert check(path, read_data=1).status == "healthy"


def test_ctrl_c_while_a_server_stalls(tmp_path: Path, hosting: Hosting) -> None:
    plain = small([3000 * PIECE])
    plain.write(tmp_path, {"good": [1], "new": []})
    slow = hosting.serve(tmp_path / "good", faults=["slow:100KB"])
    new = hosting.serve(tmp_path / "new", tokens=Tokens(write="secret"))
    path = plain.at({slow.url: [1], new.url: [1]}).write(tmp_path, {})
    process = begin(path, "--quick")

    def asked() -> int:
        with urllib.request.urlopen(slow.url + "-/health") as answer:
            return int(json.load(answer)["requests"])

    wait_until(lambda: asked() >= 2, what="a size and a piece to be asked for")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not (tmp_path / "new" / plain.names[0]).exists()
