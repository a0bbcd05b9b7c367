"""The erasure code: whatever is lost, up to m pieces, comes back, and the code never changes.

The reference below shares nothing with the libraries: it evaluates the polynomial through the data
pieces (docs/format.md) by Lagrange's formula, where they multiply and invert matrices.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import random
import threading
from collections.abc import Iterable, Sequence
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regather.coding.codec import Codec, IsalCodec, ZfecCodec, _agrees, _isal, codec_for

SHAPES = [(1, 1), (1, 4), (2, 1), (4, 2), (10, 4), (100, 20), (255, 1), (250, 6)]
LENGTHS = [1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 191, 255, 1000, 8193]
"""Around the widths of vector registers, and zfec's stride."""

KNOWN_DATA = [b"No fragm", b"ent is e", b"ver real", b"ly lost."]
KNOWN_PARITY = [bytes.fromhex("b446f56c5a8915da"), bytes.fromhex("6e413bf77df29387")]


@functools.cache
def codecs(k: int, m: int) -> tuple[Codec, ...]:
    """Both codecs, or only zfec where there is no ISA-L."""
    library = _isal()
    return (ZfecCodec(k, m), *([IsalCodec(k, m, library)] if library else []))


def buffers(pieces: Iterable[bytes]) -> list[memoryview]:
    return [memoryview(bytearray(piece)) for piece in pieces]


def blank(count: int, length: int) -> list[memoryview]:
    """Buffers that do not hold zeros already."""
    return buffers([b"\xa5" * length] * count)


def content(pieces: Sequence[memoryview]) -> list[bytes]:
    return [bytes(piece) for piece in pieces]


def random_pieces(count: int, length: int, seed: int = 1) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(length) for _ in range(count)]


def encoded(codec: Codec, data: Sequence[bytes]) -> list[bytes]:
    parity = blank(codec.m, len(data[0]))
    codec.encode(buffers(data), parity)
    return content(parity)


def decoded(codec: Codec, row: Sequence[bytes], lost: Sequence[int]) -> list[bytes]:
    """The lost data pieces, from the first k others; nothing that was handed over may change."""
    have = tuple(i for i in range(codec.k + codec.m) if i not in lost)[: codec.k]
    want = tuple(i for i in lost if i < codec.k)
    pieces = buffers(row[i] for i in have)
    given = list(pieces)
    out = blank(len(want), len(row[0]))
    codec.decode(have, pieces, want, out)
    assert all(a is b for a, b in zip(pieces, given, strict=True))
    assert content(pieces) == [row[i] for i in have]
    return content(out)


# -- the code itself --------------------------------------------------------------------------


EXP = [1]
while len(EXP) < 255:
    doubled = EXP[-1] << 1
    EXP.append(doubled ^ 0x11D if doubled & 0x100 else doubled)
LOG = {element: power for power, element in enumerate(EXP)}


def multiply(a: int, b: int) -> int:
    return EXP[(LOG[a] + LOG[b]) % 255] if a and b else 0


def divide(a: int, b: int) -> int:
    return EXP[(LOG[a] - LOG[b]) % 255] if a else 0


def point(number: int) -> int:
    """Where the polynomial has the value of the piece with this number."""
    return EXP[number - 1] if number else 0


@functools.cache
def reference_matrix(k: int, m: int) -> list[list[int]]:
    """What each data piece counts in each parity piece."""
    rows = []
    for x in map(point, range(k, k + m)):
        row = []
        for j in range(k):
            above = below = 1
            for other in (i for i in range(k) if i != j):
                above = multiply(above, x ^ point(other))
                below = multiply(below, point(j) ^ point(other))
            row.append(divide(above, below))
        rows.append(row)
    return rows


def reference_parity(data: Sequence[bytes], m: int) -> list[bytes]:
    parity = []
    for row in reference_matrix(len(data), m):
        made = bytearray(len(data[0]))
        for factor, piece in zip(row, data, strict=True):
            for at, byte in enumerate(piece):
                made[at] ^= multiply(factor, byte)
        parity.append(bytes(made))
    return parity


