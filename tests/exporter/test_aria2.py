"""What we write is downloaded, and verified piece by piece, by aria2 itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import regather
from regather.metalink.read import read_metalink
from tests.support.files import MIB, random_file
from tests.support.files import regather as run
from tests.support.hosting import Hosting
from tests.support.mirrors import stock_server
from tests.support.nginx import Nginx, needs_nginx
from tests.support.small import flip

ARIA2 = shutil.which("aria2c")
needs_aria2 = pytest.mark.skipif(ARIA2 is None, reason="aria2c is missing: apt-get install aria2")
SIZE = 5 * MIB + 321


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with file.bin, and it split for two servers in out."""
    random_file(tmp_path / "file.bin", SIZE)
    regather.split(tmp_path / "file.bin", tmp_path / "out", servers=2, replicas=2)
    return tmp_path


def aria2(metalink: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    assert ARIA2 is not None
    return subprocess.run(
        [
            *(ARIA2, "--no-conf", "-d", str(folder), "--check-integrity=true"),
            *("--realtime-chunk-checksum=true", "--file-allocation=none", "--max-tries=2"),
            *("--retry-wait=0", "--follow-metalink=mem", str(metalink)),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@needs_aria2
@needs_nginx
def test_the_whole_file_from_mirrors(made: Path, hosting: Hosting) -> None:
    manifest = made / "out" / "file.bin.regather.json"
    metalink = made / "file.meta4"
    with Nginx(made) as nginx:
        ours = hosting.serve(made).url
        options = ("--mirror", nginx.url, "--mirror", ours + "file.bin", "-o", metalink, "-q")
        told = run("metalink", manifest, "--file", made / "file.bin", *options)
        assert told.returncode == 0, told.stderr
        got = aria2(metalink, made / "aria2")
        assert got.returncode == 0, got.stdout
        assert (made / "aria2" / "file.bin").read_bytes() == (made / "file.bin").read_bytes()
        regather.download(str(metalink), made / "ours")
    assert (made / "ours").read_bytes() == (made / "file.bin").read_bytes()


@needs_aria2
def test_aria2_sees_a_wrong_piece_by_our_hashes(made: Path, hosting: Hosting) -> None:
    url = hosting.serve(made).url
    manifest = str(made / "out" / "file.bin.regather.json")
    document = regather.export_metalink(manifest, mirrors=[url])
    (made / "file.meta4").write_bytes(document)
    flip(made / "file.bin", 8 * (3 * MIB + 5))
    got = aria2(made / "file.meta4", made / "aria2")
    assert got.returncode != 0
    assert "checksum" in (got.stdout + got.stderr).lower()


@needs_aria2
def test_fragments_with_all_their_replicas(made: Path, hosting: Hosting) -> None:
    servers = [hosting.serve(made / "out" / f"server{n}").url for n in (1, 2)]
    document = regather.export_metalink(servers[0] + "file.bin.regather.json", servers=servers)
    files = read_metalink(document).files
    assert [f.name for f in files] == [f"file_fragment_{n}.dat" for n in (1, 2, 3)]
    assert all(len(f.mirrors) == 2 for f in files)
    (made / "file.meta4").write_bytes(document)
    got = aria2(made / "file.meta4", made / "aria2")
    assert got.returncode == 0, got.stdout
    joined = b"".join((made / "aria2" / f.name).read_bytes() for f in files)
    assert joined == (made / "file.bin").read_bytes()


def test_a_single_fragment_is_the_whole_file(made: Path) -> None:
    regather.split(
        made / "file.bin", made / "one", fragments=1, at=["https://a.example/d"], servers=1
    )
    manifest = str(made / "one" / "file.bin.regather.json")
    (file,) = read_metalink(regather.export_metalink(manifest, file=made / "file.bin")).files
    assert file.name == "file.bin"
    assert [m.url for m in file.mirrors] == ["https://a.example/d/file_fragment_1.dat"]


def test_read_from_sources_of_which_some_fail(made: Path, hosting: Hosting) -> None:
    """A copy that is wrong in the middle, one that knows no ranges, and one that is gone."""
    flip(made / "out" / "server1" / "file_fragment_2.dat", 8 * (MIB + 7))
    (made / "out" / "server2" / "file_fragment_3.dat").unlink()
    manifest = str(made / "out" / "file.bin.regather.json")
    mirrors = ["https://a.example/file.bin"]
    right = regather.export_metalink(manifest, mirrors=mirrors, file=made / "file.bin")
    with stock_server(made / "out" / "server2") as stock:
        servers = [hosting.serve(made / "out" / "server1").url, stock]
        assert regather.export_metalink(manifest, mirrors=mirrors, servers=servers) == right
    with pytest.raises(regather.VerificationError, match="file_fragment_2"):
        regather.export_metalink(manifest, mirrors=mirrors, servers=servers[:1])


def test_what_cannot_be_described(made: Path) -> None:
    manifest = str(made / "out" / "file.bin.regather.json")
    with pytest.raises(regather.UsageError, match="no URL is known for file_fragment_1"):
        regather.export_metalink(manifest)
    random_file(made / "other.bin", SIZE, seed=2)
    (made / "short.bin").write_bytes(b"x")
    for name, how in (("other.bin", "piece 0 of"), ("short.bin", "has 1 byte,")):
        with pytest.raises(regather.VerificationError, match=how):
            regather.export_metalink(manifest, mirrors=["http://a/f"], file=made / name)
    with pytest.raises(regather.UsageError, match="not a URL"):
        regather.export_metalink(manifest, mirrors=[str(made / "file.bin")])
    told = run("metalink", manifest, "--mirror", "http://a.example/f", "-o", made / "file.bin")
    assert (told.returncode, "already exists" in told.stderr) == (6, True)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    regather.split(tmp_path / "empty", tmp_path / "out")
    manifest = str(tmp_path / "out" / "empty.regather.json")
    (file,) = read_metalink(regather.export_metalink(manifest, mirrors=["http://a/empty"])).files
    assert (file.size, file.pieces) == (0, ())


def test_a_fragment_that_only_parity_gives(tmp_path: Path) -> None:
    random_file(tmp_path / "file.bin", SIZE)
    out = tmp_path / "out"
    regather.split(tmp_path / "file.bin", out, fragments=3, parity=1)
    manifest = out / "file.bin.regather.json"
    mirrors = ["https://a.example/"]
    whole = regather.export_metalink(manifest, mirrors=mirrors, file=tmp_path / "file.bin")
    (out / "file_fragment_2.dat").unlink()
    assert regather.export_metalink(manifest, mirrors=mirrors) == whole
    (out / "file_fragment_1.dat").unlink()
    with pytest.raises(regather.NotEnoughSourcesError):
        regather.export_metalink(manifest, mirrors=mirrors)
