"""A file object over hosted fragments: what any binary file does, over real sockets."""

from __future__ import annotations

import io
import itertools
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import regather
from tests.reading.support import PIECE, SIZE, Made, split_for_reading
from tests.support.hosting import Hosting
from tests.support.small import small_pieces


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return split_for_reading(tmp_path_factory.mktemp("file"), fragments=4, servers=4, replicas=2)


@pytest.fixture(scope="module")
def served(made: Made) -> Iterator[list[str]]:
    with Hosting() as hosting:
        yield [hosting.serve(folder).url for folder in made.servers]


Step = tuple[str, int, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 100_000), st.just(0)),
        st.tuples(st.just("readinto"), st.integers(0, 100_000), st.just(0)),
        st.tuples(st.just("seek"), st.integers(-SIZE - 9, SIZE + 9), st.integers(0, 2)),
        st.tuples(st.just("pread"), st.integers(0, 100_000), st.integers(0, SIZE + 9)),
        st.tuples(st.just("readline"), st.integers(-1, 5_000), st.just(0)),
    ),
    max_size=12,
)


def carry_out(file: io.BufferedIOBase, steps: list[Step]) -> list[object]:
    """What each step gave, and where the file stood then; a pread is done by seeking."""
    seen: list[object] = []
    for kind, size, place in steps:
        result: object
        try:
            if kind == "read":
                result = file.read(size)
            elif kind == "readinto":
                buffer = bytearray(size)
                result = buffer[: file.readinto(buffer)]
            elif kind == "seek":
                result = file.seek(size, place)
            elif kind == "readline":
                result = file.readline(size)
            elif isinstance(file, regather.RemoteFile):
                result = file.pread(size, place)
            else:
                before = file.tell()
                file.seek(place)
                result = file.read(size)
                file.seek(before)
        except (ValueError, OSError):  # a file on a disk raises the latter
            result = "refused"
        seen += [result, file.tell()]
    return seen


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, cache_size=st.sampled_from([0, PIECE, 5 * PIECE, 64 << 20]))
def test_any_reads_are_those_of_the_original(
    made: Made, served: list[str], steps: list[Step], cache_size: int
) -> None:
    with (
        regather.open(made.manifest, servers=served, cache_size=cache_size) as file,
        made.original.open("rb") as original,
    ):
        assert carry_out(file, steps) == carry_out(original, steps)


def test_it_is_a_binary_file(made: Made, served: list[str]) -> None:
    file = regather.open(made.manifest, servers=served)
    with file:
        assert isinstance(file, io.BufferedIOBase)
        assert file.readable()
        assert file.seekable()
        assert not file.writable()
        assert not file.isatty()
        assert (file.size, file.name, file.mode) == (SIZE, "file.bin", "rb")
        assert file.digest == regather.Manifest.from_bytes(Path(made.manifest).read_bytes()).digest
        assert file.peek(1)[:1] == made.content[:1]
        assert file.tell() == 0
        assert file.read1(10) + file.read(10) == made.content[:20]
        assert file.seek(-5, os.SEEK_END) == SIZE - 5
        assert file.read() == made.content[-5:]
        assert file.read() == b""
        assert file.seek(SIZE + 100) == SIZE + 100
        assert file.read(5) == b""
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"x")
        with pytest.raises(io.UnsupportedOperation):
            file.fileno()
    assert file.closed
    file.close()
    for call in (file.read, file.tell, file.readable, lambda: file.seek(0)):
        with pytest.raises(ValueError, match="closed file"):
            call()


def test_text_lines(made: Made, tmp_path: Path) -> None:
    regather.generate(tmp_path / "text", 300_000)
    with small_pieces():
        regather.split(tmp_path / "text", tmp_path / "out", fragments=3)
    with (
        regather.open(str(tmp_path / "out" / "text.regather.json")) as file,
        (tmp_path / "text").open() as original,
    ):
        assert list(io.TextIOWrapper(file, newline=None)) == list(original)


