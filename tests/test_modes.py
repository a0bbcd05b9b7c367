"""Whatever a command writes has the mode that the user's umask leaves: nothing of it is secret."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import regather
from tests.support.files import random_file
from tests.support.hosting import Hosting

QUICK = regather.Settings(sync=False)


@pytest.fixture(params=[0o022, 0o002, 0o027, 0], ids=oct)
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_files_and_folders(mask: int, tmp_path: Path) -> None:
    original = random_file(tmp_path / "f", 300_000)
    regather.split(original, tmp_path / "split", fragments=2, parity=1)
    manifest = tmp_path / "split" / "f.regather.json"
    regather.publish(original, [tmp_path / "p1", tmp_path / "p2"], replicas=2)
    regather.download(manifest, tmp_path / "got", settings=QUICK)
    with Hosting() as hosting:
        url = hosting.serve(tmp_path / "split").url
        regather.download(f"{url}file_fragment_1.dat", tmp_path / "plain", settings=QUICK)
    (tmp_path / "split" / "file_parity_1_1.dat").unlink()
    regather.repair(str(manifest))
    regather.generate(tmp_path / "generated", size=10_000)
    found = [path for path in tmp_path.rglob("*") if path != original]
    assert len(found) > 12
    for path in found:
        full = 0o777 if path.is_dir() else 0o666
        assert oct(path.stat().st_mode & 0o777) == oct(full & ~mask), path


def test_what_replaces_a_file_is_open_to_the_same_users(tmp_path: Path) -> None:
    """`get --force` over a private file must not let others read it; nor may `generate`."""
    original = random_file(tmp_path / "f", 300_000)
    regather.split(original, tmp_path / "split", fragments=2)
    manifest = tmp_path / "split" / "f.regather.json"
    (tmp_path / "generated").write_bytes(b"old")
    with Hosting() as hosting:
        url = hosting.serve(tmp_path / "split").url
        for name, source in (("got", str(manifest)), ("plain", f"{url}file_fragment_1.dat")):
            path = tmp_path / name
            path.write_bytes(b"old")
            for mode in (0o600, 0o660):
                path.chmod(mode)
                regather.download(source, path, force=True, settings=QUICK)
                assert path.read_bytes() != b"old"
                assert oct(path.stat().st_mode & 0o777) == oct(mode), name
    generated = tmp_path / "generated"
    generated.chmod(0o600)
    regather.generate(generated, size=10_000, force=True)
    assert oct(generated.stat().st_mode & 0o777) == "0o600"
