"""What holds for every store of pieces: a file, a folder, memory, a cache on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from pathlib import Path

import pytest

import regather
from regather.digest import piece_hash
from regather.model import Layout
from regather.store import Destination
from regather.store.base import PieceMissing, PieceStore
from regather.store.disk_cache import DiskCache
from regather.store.folder import FolderDestination
from regather.store.memory import MemoryStore
from regather.store.slots import SlotStore
from regather.store.tiers import CachedStore
from tests.support.files import random_file

Store = Destination | FolderDestination | MemoryStore
LIMIT = 64 << 20


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> tuple[regather.Manifest, Path]:
    """A folder of two files, split with parity; where its fragments are."""
    base = tmp_path_factory.mktemp("split")
    (base / "tree").mkdir()
    for name in ("a", "b"):
        random_file(base / "tree" / name, 400_000)
    manifest = regather.split(
        base / "tree", base / "out", fragments=3, parity=1, piece_size=64 << 10
    )
    return manifest, base / "out"


@pytest.fixture
def layout(split: tuple[regather.Manifest, Path]) -> Layout:
    return split[0].layout


@pytest.fixture
def content(split: tuple[regather.Manifest, Path]) -> Callable[[int], bytes]:
    """The bytes of a piece by its number."""
    manifest, out = split
    layout = manifest.layout

    def read(number: int) -> bytes:
        fragment, piece = layout.locate(number)
        start, end = layout.span(fragment, piece, piece + 1)
        return (out / layout.fragments[fragment].name).read_bytes()[start:end]

    return read


KINDS = ("file", "folder", "memory", "slots", "spool", "disk cache", "little memory")


@pytest.fixture(params=KINDS)
def store(
    request: pytest.FixtureRequest, split: tuple[regather.Manifest, Path], tmp_path: Path
) -> Iterator[Store]:
    manifest, identity = split[0], bytes.fromhex(split[0].digest)
    layout, folder = manifest.layout, manifest.folder
    assert folder is not None
    made: dict[str, Callable[[], Store]] = {
        "file": lambda: Destination(tmp_path / "x", layout, identity),
        "folder": lambda: FolderDestination(tmp_path / "d", "tree", layout, folder, identity),
        "memory": lambda: MemoryStore(layout, LIMIT),
        "slots": lambda: SlotStore(layout, LIMIT),
        "spool": lambda: SlotStore(layout, LIMIT, on_disk=True),
        "disk cache": lambda: CachedStore(layout, LIMIT, cached),
        "little memory": lambda: CachedStore(layout, layout.piece_size, cached),
    }
    with closing(DiskCache(tmp_path / "cache", LIMIT, free_share=0)) as cache:
        cached = cache.open(layout, identity)
        with closing(made[request.param]()) as opened:
            yield opened


def put(store: PieceStore, number: int, data: bytes) -> None:
    store.place(number, memoryview(data), piece_hash(data))


def test_every_piece_is_read_as_it_was_placed(
    store: Store, layout: Layout, content: Callable[[int], bytes]
) -> None:
    """Those of parity too, in whatever order they come, whole and in strips."""
    numbers = sorted(range(layout.piece_count), key=lambda n: n * 7 % layout.piece_count)
    for number in numbers:
        assert not store.has(number)
        put(store, number, content(number))
        assert store.has(number)
    for number in numbers:
        length = layout.length(*layout.locate(number))
        for at, end in ((0, length), (1, length - 1), (length // 2, length), (length, length)):
            into = memoryview(bytearray(end - at))
            store.read(number, at, into)
            assert into == content(number)[at:end]


def test_a_piece_that_is_not_there(store: Store, content: Callable[[int], bytes]) -> None:
    put(store, 1, content(1))
    with pytest.raises(PieceMissing):
        store.read(0, 0, memoryview(bytearray(10)))


def test_who_waits_goes_on(store: Store, content: Callable[[int], bytes]) -> None:
    waiting = [store.wait(0), store.wait(0), store.wait(1)]
    given_up = store.wait(0)
    assert given_up.cancel()
    assert not any(future.done() for future in waiting)
    put(store, 0, content(0))
    assert [future.done() for future in waiting] == [True, True, False]
    assert waiting[0].result() is None
    assert store.wait(0).done()
    store.close()
    for future in (waiting[2], store.wait(2)):
        with pytest.raises(CancelledError):
            future.result(0)


def test_a_snapshot_tells_what_is_there(store: Store, content: Callable[[int], bytes]) -> None:
    for number in (0, 1, 4):
        put(store, number, content(number))
    assert [n for n, here in enumerate(store.snapshot()) if here] == [0, 1, 4]
    assert len(store.snapshot()) == store.layout.piece_count
    assert {*store.snapshot()} == {0, 1}
    assert store.whole(4) == content(4)


def test_who_waits_goes_on_where_another_store_has_put_it_on_the_disk(
    tmp_path: Path, layout: Layout, content: Callable[[int], bytes]
) -> None:
    with closing(DiskCache(tmp_path / "cache", LIMIT, free_share=0)) as cache:
        cached = cache.open(layout, bytes(32))
        with (
            closing(CachedStore(layout, LIMIT, cached)) as store,
            closing(CachedStore(layout, LIMIT, cached)) as other,
        ):
            waiting = store.wait(0)
            put(other, 0, content(0))
            put(store, 0, content(0))
            assert waiting.done()
            assert store.used == 0, "it is on the disk"
        assert cached.listeners == [], "nobody is told any more"


def test_a_piece_that_comes_twice_is_kept_once(
    store: Store, content: Callable[[int], bytes]
) -> None:
    put(store, 0, content(0))
    put(store, 0, content(0))
    into = memoryview(bytearray(100))
    store.read(0, 0, into)
    assert into == content(0)[:100]
    if isinstance(store, MemoryStore):
        assert store.used == len(content(0))
