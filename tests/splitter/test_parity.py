"""Parity: what stands in its fragments, at every edge of the geometry, and in the manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypedDict

import pytest
import zfec
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

import regather
from regather.coding.codec import strip_size
from regather.digest import piece_hash
from regather.errors import UsageError
from regather.hashes import HASH_SIZE
from regather.model import MIN_PIECE_SIZE, Fragment
from regather.splitter.geometry import MAX_FRAGMENTS, fragment_sizes, layout_of
from tests.support.files import MIB, random_file
from tests.support.files import regather as run

PIECE = MIN_PIECE_SIZE


class How(TypedDict, total=False):
    fragments: int
    chunk_size: int
    parity: int
    set_size: int


def packed_hashes(content: bytes) -> bytes:
    return b"".join(piece_hash(content[at : at + PIECE]) for at in range(0, len(content), PIECE))


def parity_of(data: list[bytes], m: int) -> list[bytes]:
    """Row by row as docs/format.md has it, with nothing but zfec."""
    k = len(data)
    encoder = zfec.Encoder(k, k + m)
    parity = [b""] * m
    for start in range(0, max(map(len, data)), PIECE):
        pieces = [fragment[start : start + PIECE] for fragment in data]
        longest = max(map(len, pieces))
        padded = [piece + bytes(longest - len(piece)) for piece in pieces]
        made = encoder.encode(padded, list(range(k, k + m)))
        parity = [before + more for before, more in zip(parity, made, strict=True)]
    return parity


def check(out: Path, content: bytes, manifest: regather.Manifest, m: int, set_size: int) -> None:
    """Compare all that was written with a computation of its own."""
    stored = {f.name: (out / f.name).read_bytes() for f in manifest.fragments}
    assert {p.name for p in out.iterdir()} == {*stored, manifest.name + ".regather.json"}
    data = [f for f in manifest.fragments if f.kind == "data"]
    parity = [f for f in manifest.fragments if f.kind == "parity"]
    assert manifest.fragments == (*data, *parity)
    assert [f.index for f in manifest.fragments] == list(range(1, len(manifest.fragments) + 1))
    assert b"".join(stored[f.name] for f in data) == content
    expected: list[bytes] = []
    names: list[str] = []
    for number, first in enumerate(range(0, len(data), set_size), 1):
        members = data[first : first + set_size]
        assert {f.set for f in members} == {number}
        expected += parity_of([stored[f.name] for f in members], m)
        names += [f"file_parity_{number}_{n}.dat" for n in range(1, m + 1)]
    assert [f.name for f in parity] == names
    assert [stored[f.name] for f in parity] == expected
    for fragment in manifest.fragments:
        assert fragment.size == len(stored[fragment.name])
        assert fragment.hashes == packed_hashes(stored[fragment.name])
    assert manifest.blake3 == blake3(content).hexdigest()
    assert manifest.sha256 == hashlib.sha256(content).hexdigest()
    written = (out / (manifest.name + ".regather.json")).read_bytes()
    assert regather.Manifest.from_bytes(written) == manifest


@pytest.mark.parametrize(
    ("size", "how"),
    [
        (0, How(parity=2)),
        (1, How(parity=2)),
        (2, How(parity=1)),
        (PIECE - 1, How(fragments=1, parity=1)),
        (PIECE, How(fragments=1, parity=2)),
        (PIECE + 1, How(fragments=1, parity=3)),
        (PIECE - 1, How(parity=2)),
        (PIECE, How(parity=2)),
        (PIECE + 1, How(parity=2)),
        (3 * PIECE, How(parity=2)),
        (3 * PIECE + 1, How(parity=2)),  # one fragment has a second row of one byte
        (3 * PIECE - 1, How(parity=2)),  # one is a byte shorter than a piece
        (7 * PIECE + 12_345, How(fragments=3, parity=2)),
        (9 * PIECE + 11, How(fragments=7, parity=4)),
        (5 * PIECE, How(fragments=4, parity=2, set_size=4)),
        (5 * PIECE + 3, How(fragments=7, parity=2, set_size=3)),  # the last set has one member
        (5 * PIECE + 3, How(fragments=5, parity=1, set_size=1)),  # a copy of each
        (100, How(fragments=5, parity=2, set_size=99)),
        (6 * PIECE + 5, How(chunk_size=PIECE, parity=2, set_size=3)),
        (7 * PIECE + 5, How(chunk_size=2 * PIECE + 1, parity=2)),
        (5 * PIECE, How(chunk_size=4 * PIECE, parity=1)),  # rows that one fragment never reaches
        (100, How(chunk_size=7, parity=3, set_size=4)),
        (300_000, How(fragments=100, parity=20)),
        (10_000, How(fragments=255, parity=1)),
        (10_000, How(fragments=250, parity=6)),
        (7, How(fragments=1, parity=255)),
    ],
)
def test_parity_is_the_code_of_the_fragments(tmp_path: Path, size: int, how: How) -> None:
    path = random_file(tmp_path / "f", size, seed=size)
    manifest = regather.split(path, tmp_path / "o", sha256=True, **how)
    data = sum(f.kind == "data" for f in manifest.fragments)
    check(tmp_path / "o", path.read_bytes(), manifest, how["parity"], how.get("set_size") or data)


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_any_geometry(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("any")
    size = data.draw(st.integers(0, 200) | st.integers(0, 4 * PIECE))
    sets = data.draw(st.integers(1, 12))
    how = How(parity=data.draw(st.integers(1, 4)), set_size=sets)
    if data.draw(st.booleans()):
        how["fragments"] = data.draw(st.integers(1, min(max(size, 1), 30)))
    else:
        how["chunk_size"] = data.draw(st.integers(max(1, size // 20), size + 2))
    path = random_file(folder / "f", size, seed=size)
    manifest = regather.split(path, folder / "o", sha256=True, **how)
    check(folder / "o", path.read_bytes(), manifest, how["parity"], sets)


def test_without_isa_l_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = random_file(tmp_path / "f", 2 * PIECE + 77)
    monkeypatch.setenv("REGATHER_NO_ISAL", "1")
    told = run("split", path, "--out", tmp_path / "a", "--parity", "2")
    monkeypatch.delenv("REGATHER_NO_ISAL")
    assert told.returncode == 0, told.stderr
    regather.split(path, tmp_path / "b", parity=2)
    for name in ("file_parity_1_1.dat", "file_parity_1_2.dat"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_empty_file(tmp_path: Path) -> None:
    """One empty fragment and parity as empty as it: nothing is lost with any of them."""
    (tmp_path / "f").touch()
    told = run("split", tmp_path / "f", "--out", tmp_path / "o", "--parity", "2", "--servers", "3")
    assert told.returncode == 0, told.stderr
    files = sorted(p.relative_to(tmp_path / "o") for p in (tmp_path / "o").rglob("*.dat"))
    assert [p.as_posix() for p in files] == [
        "server1/file_fragment_1.dat",
        "server2/file_parity_1_1.dat",
        "server3/file_parity_1_2.dat",
    ]
    assert all((tmp_path / "o" / p).stat().st_size == 0 for p in files)


# -- what cannot be ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (How(fragments=255, parity=2), "more than 256 in one erasure set"),
        (How(fragments=3, parity=254), "more than 256 in one erasure set"),
        (How(fragments=500, set_size=250, parity=7), "more than 256 in one erasure set"),
        (How(chunk_size=1, parity=1), "more than 256 in one erasure set"),
        (How(fragments=3, set_size=2), "a set size requires parity"),
        (How(parity=-1), "must not be negative"),
        (How(parity=1, set_size=-1), "must not be negative"),
        (How(fragments=2000, set_size=1, parity=200), "402000 fragments are more than"),
    ],
)
def test_parity_that_cannot_be(tmp_path: Path, how: How, says: str) -> None:
    path = random_file(tmp_path / "f", 5000)
    with pytest.raises(UsageError, match=says):
        regather.split(path, tmp_path / "o", **how)
    assert not (tmp_path / "o").exists()


def test_too_much_parity_on_the_command_line(tmp_path: Path) -> None:
    path = random_file(tmp_path / "f", 5000)
    command = ("split", path, "--out", tmp_path / "o", "--fragments")
    for options, says in [
        (("250", "--parity", "7"), "use a smaller --set-size or --parity"),
        (("3", "--parity=-1"), "--parity"),
        (("3", "--parity", "1", "--set-size", "0"), "--set-size"),
        (("3", "--set-size", "2"), "add --parity"),
    ]:
        told = run(*command, *options)
        assert told.returncode == 2
        assert len(told.stderr.splitlines()) == 1
        assert says in told.stderr
    assert run(*command, "250", "--parity", "6", "-q").returncode == 0


# -- geometry ---------------------------------------------------------------------------------


def test_parity_counts_where_the_manifest_must_stay_small() -> None:
    """The parity of small sets can be larger than the file; its hashes stand there as well."""
    size = 1 << 38
    assert layout_of(size, fragment_sizes(size, 64, None)).piece_size == 1 << 20
    for sets, parity in [(0, 32), (1, 1), (1, 8), (4, 2), (1, 50)]:
        layout = layout_of(size, fragment_sizes(size, 64, None), parity, sets)
        hashes = layout.piece_count * HASH_SIZE * 4 / 3
        assert hashes < 12 << 20


def test_parity_stands_behind_the_file() -> None:
    layout = layout_of(100, fragment_sizes(100, 7, None), 2, 3)
    end = 100
    for fragment in layout.fragments[layout.data_count :]:
        assert fragment.offset == end
        end += fragment.size
    assert [s.data for s in layout.sets] == [(0, 1, 2), (3, 4, 5), (6,)]
    assert [s.parity for s in layout.sets] == [(7, 8), (9, 10), (11, 12)]
    assert layout.set_of == (0, 0, 0, 1, 1, 1, 2, 0, 0, 1, 1, 2, 2)
    assert layout.data_pieces == 7


def test_as_many_fragments_as_there_may_be() -> None:
    sizes = [1] * (MAX_FRAGMENTS // 2)
    fragments: tuple[Fragment, ...] = layout_of(len(sizes), sizes, 1, 1).fragments
    assert len(fragments) == MAX_FRAGMENTS


@pytest.mark.parametrize("members", [2, 6, 14, 120, 256])
@pytest.mark.parametrize("piece_size", [MIB, 64 * MIB])
def test_strips_keep_a_row_small(members: int, piece_size: int) -> None:
    strip = strip_size(members, piece_size)
    assert 4096 <= strip <= piece_size
    assert strip * members <= 8 * MIB
    assert strip % 4096 == 0
