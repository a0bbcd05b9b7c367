"""fsspec's own tests of how a file system lists, finds and copies (fsspec.tests.abstract).

They write what they then read, so a file system that can be written stands in for ours: only its
writing is made up. Of that suite, ``test_open_exclusive`` is left out, which only writes, and so
are put, pipe and copy.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

import regather
from regather.reading import paths
from regather.reading.filesystem import RegatherFileSystem
from tests.support.hosting import Hosting


class Writable(RegatherFileSystem):
    """What is written is split: the manifest gets its place, the fragments are hosted elsewhere."""

    store: Path
    url: str
    cachable = False

    def pipe_file(self, path: str, value: bytes, **_: Any) -> None:
        name = md5(value).hexdigest()
        manifest = self.store / name / "file.regather.json"
        if not manifest.exists():
            original = self.store / "file"
            original.write_bytes(value)
            at = [f"{self.url}{name}/server1/"]
            regather.split(original, self.store / name, fragments=1, servers=1, at=at)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy(manifest, path)

    def touch(self, path: str, **_: Any) -> None:
        self.pipe_file(path, b"")

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        os.makedirs(path, exist_ok=exist_ok)

    mkdir = makedirs

    def rm(self, path: str, recursive: bool = False, **_: Any) -> None:
        shutil.rmtree(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("store")
    with Hosting() as hosting:
        yield folder, hosting.serve(folder).url


class TestGet(AbstractFixtures, AbstractGetTests):  # type: ignore[misc]  # fsspec has no types
    @pytest.fixture
    def fs(self, store: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Writable:
        # Their manifests have the names of the files.
        monkeypatch.setattr(paths, "MANIFEST_SUFFIX", "")
        made = Writable()
        made.store, made.url = store
        return made

    @pytest.fixture
    def fs_path(self, tmp_path: Path) -> str:
        return str(tmp_path / "hosted")

    @pytest.fixture
    def local_path(self, tmp_path: Path) -> str:
        return str(tmp_path / "local")

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return os.path.join
