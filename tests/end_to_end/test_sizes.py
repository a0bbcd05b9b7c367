"""Split, serve, get: the same bytes, over every edge of the geometry."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import regather
from regather.server.run import Server
from tests.support.files import MIB, leftovers, random_file
from tests.support.hosting import Hosting

PIECE = MIB


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Server]:
    with Hosting() as hosting:
        yield hosting.serve(root)


def round_trip(root: Path, server: Server, name: str, content: Path, **how: int) -> None:
    out = root / name
    manifest = regather.split(content, out, **how)  # type: ignore[arg-type]
    joined = b"".join((out / f.name).read_bytes() for f in manifest.fragments)
    assert joined == content.read_bytes()
    folder = root.parent / f"got-{name}"
    folder.mkdir()
    source = out / (content.name + ".regather.json")
    report = regather.download(str(source), folder, servers=[f"{server.url}{name}/"])
    assert report.verified
    assert report.size == report.received == len(joined)
    assert (folder / content.name).read_bytes() == joined
    assert leftovers(folder) == []


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7])
def test_sizes(root: Path, server: Server, size: int) -> None:
    content = random_file(root / f"size-{size}.bin", size)
    round_trip(root, server, f"size-{size}", content)


@pytest.mark.parametrize("fragments", [1, 2, 3, 7, 63, 64])
def test_numbers_of_fragments(root: Path, server: Server, fragments: int) -> None:
    content = random_file(root / f"n-{fragments}.bin", 5 * PIECE + 11, seed=fragments)
    round_trip(root, server, f"n-{fragments}", content, fragments=fragments)


@pytest.mark.parametrize("piece_size", [64 << 10, 256 << 10, 2 * MIB, 64 * MIB])
def test_piece_sizes(root: Path, server: Server, piece_size: int) -> None:
    content = random_file(root / f"piece-{piece_size}.bin", 3 * PIECE + 7)
    round_trip(root, server, f"piece-{piece_size}", content, piece_size=piece_size)


@pytest.mark.parametrize("chunk_size", [1, 3, PIECE - 1, PIECE, PIECE + 1, 100 * PIECE])
def test_chunk_sizes(root: Path, server: Server, chunk_size: int) -> None:
    size = 50 if chunk_size < 10 else 4 * PIECE + 5
    content = random_file(root / f"c-{chunk_size}.bin", size, seed=chunk_size)
    round_trip(root, server, f"c-{chunk_size}", content, chunk_size=chunk_size)


@pytest.mark.parametrize(
    "name",
    [
        "with spaces and 100%.bin",
        "Größe-文件-🙂.bin",
        "a" * 255,
        "ü" * 127,
        "-o.bin",
        "q?a#b&c=d;e.bin",
    ],
)
def test_names(root: Path, server: Server, name: str, tmp_path: Path) -> None:
    content = random_file(tmp_path / name, 3000, seed=len(name))
    out = root / f"names-{len(name.encode())}-{len(name)}"
    manifest = regather.split(content, out)
    found = [p for p in out.iterdir() if p.name.endswith(".regather.json")]
    assert len(found) == 1
    assert len(found[0].name.encode()) <= 255
    folder = tmp_path / "got"
    folder.mkdir()
    # The manifest comes by URL, whatever its name; its folder is the only source.
    from urllib.parse import quote

    url = f"{server.url}{out.name}/{quote(found[0].name)}"
    report = regather.download(url, folder)
    assert report.path == str(folder / name)
    assert (folder / manifest.name).read_bytes() == content.read_bytes()


@pytest.mark.timeout(600)
def test_one_gibibyte_over_three_servers(tmp_path: Path) -> None:
    original = tmp_path / "large.txt"
    regather.generate(original, 1 << 30)
    regather.split(original, tmp_path / "out", servers=3)
    with Hosting() as hosting:
        servers = [hosting.serve(tmp_path / "out" / f"server{n}").url for n in (1, 2, 3)]
        report = regather.download(
            str(tmp_path / "out" / "large.txt.regather.json"), tmp_path / "copy", servers=servers
        )
    assert [round(s.share, 2) for s in report.sources] == [0.33, 0.33, 0.33]
    assert subprocess.run(["cmp", original, tmp_path / "copy"], check=False).returncode == 0


def test_many_random_geometries(root: Path, server: Server) -> None:
    rng = random.Random(5)
    for n in range(25):
        size = rng.choice([rng.randrange(1, 100), rng.randrange(1, 4 * PIECE)])
        content = random_file(root / f"r-{n}.bin", size, seed=n)
        round_trip(root, server, f"r-{n}", content, fragments=rng.randrange(1, min(size, 40) + 1))