def test_known_answer() -> None:
    """Parity that was written once must be readable for ever."""
    assert reference_parity(KNOWN_DATA, 2) == KNOWN_PARITY
    for codec in codecs(4, 2):
        assert encoded(codec, KNOWN_DATA) == KNOWN_PARITY
        for lost in itertools.combinations(range(6), 2):
            wanted = [KNOWN_DATA[i] for i in lost if i < 4]
            assert decoded(codec, KNOWN_DATA + KNOWN_PARITY, lost) == wanted


@pytest.mark.parametrize(("k", "m"), [*SHAPES, (1, 255), (3, 253), (14, 10)])
def test_it_is_the_published_code(k: int, m: int) -> None:
    units = [bytes(int(i == j) for j in range(k)) for i in range(k)]
    expected = [bytes(row) for row in reference_matrix(k, m)]
    for codec in codecs(k, m):
        assert encoded(codec, units) == expected


def test_isa_l_is_used_where_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = IsalCodec if _isal() else ZfecCodec
    assert isinstance(codec_for(4, 2), expected)
    monkeypatch.setenv("REGATHER_NO_ISAL", "1")
    for cached in (_isal, codec_for):
        cached.cache_clear()
    try:
        assert isinstance(codec_for(4, 2), ZfecCodec)
    finally:
        for cached in (_isal, codec_for):
            cached.cache_clear()


def test_a_library_that_codes_otherwise_is_not_used() -> None:
    class Other:
        def __getattr__(self, name: str) -> object:
            return lambda *_: None

    assert not _agrees(cast("ctypes.CDLL", Other()))


def test_the_fast_codec_is_tested_here() -> None:
    if _isal() is None:
        pytest.skip("ISA-L is missing: apt-get install libisal2")
    assert [type(c) for c in codecs(4, 2)] == [ZfecCodec, IsalCodec]


# -- losses -----------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_loss_of_any_code(data: st.DataObject) -> None:
    k = data.draw(st.integers(1, 10))
    m = data.draw(st.integers(1, 4))
    length = data.draw(st.sampled_from(LENGTHS) | st.integers(1, 300))
    lost = sorted(data.draw(st.sets(st.integers(0, k + m - 1), max_size=m)))
    short = data.draw(st.binary(min_size=1, max_size=5))
    pieces = [*random_pieces(k - 1, length, data.draw(st.integers(0, 999))), short * length]
    pieces = [piece[:length] for piece in pieces]
    parity = encoded(codecs(k, m)[0], pieces)
    for codec in codecs(k, m):
        assert encoded(codec, pieces) == parity
        assert decoded(codec, pieces + parity, lost) == [pieces[i] for i in lost if i < k]


@pytest.mark.parametrize(("k", "m"), [(1, 4), (3, 2), (4, 2), (5, 3), (10, 2)])
def test_every_loss_one_after_the_other(k: int, m: int) -> None:
    """On one codec: what an earlier loss left behind in it must not show in the next."""
    data = random_pieces(k, 40)
    for codec in codecs(k, m):
        row = data + encoded(codec, data)
        for count in range(m + 1):
            for lost in itertools.combinations(range(k + m), count):
                assert decoded(codec, row, lost) == [data[i] for i in lost if i < k]


@pytest.mark.parametrize(("k", "m"), SHAPES)
@pytest.mark.parametrize("length", [1, 100, 4097])
def test_large_codes(k: int, m: int, length: int) -> None:
    rng = random.Random(k * length)
    data = random_pieces(k, length, seed=k)
    parity = encoded(codecs(k, m)[0], data)
    losses = [list(range(min(k, m))), list(range(max(0, k - m), k))]
    losses += [sorted(rng.sample(range(k + m), m)) for _ in range(3)]
    for codec in codecs(k, m):
        assert encoded(codec, data) == parity
        for lost in losses:
            assert decoded(codec, data + parity, lost) == [data[i] for i in lost if i < k]


def test_only_what_is_wanted_in_the_order_that_is_wanted() -> None:
    data = random_pieces(5, 64)
    for codec in codecs(5, 3):
        row = data + encoded(codec, data)
        have = (1, 3, 5, 6, 7)
        pieces = buffers(row[i] for i in have)
        for want in [(), (2,), (4, 0), (3, 2)]:
            out = blank(len(want), 64)
            codec.decode(have, pieces, want, out)
            assert content(out) == [data[i] for i in want]