def test_ranges_share_their_pieces(made: Made, served: list[str]) -> None:
    rng = random.Random(3)
    starts = [rng.randrange(SIZE) for _ in range(50)]
    ranges = [(start, start + rng.randrange(3000)) for start in starts]
    with regather.open(made.manifest, servers=served) as file:
        assert file.read_ranges(ranges) == [made.content[a:b] for a, b in ranges]
        assert file.received <= SIZE, "a piece was fetched twice"
        assert file.read_ranges([]) == []
        assert file.read_ranges([(SIZE, SIZE + 5), (7, 7), (9, 5)]) == [b"", b"", b""]
        with pytest.raises(ValueError, match="negative"):
            file.pread(5, -1)


def alone(served: list[str]) -> list[str]:
    """Servers of which each fragment has one: on a busy machine two might be asked for a piece."""
    return served[::2]


def test_only_what_is_read_is_fetched(made: Made, served: list[str]) -> None:
    with regather.open(made.manifest, servers=alone(served)) as file:
        assert file.received == 0
        file.pread(10, 5 * PIECE - 5)  # over the border of two pieces
        assert file.received == 2 * PIECE
        file.pread(2 * PIECE, 4 * PIECE)  # the same ones
        assert file.received == 2 * PIECE


def test_many_threads_read_at_once(made: Made, served: list[str]) -> None:
    wrong: list[int] = []
    with regather.open(made.manifest, servers=served, cache_size=8 * PIECE) as file:

        def read(seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(40):
                start, size = rng.randrange(SIZE), rng.randrange(3 * PIECE)
                if file.pread(size, start) != made.content[start : start + size]:
                    wrong.append(start)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong


def test_threads_that_share_the_position_get_every_byte_once(made: Made, served: list[str]) -> None:
    parts: list[bytes] = []
    with regather.open(made.manifest, servers=served) as file:

        def read() -> None:
            while part := file.read(10_007):
                parts.append(part)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    expected = [made.content[i : i + 10_007] for i in range(0, SIZE, 10_007)]
    assert sorted(parts) == sorted(expected)


def test_the_cache_is_bounded(made: Made, served: list[str]) -> None:
    with regather.open(made.manifest, servers=served, cache_size=6 * PIECE) as file:
        for start in range(0, SIZE, 5_000):
            file.pread(5_000, start)
            assert file._session._store.used <= 6 * PIECE
        assert file.read() == made.content
        assert file._session._store.used <= 6 * PIECE
    assert file._session._store.used == 0


def test_reading_in_order_fetches_each_piece_once(made: Made, served: list[str]) -> None:
    with regather.open(made.manifest, servers=alone(served)) as file:
        got = b"".join(iter(lambda: file.read(3_000), b""))
        assert got == made.content
        assert file.received == SIZE


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_nothing_is_left_open(made: Made, served: list[str]) -> None:
    """Counted: sockets of clients are closed with the file, those of servers soon after."""
    before = open_descriptors()
    for _ in range(3):
        file = regather.open(made.manifest, servers=served)
        file.pread(SIZE, 0)
        assert open_descriptors() > before
        file.close()
        assert not [t for t in threading.enumerate() if t.name.startswith("regather-")]
    deadline = threading.Event()
    for _ in itertools.repeat(None, 200):
        if open_descriptors() <= before:
            break
        deadline.wait(0.05)
    assert open_descriptors() <= before


def test_a_forgotten_file_ends_its_threads(made: Made, served: list[str]) -> None:
    regather.open(made.manifest, servers=served).pread(100_000, 0)
    assert not [t for t in threading.enumerate() if t.name.startswith("regather-")]


def test_local_folders(made: Made) -> None:
    with regather.open(made.manifest) as file:
        assert file.read() == made.content


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    regather.split(tmp_path / "empty", tmp_path / "out")
    with regather.open(str(tmp_path / "out" / "empty.regather.json")) as file:
        assert (file.size, file.read(), file.readline(), file.peek()) == (0, b"", b"", b"")


def test_what_cannot_be_opened(made: Made, tmp_path: Path) -> None:
    with pytest.raises(regather.UsageError, match="no such file"):
        regather.open(str(tmp_path / "no.regather.json"))
    with pytest.raises(regather.UsageError, match="not a digest"):
        regather.open(made.manifest, digest="abc")
    with pytest.raises(regather.VerificationError, match="not the expected one"):
        regather.open(made.manifest, digest="0" * 64)
    with pytest.raises(regather.UsageError, match="cache_size"):
        regather.open(made.manifest, cache_size=-1)
