"""What any binary file does, call by call: beside a file on a disk with the same bytes."""

from __future__ import annotations

import array
import ctypes
import io
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

import regather
from tests.support.small import small_pieces

PIECE = 16 << 10


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines of all kinds, split into small pieces; returns the original."""
    folder = tmp_path_factory.mktemp("semantics")
    rng = random.Random(1)
    kinds = ["zeile\n", "é\r\n", "\n", "x" * 9000 + "\n", "ende"]
    (folder / "t.txt").write_text("".join(rng.choices(kinds, k=120)), newline="")
    with small_pieces(PIECE):
        regather.split(folder / "t.txt", folder / "out", fragments=5)
    return folder / "t.txt"


def fill(file: Any, buffer: Any) -> tuple[int, bytes]:
    return file.readinto(buffer), bytes(memoryview(buffer).tobytes())


def past_the_end(file: Any, *_: object) -> int:
    return int(file.seek(50, os.SEEK_END))


CALLS: dict[str, Callable[[Any], object]] = {
    "seek behind the end and read": lambda f: (past_the_end(f), f.read(), f.tell()),
    "seek behind the end, readinto": lambda f: (past_the_end(f), f.readinto(bytearray(9))),
    "seek behind the end, other reads": lambda f: (past_the_end(f), f.read1(5), f.peek(), next(f)),
    "seek(-1)": lambda f: f.seek(-1),
    "seek(-1, 1)": lambda f: f.seek(-1, os.SEEK_CUR),
    "seek from the end": lambda f: (f.seek(-3, os.SEEK_END), f.read(), f.tell()),
    "seek before the beginning": lambda f: f.seek(-(1 << 40), os.SEEK_END),
    "seek, whence 9": lambda f: f.seek(0, 9),
    "seek(1.5)": lambda f: f.seek(1.5),
    "seek(1.0)": lambda f: f.seek(1.0),
    "seek(None)": lambda f: f.seek(None),
    "seek('1')": lambda f: f.seek("1"),
    "seek(0, 1.0)": lambda f: f.seek(0, 1.0),
    "seek(True)": lambda f: f.seek(True),
    "seek of numpy": lambda f: (f.seek(np.int64(5)), f.read(3)),
    "read()": lambda f: f.read(),
    "read(-1)": lambda f: f.read(-1),
    "read(None)": lambda f: f.read(None),
    "read(0)": lambda f: f.read(0),
    "read(1.5)": lambda f: f.read(1.5),
    "read('1')": lambda f: f.read("1"),
    "read of more than there is": lambda f: len(f.read(1 << 20)),
    "read of numpy": lambda f: f.read(np.int32(7)),
    "read1(5)": lambda f: f.read1(5),
    "read1(0)": lambda f: f.read1(0),
    "read1(1.5)": lambda f: f.read1(1.5),
    "all by read1": lambda f: b"".join(iter(f.read1, b"")),
    "peek": lambda f: (bool(f.peek()), f.peek(1)[:1], f.tell()),
    "lines": list,
    "readline(5)": lambda f: [f.readline(5) for _ in range(50)],
    "readline(0)": lambda f: (f.readline(0), f.readline(-1), f.readline(None)),
    "readline(1.5)": lambda f: f.readline(1.5),
    "readlines(hint)": lambda f: f.readlines(1000),
    "readlines()": lambda f: f.readlines(),
    "next after read": lambda f: (f.read(3), next(f), f.tell()),
    "next at the end": lambda f: (f.seek(0, os.SEEK_END), next(f)),
    "readinto bytearray": lambda f: fill(f, bytearray(99)),
    "readinto nothing": lambda f: fill(f, bytearray()),
    "readinto array of integers": lambda f: fill(f, array.array("I", [0] * 99)),
    "readinto ctypes": lambda f: fill(f, (ctypes.c_uint32 * 9)()),
    "readinto numpy": lambda f: fill(f, np.zeros((3, 4), dtype=">f8")),
    "readinto records": lambda f: fill(f, np.zeros(3, dtype=[("a", "i4"), ("b", "u1")])),
    "readinto numpy of nothing": lambda f: fill(f, np.zeros((0, 3))),
    "readinto dates": lambda f: f.readinto(np.zeros(3, dtype="M8[s]")),
    "readinto a number": lambda f: fill(f, np.array(5.0)),
    "readinto columns": lambda f: f.readinto(np.asfortranarray(np.zeros((3, 4)))),
    "readinto every second": lambda f: f.readinto(memoryview(bytearray(9))[::2]),
    "readinto at the end": lambda f: (f.seek(-3, os.SEEK_END), fill(f, (ctypes.c_uint32 * 9)())),
    "readinto dates at the end": lambda f: (
        f.seek(-3, os.SEEK_END),
        f.readinto(np.zeros(3, dtype="M8[s]")),
        f.tell(),
    ),
    "readinto1": lambda f: f.readinto1(bytearray(9)),
    "readinto bytes": lambda f: f.readinto(b"123"),
    "readinto read-only view": lambda f: f.readinto(memoryview(b"123")),
    "readinto no bytes": lambda f: f.readinto(b""),
    "readinto None": lambda f: f.readinto(None),
    "readinto text": lambda f: f.readinto("abc"),
    "write": lambda f: f.write(b"x"),
    "writelines": lambda f: f.writelines([b"x"]),
    "truncate": lambda f: f.truncate(3),
    "truncate()": lambda f: f.truncate(),
    "kind": lambda f: (f.writable(), f.readable(), f.seekable(), f.isatty(), f.closed, f.mode),
    "flush": lambda f: (f.flush(), f.read(3)),
    "with": lambda f: (f.__enter__() is f, f.__exit__(None, None, None), f.closed),
    "text": lambda f: in_text(f, list),
    "text that seeks": lambda f: in_text(f, text_that_seeks),
    "text and its newlines": lambda f: in_text(f, lambda text: text.read(), newline=""),
    "BufferedReader": lambda f: buffered(f, lambda reader: reader.read()),
    "BufferedReader seeks": lambda f: buffered(
        f, lambda r: (r.seek(500), r.read(7), r.seek(-9, os.SEEK_CUR), r.peek(2)[:2], r.tell())
    ),
}


def in_text(
    file: Any, call: Callable[[io.TextIOWrapper], object], newline: str | None = None
) -> object:
    with io.TextIOWrapper(file, encoding="utf-8", newline=newline) as text:
        return call(text)


def text_that_seeks(text: io.TextIOWrapper) -> object:
    first = [text.readline() for _ in range(5)]
    at = text.tell()
    rest = text.read()
    text.seek(at)
    return first, rest == text.read()


def buffered(file: Any, call: Callable[[io.BufferedReader], object]) -> object:
    with io.BufferedReader(file, 100) as reader:
        return call(reader)


def outcome(call: Callable[[Any], object], file: Any) -> object:
    """What comes of it, or the kind of error: the nearest one of Python's own."""
    try:
        return call(file)
    except BufferError:
        return "TypeError"  # what a buffer that does not do raises depends on who asks
    except io.UnsupportedOperation:
        return "UnsupportedOperation"
    except Exception as error:
        return type(error).__name__


