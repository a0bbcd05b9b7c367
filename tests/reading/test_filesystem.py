"""regather:// in fsspec: found by its entry point, over real sockets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import regather
from tests.reading.support import PIECE, SIZE, Made, split_for_reading
from tests.support.hosting import Hosting
from tests.support.net import free_port


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return split_for_reading(tmp_path_factory.mktemp("fs"), fragments=4, servers=4, replicas=2)


@pytest.fixture(scope="module")
def served(made: Made) -> Iterator[list[str]]:
    with Hosting() as hosting:
        yield [hosting.serve(folder).url for folder in (made.folder, *made.servers)]


def test_by_url(made: Made, served: list[str]) -> None:
    url = f"regather://{served[0]}file.bin.regather.json"
    with fsspec.open(url, servers=served[1:]) as file:
        assert isinstance(file, regather.RemoteFile)
        file.seek(1000)
        assert file.read(5000) == made.content[1000:6000]
    fs, path = fsspec.url_to_fs(url, servers=served[1:])
    assert path == f"{served[0]}file.bin.regather.json"
    assert fs.exists(url)
    assert fs.isfile(path)
    assert fs.size(path) == SIZE
    assert fs.glob(path) == [path]
    assert not fs.exists(f"{served[0]}no.regather.json")
    with pytest.raises(FileNotFoundError):
        fs.info(f"{served[0]}no.regather.json")
    with pytest.raises(regather.TransportError):
        fs.info(f"http://127.0.0.1:{free_port()}/x.regather.json")


def test_by_path(made: Made) -> None:
    fs = fsspec.filesystem("regather")
    info = fs.info(made.manifest)
    assert info == {
        "name": made.manifest,
        "size": SIZE,
        "type": "file",
        "file": "file.bin",
        "digest": regather.Manifest.from_bytes(Path(made.manifest).read_bytes()).digest,
    }
    assert fs.ls(str(made.folder)) == fs.ls(made.manifest) == [info]
    assert fs.ls(str(made.folder), detail=False) == [made.manifest]
    assert fs.isdir(str(made.folder))
    assert fs.cat(made.manifest) == made.content
    assert fs.head(made.manifest, 100) == made.content[:100]
    assert fs.tail(made.manifest, 100) == made.content[-100:]
    assert fs.ukey(made.manifest) == info["digest"]
    with pytest.raises(FileNotFoundError):
        fs.info("/no/such.regather.json")
    with pytest.raises(FileNotFoundError):
        fs.open("/no/such.regather.json")


def test_it_only_reads(made: Made) -> None:
    fs = fsspec.filesystem("regather")
    for mode in ("wb", "ab", "r+b"):
        with pytest.raises(regather.UsageError, match="only read"):
            fs.open(made.manifest, mode)
    with pytest.raises(NotImplementedError):
        fs.rm_file(made.manifest)


def test_ranges(made: Made, served: list[str]) -> None:
    fs = fsspec.filesystem("regather", servers=served[1:])
    here, missing = made.manifest, "/no/such.regather.json"
    got = fs.cat_ranges([here, here, missing, here, here], [0, 5, 0, None, -10], [9, 8, 3, 4, None])
    content = made.content
    assert got[:2] == [content[:9], content[5:8]]
    assert isinstance(got[2], FileNotFoundError)
    assert got[3:] == [content[:4], content[-10:]]
    assert fs.cat_file(here, -7, -2) == content[-7:-2]
    assert fs.cat_ranges([here, here], 3, [5, 6]) == [content[3:5], content[3:6]]
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([missing], [0], [1], on_error="raise")
    with pytest.raises(ValueError, match="equally many"):
        fs.cat_ranges([here], [0, 1], [1])


def test_options(made: Made, served: list[str]) -> None:
    fs = fsspec.filesystem(
        "regather", servers=served[1:], digest="0" * 64, skip_instance_cache=True
    )
    with pytest.raises(regather.VerificationError):
        fs.info(made.manifest)
    with pytest.raises(regather.UsageError, match="connections"):
        fsspec.filesystem("regather", connections=0)
    fs = fsspec.filesystem("regather", servers=served[1:], cache_size=PIECE)
    with fs.open(made.manifest) as file:
        file.read(10 * PIECE)
        assert file._fetcher._cache.size == PIECE


@pytest.mark.parametrize(
    ("option", "value"),
    [("proxy", "no such://"), ("known_hosts", "missing"), ("cookies", "missing")],
)
def test_every_field_of_settings_is_heeded(made: Made, option: str, value: str) -> None:
    """None is passed over in silence: a proxy that is not used gives away who reads."""
    with pytest.raises(regather.UsageError):
        fsspec.filesystem("regather", **{option: value}).cat_file(str(made.manifest), 0, 1)


def test_a_manifest_is_remembered_until_told(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "a.regather.json"
    path.write_bytes(Path(made.manifest).read_bytes())
    fs = fsspec.filesystem("regather", servers=[str(made.servers[0])])
    assert fs.size(str(path)) == SIZE
    path.unlink()
    assert fs.size(str(path)) == SIZE
    fs.invalidate_cache(str(path))
    assert not fs.exists(str(path))


def test_a_data_set_of_pyarrow(tmp_path: Path) -> None:
    table = pa.table({"a": range(1000), "b": range(1000, 2000)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=100)
    regather.split(tmp_path / "t.parquet", tmp_path / "out")
    fs = fsspec.filesystem("regather")
    path = str(tmp_path / "out" / "t.parquet.regather.json")
    dataset = ds.dataset(path, filesystem=fs, format="parquet")
    found = dataset.to_table(columns=["b"], filter=ds.field("a") < 250)
    assert found.column("b").to_pylist() == list(range(1000, 1250))


def test_nothing_of_it_is_imported_before_it_is_used() -> None:
    code = "import sys, regather; print(regather.__version__, *sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "regather.reading" not in told.stdout
    code = "import sys, regather; regather.open; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "regather.reading.file" in told.stdout
    assert "fsspec" not in told.stdout