def test_buffers_that_are_slices_of_one() -> None:
    data = random_pieces(4, 1001)
    for codec in codecs(4, 2):
        store = memoryview(bytearray(b"".join(data) + bytes(2 * 1001)))
        views = [store[i * 1001 : (i + 1) * 1001] for i in range(6)]
        codec.encode(views[:4], views[4:])
        assert content(views) == data + reference_parity(data, 2)


# -- wrong arguments --------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "m"), [(0, 1), (1, 0), (0, 0), (-1, 2), (4, -1), (255, 2), (1, 256)])
def test_no_such_code(k: int, m: int) -> None:
    library = _isal()
    with pytest.raises(ValueError, match="no code for"):
        codec_for(k, m)
    with pytest.raises(ValueError, match="no code for"):
        ZfecCodec(k, m)
    if library:
        with pytest.raises(ValueError, match="no code for"):
            IsalCodec(k, m, library)


def frozen() -> memoryview:
    return memoryview(bytes(8))


def gappy() -> memoryview:
    return memoryview(bytearray(16))[::2]


@pytest.mark.parametrize(
    ("pieces", "out"),
    [
        (blank(2, 8), blank(2, 8)),  # too few pieces
        (blank(4, 8), blank(2, 8)),  # too many
        ([], blank(2, 8)),
        (blank(3, 8), blank(1, 8)),  # too few outputs
        (blank(3, 8), blank(3, 8)),
        (blank(3, 8), []),
        (blank(3, 8), blank(2, 7)),  # shorter outputs would be written past their end
        (blank(3, 8), [*blank(1, 8), *blank(1, 9)]),
        ([*blank(2, 8), *blank(1, 7)], blank(2, 8)),
        (blank(3, 0), blank(2, 0)),
        (blank(3, 8), [*blank(1, 8), frozen()]),
        (blank(3, 8), [gappy(), *blank(1, 8)]),
        ([*blank(2, 8), gappy()], blank(2, 8)),
    ],
)
def test_wrong_buffers(pieces: list[memoryview], out: list[memoryview]) -> None:
    for codec in codecs(3, 2):
        with pytest.raises(ValueError):
            codec.encode(pieces, out)
        with pytest.raises(ValueError):
            codec.decode((1, 3, 4), pieces, (0, 2), out)
        assert all(set(o.tobytes()) <= {0, 0xA5} for o in out), "nothing is written"


@pytest.mark.parametrize(
    ("have", "want"),
    [
        ((1, 2), (0,)),
        ((1, 2, 3, 4), (0,)),
        ((), (0,)),
        ((1, 1, 2), (0,)),  # twice the same: zfec would never come back
        ((2, 1, 3), (0,)),
        ((1, 2, 5), (0,)),  # beyond the code: zfec would read elsewhere
        ((-1, 1, 2), (0,)),
        ((1, 2, 300), (0,)),
        ((1, 2, 3), (3,)),  # parity is made by encode
        ((1, 2, 3), (-1,)),
    ],
)
def test_wrong_numbers(have: tuple[int, ...], want: tuple[int, ...]) -> None:
    for codec in codecs(3, 2):
        with pytest.raises(ValueError, match="numbers"):
            codec.decode(have, blank(len(have), 8), want, blank(len(want), 8))


# -- threads ----------------------------------------------------------------------------------


def test_threads_share_a_codec() -> None:
    losses = list(itertools.combinations(range(9), 3))
    rows = [random_pieces(6, 500, seed=seed) for seed in range(6)]
    reference = [reference_parity(data, 3) for data in rows]
    for codec in codecs(6, 3):
        failed: list[BaseException] = []

        def work(seed: int, codec: Codec = codec, failed: list[BaseException] = failed) -> None:
            data, order = rows[seed], random.Random(seed)
            try:
                for lost in order.sample(losses, 60):
                    row = data + encoded(codec, data)
                    assert row[6:] == reference[seed]
                    assert decoded(codec, row, lost) == [data[i] for i in lost if i < 6]
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(len(rows))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
