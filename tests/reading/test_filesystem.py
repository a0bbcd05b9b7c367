"""regather:// in fsspec: found by its entry point, over real sockets."""

from __future__ import annotations

import bz2
import errno
import gc
import gzip
import io
import lzma
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
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
    assert fs.ls(made.manifest) == [info]
    assert info in fs.ls(str(made.folder))
    folders = [str(folder) for folder in made.servers]
    assert fs.ls(str(made.folder), detail=False) == [made.manifest, *folders]
    assert fs.isdir(str(made.folder))
    assert fs.cat(made.manifest) == made.content
    assert fs.head(made.manifest, 100) == made.content[:100]
    assert fs.tail(made.manifest, 100) == made.content[-100:]
    assert fs.ukey(made.manifest) == info["digest"]
    with pytest.raises(FileNotFoundError):
        fs.info("/no/such.regather.json")
    with pytest.raises(FileNotFoundError):
        fs.open("/no/such.regather.json")


WRITES: dict[str, Callable[[Any, str], object]] = {
    "wb": lambda fs, path: fs.open(path, "wb"),
    "ab": lambda fs, path: fs.open(path, "ab"),
    "r+b": lambda fs, path: fs.open(path, "r+b"),
    "x": lambda fs, path: fs.open(path, "x"),
    "pipe": lambda fs, path: fs.pipe(path, b"x"),
    "pipe_file": lambda fs, path: fs.pipe_file(path, b"x"),
    "write_text": lambda fs, path: fs.write_text(path, "x"),
    "touch": lambda fs, path: fs.touch(path),
    "put": lambda fs, path: fs.put(path, f"{path}.copy"),
    "put_file": lambda fs, path: fs.put_file(path, f"{path}.copy"),
    "rm": lambda fs, path: fs.rm(path),
    "rm_file": lambda fs, path: fs.rm_file(path),
    "rmdir": lambda fs, path: fs.rmdir(path),
    "mkdir": lambda fs, path: fs.mkdir(f"{path}.d"),
    "makedirs": lambda fs, path: fs.makedirs(f"{path}.d"),
    "mkdirs": lambda fs, path: fs.mkdirs(f"{path}.d"),
    "mv": lambda fs, path: fs.mv(path, f"{path}.moved"),
    "cp": lambda fs, path: fs.cp(path, f"{path}.copy"),
    "cp_file": lambda fs, path: fs.cp_file(path, f"{path}.copy"),
    "fsspec.open": lambda _, path: fsspec.open(f"regather://{path}", "wb").open(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_it_only_reads(made: Made, write: Callable[[Any, str], object]) -> None:
    before = sorted(made.folder.rglob("*"))
    with pytest.raises(io.UnsupportedOperation, match="read-only") as caught:
        write(fsspec.filesystem("regather"), made.manifest)
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, regather.UsageError)
    assert caught.value.errno == errno.EROFS
    assert sorted(made.folder.rglob("*")) == before


READS: dict[str, tuple[Callable[[Any, str, bytes], object], Callable[[bytes], object]]] = {
    "cat_file": (lambda fs, p, _: fs.cat_file(p), bytes),
    "cat_file end": (lambda fs, p, _: fs.cat_file(p, end=-5), lambda c: c[:-5]),
    "cat_file beyond": (lambda fs, p, c: fs.cat_file(p, len(c) - 3, len(c) + 9), lambda c: c[-3:]),
    "cat_file swapped": (lambda fs, p, _: fs.cat_file(p, 9, 3), lambda _: b""),
    "cat_file far below": (lambda fs, p, _: fs.cat_file(p, -(1 << 40), 3), lambda c: c[:3]),
    "head": (lambda fs, p, _: fs.head(p, 7), lambda c: c[:7]),
    "tail": (lambda fs, p, _: fs.tail(p, 7), lambda c: c[-7:]),
    "tail of more": (lambda fs, p, c: fs.tail(p, 2 * len(c)), bytes),
    "read_block": (lambda fs, p, _: fs.read_block(p, 100, 20), lambda c: c[100:120]),
    "read_block delimiter": (
        lambda fs, p, c: fs.read_block(p, 100, 20, c[150:154]),
        lambda c: c[154:154],
    ),
    "read_bytes": (lambda fs, p, _: fs.read_bytes(p, start=5, end=9), lambda c: c[5:9]),
    "size": (
        lambda fs, p, _: (fs.size(p), fs.sizes([p]), fs.info(p)["size"], fs.du(p)),
        lambda c: (len(c), [len(c)], len(c), len(c)),
    ),
    "lexists": (lambda fs, p, _: fs.lexists(p), lambda _: True),
    "isfile": (lambda fs, p, _: (fs.isfile(p), fs.isdir(p)), lambda _: (True, False)),
    "find": (lambda fs, p, _: fs.find(p) == [p], lambda _: True),
    "walk": (lambda fs, p, _: list(fs.walk(p)) == [(p, [], [""])], lambda _: True),
    "expand_path": (lambda fs, p, _: fs.expand_path(p) == [p], lambda _: True),
    "read_text": (
        lambda fs, p, _: fs.read_text(p, encoding="latin-1", newline=""),
        lambda c: c.decode("latin-1"),
    ),
    "open in text mode": (
        lambda fs, p, _: fs.open(p, "rt", encoding="latin-1", newline="").read(9),
        lambda c: c[:9].decode("latin-1"),
    ),
    "unstrip_protocol": (lambda fs, p, _: fs.unstrip_protocol(p) == f"regather://{p}", lambda _: 1),
    "checksum": (lambda fs, p, _: fs.checksum(p) == int(fs.ukey(p), 16), lambda _: True),
    "created": (lambda fs, p, _: fs.created(p) <= fs.modified(p), lambda _: True),
    "get_mapper": (lambda fs, p, _: fs.get_mapper(os.path.dirname(p))[os.path.basename(p)], bytes),
    "tree": (lambda fs, p, _: os.path.basename(p) in fs.tree(os.path.dirname(p)), lambda _: True),
    "cat of several": (lambda fs, p, c: fs.cat([p, p]) == {p: c}, lambda _: True),
}


@pytest.mark.parametrize("name", READS)
def test_what_reads(made: Made, name: str) -> None:
    call, expected = READS[name]
    got = call(fsspec.filesystem("regather"), made.manifest, made.content)
    assert got == expected(made.content)


@pytest.mark.parametrize("kind", ["none", "readahead", "bytes", "all", "first", "blockcache"])
def test_caches_of_fsspec(made: Made, kind: str) -> None:
    fs = fsspec.filesystem("regather")
    with fs.open(made.manifest, block_size=PIECE, cache_type=kind) as file:
        assert file.cache.name == kind
        assert file.read(9) == made.content[:9]
        file.seek(-5, 2)
        again = pickle.loads(pickle.dumps(file))
        assert again.read() == file.read() == made.content[-5:]
        again.close()
    with pytest.warns(match="no option 'x'"):
        fs.open(made.manifest, cache_type=kind, cache_options={"x": 1}).close()


@pytest.fixture(scope="module")
def packed(made: Made, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """URLs of the file, and of archives that it is in as m.bin."""
    folder = tmp_path_factory.mktemp("packed")
    with zipfile.ZipFile(folder / "z.zip", "w") as archive:
        archive.write(made.original, "m.bin")
    with tarfile.open(folder / "t.tar", "w") as tar:
        tar.add(made.original, "m.bin")
    for name in ("z.zip", "t.tar"):
        regather.split(folder / name, folder / f"out-{name}")
    urls = {
        name: f"regather://{folder}/out-{name}/{name}.regather.json" for name in ("z.zip", "t.tar")
    }
    return {"m.bin": f"regather://{made.manifest}", **urls}


CHAINS: dict[str, Callable[[dict[str, str]], Any]] = {
    "zip": lambda at: fsspec.open(f"zip://m.bin::{at['z.zip']}"),
    "tar": lambda at: fsspec.open(f"tar://m.bin::{at['t.tar']}"),
    "simplecache": lambda at: fsspec.open(f"simplecache::{at['m.bin']}"),
    "filecache": lambda at: fsspec.open(
        f"filecache::{at['m.bin']}", filecache={"check_files": True, "cache_storage": at["cache"]}
    ),
    "blockcache": lambda at: fsspec.open(
        f"blockcache::{at['m.bin']}", blockcache={"cache_storage": at["cache"]}
    ),
    "zip over simplecache": lambda at: fsspec.open(f"zip://m.bin::simplecache::{at['z.zip']}"),
    "zip over blockcache": lambda at: fsspec.open(f"zip://m.bin::blockcache::{at['z.zip']}"),
    "dir": lambda at: fsspec.filesystem(
        "dir", path=os.path.dirname(at["m.bin"]), fs=fsspec.filesystem("regather")
    ).open(os.path.basename(at["m.bin"])),
    "several": lambda at: fsspec.open_files([at["m.bin"]])[0],
    "pattern": lambda at: fsspec.open_files(at["m.bin"].replace("file.bin", "*"))[0],
    "local": lambda at: fsspec.open(fsspec.open_local(f"simplecache::{at['m.bin']}")),
}


# What fsspec's blockcache leaves open is not ours.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", CHAINS)
def test_chains(made: Made, packed: dict[str, str], tmp_path: Path, name: str) -> None:
    for _ in range(2):  # the second time a cache has it
        with CHAINS[name]({**packed, "cache": str(tmp_path)}) as file:
            file.seek(1000)
            assert file.read(5 * PIECE) == made.content[1000 : 1000 + 5 * PIECE]
            file.seek(0)
            assert file.read() == made.content
    gc.collect()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"digests": "0" * 64}, "did you mean digest"),
        ({"server": ["x"]}, "did you mean servers"),
        ({"timout": 5}, "did you mean timeout"),
        ({"zzz": 1}, "no option 'zzz'"),
        ({"target_protocol": "http", "fo": "x"}, "without '::'"),
        ({"connections": 0}, "connections"),
        ({"hosts": {"h": {"headers": {"Host": "x"}}}}, "cannot be set"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(OSError, match=told) as caught:
        fsspec.filesystem("regather", **options)
    assert regather.UsageError in type(caught.value).__mro__


def test_options_of_all_file_systems(made: Made) -> None:
    fs = fsspec.filesystem(
        "regather",
        use_listings_cache=False,
        default_block_size=PIECE,
        default_cache_type="readahead",
        default_fill_cache=False,
        asynchronous=False,
    )
    with fs.open(made.manifest) as file:
        assert (file.cache.name, file.blocksize) == ("readahead", PIECE)
    with fs.open(made.manifest, cache_type="") as file:
        assert isinstance(file, regather.RemoteFile)
    for call in (fs.open, fs.cat_file):
        with pytest.raises(OSError, match="did you mean cache_size"):
            call(made.manifest, cache_sizes=1)
    with fs.open(made.manifest, cache_size=PIECE, read_ahead=0, cache_type="") as file:
        assert file._recipe.cache_size == PIECE


def test_one_server_as_a_text(made: Made, served: list[str]) -> None:
    whole = fsspec.filesystem("regather", servers=str(made.servers[0]))
    assert whole._lookup.target(made.manifest).sources[-1].url == f"{made.servers[0]}/"


@pytest.mark.parametrize("kind", [dict, regather.HostOptions])
def test_headers_of_hosts_tell_file_systems_apart(kind: Callable[..., Any]) -> None:
    """Two users must not share what one of them may read, although headers are never shown."""
    one, other = (
        fsspec.filesystem("regather", hosts={"h.example": kind(headers=(("X-Key", key),))})
        for key in "ab"
    )
    assert one is not other
    assert one._settings.hosts["h.example"].headers == (("X-Key", "a"),)
    again = fsspec.AbstractFileSystem.from_json(one.to_json())
    assert again._settings == one._settings


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_compression_by_name(tmp_path: Path, suffix: str) -> None:
    content = b"a,b\n1,2\n"
    made = {
        "gz": gzip.compress(content),
        "bz2": bz2.compress(content),
        "xz": lzma.compress(content),
    }
    packed = made[suffix]
    (tmp_path / f"t.csv.{suffix}").write_bytes(packed)
    regather.split(tmp_path / f"t.csv.{suffix}", tmp_path / "out", fragments=1)
    short = f"regather://{tmp_path}/out/t.csv.{suffix}"
    full = f"{short}.regather.json"
    with fsspec.open(short, compression="infer") as file:
        assert file.read() == content
    assert pd.read_csv(short).to_dict("list") == {"a": [1], "b": [2]}
    fs = fsspec.filesystem("regather")
    for name in (short, full):  # it knows the name of the file itself
        with fs.open(name, compression="infer") as file:
            assert file.read() == content
        with fs.open(name, "rt", compression="infer") as file:
            assert file.read() == content.decode()
        with fs.open(name) as file:
            assert file.read() == packed


def test_what_no_file_system_of_this_kind_has(made: Made) -> None:
    with pytest.raises(NotImplementedError):
        fsspec.filesystem("regather").sign(made.manifest)


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
    with pytest.raises(ValueError, match="the same length"):
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
        assert file._session._store.used == PIECE


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
