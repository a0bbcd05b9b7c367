"""The folder beside a local manifest: asked for what the servers that are named do not have."""

from __future__ import annotations

from pathlib import Path

import pytest

import regather
from tests.support.files import random_file
from tests.support.hosting import Hosting
from tests.support.net import free_port

QUICK = regather.Settings(retries=0, connect_timeout=1, timeout=2, sync=False)
SIZE = 3_000_000


@pytest.fixture
def made(tmp_path: Path) -> Path:
    random_file(tmp_path / "f.bin", SIZE)
    regather.split(tmp_path / "f.bin", tmp_path / "out", fragments=3)
    return tmp_path


def test_a_server_that_is_dead(made: Path) -> None:
    report = regather.download(
        made / "out" / "f.bin.regather.json",
        made / "x",
        servers=f"http://127.0.0.1:{free_port()}/",
        settings=QUICK,
    )
    assert (made / "x").read_bytes() == (made / "f.bin").read_bytes()
    assert [source.useful for source in report.sources] == [0, SIZE]


def test_a_server_that_has_some(made: Path) -> None:
    (made / "some").mkdir()
    (made / "out" / "file_fragment_2.dat").rename(made / "some" / "file_fragment_2.dat")
    with Hosting() as hosting:
        url = hosting.serve(made / "some").url
        report = regather.download(
            made / "out" / "f.bin.regather.json", made / "x", servers=url, settings=QUICK
        )
    assert (made / "x").read_bytes() == (made / "f.bin").read_bytes()
    assert [source.useful for source in report.sources] == [SIZE // 3, SIZE - SIZE // 3]


def test_servers_that_have_all_are_enough(made: Path) -> None:
    seen: list[regather.Progress] = []
    with Hosting() as hosting:
        url = hosting.serve(made / "out").url
        report = regather.download(
            made / "out" / "f.bin.regather.json",
            made / "x",
            servers=url,
            settings=QUICK,
            on_progress=seen.append,
        )
    assert [source.url for source in report.sources] == [url]
    assert max(len(progress.sources) for progress in seen) == 1