@pytest.mark.parametrize("name", CALLS)
def test_it_does_as_a_file_on_a_disk(original: Path, name: str) -> None:
    manifest = str(original.parent / "out" / "t.txt.regather.json")
    with original.open("rb") as file:
        expected = outcome(CALLS[name], file)
    with regather.open(manifest) as hosted:
        assert outcome(CALLS[name], hosted) == expected
    with fsspec.filesystem("regather").open(manifest) as opened:
        assert outcome(CALLS[name], opened) == expected


CLOSED: dict[str, Callable[[Any], object]] = {
    "read": lambda f: f.read(),
    "read(0)": lambda f: f.read(0),
    "read1": lambda f: f.read1(),
    "peek": lambda f: f.peek(),
    "readline": lambda f: f.readline(),
    "readlines": lambda f: f.readlines(),
    "readinto": lambda f: f.readinto(bytearray(1)),
    "readinto1": lambda f: f.readinto1(bytearray(1)),
    "next": next,
    "iter": iter,
    "tell": lambda f: f.tell(),
    "seek": lambda f: f.seek(0),
    "readable": lambda f: f.readable(),
    "seekable": lambda f: f.seekable(),
    "isatty": lambda f: f.isatty(),
    "fileno": lambda f: f.fileno(),
    "flush": lambda f: f.flush(),
    "with": lambda f: f.__enter__(),
}


@pytest.fixture(scope="module")
def closed(original: Path) -> regather.RemoteFile:
    file = regather.open(original.parent / "out" / "t.txt.regather.json")
    file.read(10)
    file.close()
    file.close()
    return file


@pytest.mark.parametrize("name", CLOSED)
def test_a_closed_file(closed: regather.RemoteFile, name: str) -> None:
    with pytest.raises(ValueError):
        CLOSED[name](closed)


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f.pread(1, 0),
        lambda f: f.pread_into(bytearray(1), 0),
        lambda f: f.read_ranges([(0, 1)]),
        pickle.dumps,
    ],
)
def test_a_closed_file_elsewhere(
    closed: regather.RemoteFile, call: Callable[[Any], object]
) -> None:
    with pytest.raises(ValueError, match="closed"):
        call(closed)


def test_a_failed_read_leaves_the_position(original: Path) -> None:
    with regather.open(original.parent / "out" / "t.txt.regather.json") as file:
        file.seek(7)
        for bad in (b"123", "abc", memoryview(bytearray(9))[::2]):
            with pytest.raises((TypeError, BufferError)):
                file.readinto(bad)  # type: ignore[arg-type]
        assert file.tell() == 7
