"""The manifest: what is written is read, and no input does anything but raise ManifestError."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regather.errors import ManifestError
from regather.manifest import Manifest
from regather.model import HASH_SIZE, MIN_PIECE_SIZE, Fragment, Source, piece_size_for

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)


def example(sizes: list[int], sources: tuple[Source, ...] = ()) -> Manifest:
    fragments = []
    offset = 0
    for n, size in enumerate(sizes, 1):
        pieces = -(-size // MIN_PIECE_SIZE)
        fragments.append(Fragment(n, f"f{n}", offset, size, bytes([n % 256]) * HASH_SIZE * pieces))
        offset += size
    return Manifest("näme", offset, MIN_PIECE_SIZE, tuple(fragments), sources, "a" * 64)


@given(st.lists(st.integers(0, 5 * MIN_PIECE_SIZE), min_size=1, max_size=8))
def test_round_trip(sizes: list[int]) -> None:
    sources = (Source("http://a.example/d/", frozenset({1})), Source("https://[::1]:8/"))
    manifest = example(sizes, sources)
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


@given(st.binary(max_size=300) | JSON.map(lambda v: json.dumps(v).encode()))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(ManifestError) as caught:
        Manifest.from_bytes(data)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_any_value_anywhere(data: st.DataObject) -> None:
    document = json.loads(example([5, 5]).to_bytes())
    key = data.draw(st.sampled_from(sorted(document)))
    value = data.draw(JSON)
    where = document
    if key == "fragments" and data.draw(st.booleans()):
        where = document["fragments"][1]
        key = data.draw(st.sampled_from(sorted(where)))
    where[key] = value
    try:
        manifest = Manifest.from_bytes(json.dumps(document).encode())
    except ManifestError:
        return
    assert sum(f.size for f in manifest.fragments if f.kind == "data") == manifest.size


@given(st.integers(0, 2000))
def test_any_truncation(cut: int) -> None:
    data = example([5, 5]).to_bytes().rstrip()
    with pytest.raises(ManifestError):
        Manifest.from_bytes(data[: cut % len(data)])


def test_one_tebibyte_stays_small() -> None:
    size = 1 << 40
    piece_size = piece_size_for(size)
    count = 64
    each = size // count
    hashes = bytes(range(32)) * (each // piece_size)
    fragments = tuple(
        Fragment(n + 1, f"file_fragment_{n + 1}.dat", n * each, each, hashes) for n in range(count)
    )
    tracemalloc.start()
    data = Manifest("large", size, piece_size, fragments).to_bytes()
    assert len(data) < 16 << 20
    manifest = Manifest.from_bytes(data)
    assert manifest.layout.piece_count == 1 << 18
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 << 20


def test_the_digest_pins_content_size_and_geometry() -> None:
    base = example([3 * MIN_PIECE_SIZE])
    assert base.digest != example([2 * MIN_PIECE_SIZE, MIN_PIECE_SIZE]).digest
    assert base.digest != example([3 * MIN_PIECE_SIZE - 1]).digest
    assert base.digest == example([3 * MIN_PIECE_SIZE], (Source("http://h/"),)).digest


@pytest.mark.parametrize(
    ("size", "piece_size"),
    [
        (0, 1 << 20),
        (1 << 38, 1 << 20),
        ((1 << 38) + 1, 1 << 21),
        (1 << 40, 1 << 22),
        (1 << 60, 1 << 26),
    ],
)
def test_piece_sizes(size: int, piece_size: int) -> None:
    assert piece_size_for(size) == piece_size
