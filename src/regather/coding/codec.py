"""The erasure code: any k of k + m pieces of a row give back the rest.

A systematic Reed-Solomon code over GF(2^8) with the polynomial 0x11d, from a Vandermonde matrix
made systematic (L. Rizzo, "Effective erasure codes for reliable computer communication
protocols", 1997), bit for bit as zfec computes it; ``docs/format.md`` says how to compute it.

zfec is the definition and always there. Where ISA-L (the library ``libisal``) is found, it does
the same arithmetic with the processor's vector instructions, twenty times as fast: zfec is then
only asked for the coefficients, by coding single bytes.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import zfec

from regather.model import MAX_SET

_ROW_STRIPS = 8 << 20
"""Bytes of the strips of one row together: they should stay in a cache."""
_MOST_STRIP = 1 << 20
"""Smaller ones stay in nearer caches, and cost more turns of the interpreter than that saves."""
_LEAST_STRIP = 16 << 10

Numbers = tuple[int, ...]
Buffers = Sequence[memoryview]
"""Writable and contiguous, all of the same length."""


class Codec(ABC):
    """Codes rows of ``k`` data pieces and ``m`` parity pieces, numbered 0 up to k + m.

    Thread-safe; lets other threads run while it computes. Raises ValueError where numbers or
    buffers do not fit the code: neither library notices, both would read and write elsewhere.
    """

    def __init__(self, k: int, m: int) -> None:
        _check_code(k, m)
        self.k = k
        self.m = m

    def encode(self, data: Buffers, parity: Buffers) -> None:
        """Fill the ``m`` buffers of ``parity`` from the ``k`` buffers of ``data``."""
        _check_buffers(self.k, data, self.m, parity)
        self._encode(data, parity)

    def decode(self, have: Numbers, pieces: Buffers, want: Numbers, out: Buffers) -> None:
        """Fill ``out`` with the data pieces numbered ``want``.

        ``pieces`` are any ``k`` pieces of the row, ``have`` their numbers, rising. Parity is not
        made here: decode what is missing of the data, then encode.
        """
        _check_numbers(self.k, self.m, have, want)
        _check_buffers(self.k, pieces, len(want), out)
        if want:
            self._decode(have, pieces, want, out)

    @abstractmethod
    def _encode(self, data: Buffers, parity: Buffers) -> None:
        """See encode."""

    @abstractmethod
    def _decode(self, have: Numbers, pieces: Buffers, want: Numbers, out: Buffers) -> None:
        """See decode."""


def strip_size(members: int, longest: int) -> int:
    """Bytes of a strip of each piece of a row, ``longest`` being its longest piece in bytes.

    Rows are coded strip by strip; ``members`` is how many buffers are in hand for one strip.
    """
    fair = _ROW_STRIPS // members & ~0xFFF
    return min(longest, max(_LEAST_STRIP, min(fair, _MOST_STRIP)))


@functools.cache
def codec_for(k: int, m: int) -> Codec:
    """The fastest codec on this machine for ``k`` data and ``m`` parity pieces, made once.

    Raises ValueError where k < 1, m < 1 or k + m > 256.
    """
    library = _isal()
    return IsalCodec(k, m, library) if library else ZfecCodec(k, m)


class ZfecCodec(Codec):
    """The code as zfec computes it, one byte at a time."""

    def __init__(self, k: int, m: int) -> None:
        super().__init__(k, m)
        self._encoder = zfec.Encoder(k, k + m)
        self._decoder = zfec.Decoder(k, k + m)
        self._parity = list(range(k, k + m))

    def _encode(self, data: Buffers, parity: Buffers) -> None:
        for buffer, made in zip(parity, self._encoder.encode(data, self._parity), strict=True):
            buffer[:] = made

    def _decode(self, have: Numbers, pieces: Buffers, want: Numbers, out: Buffers) -> None:
        # zfec sorts the very sequence that it is given, so it gets one of its own.
        whole = self._decoder.decode(list(pieces), have)
        for number, buffer in zip(want, out, strict=True):
            buffer[:] = whole[number]


class IsalCodec(Codec):
    """The same code on ISA-L: rows of coefficients, applied by ``ec_encode_data``."""

    def __init__(self, k: int, m: int, library: ctypes.CDLL) -> None:
        super().__init__(k, m)
        self._exact = ZfecCodec(k, m)
        self._library = library
        self._units = [memoryview(bytearray(int(i == j) for j in range(k))) for i in range(k)]
        rows = [memoryview(bytearray(k)) for _ in range(m)]
        # Coding the unit vectors side by side gives the matrix itself.
        self._exact.encode(self._units, rows)
        self._encoding = self._tables(rows)
        self._decoding = functools.lru_cache(maxsize=64)(self._tables_for)

    def _encode(self, data: Buffers, parity: Buffers) -> None:
        self._apply(self._encoding, data, parity)

    def _decode(self, have: Numbers, pieces: Buffers, want: Numbers, out: Buffers) -> None:
        self._apply(self._decoding(have, want), pieces, out)

    def _tables_for(self, have: Numbers, want: Numbers) -> ctypes.Array[ctypes.c_char]:
        rows = [memoryview(bytearray(self.k)) for _ in want]
        self._exact.decode(have, self._units, want, rows)
        return self._tables(rows)

    def _tables(self, rows: Buffers) -> ctypes.Array[ctypes.c_char]:
        tables = ctypes.create_string_buffer(32 * self.k * len(rows))
        self._library.ec_init_tables(self.k, len(rows), b"".join(rows), tables)
        return tables

    def _apply(self, tables: ctypes.Array[ctypes.c_char], pieces: Buffers, out: Buffers) -> None:
        self._library.ec_encode_data(
            len(out[0]), self.k, len(out), tables, _addresses(pieces), _addresses(out)
        )


def _check_code(k: int, m: int) -> None:
    if k < 1 or m < 1 or k + m > MAX_SET:
        raise ValueError(f"no code for {k} data and {m} parity pieces")


def _check_numbers(k: int, m: int, have: Numbers, want: Numbers) -> None:
    rising = all(a < b for a, b in itertools.pairwise(have))
    if len(have) != k or not rising or have[0] < 0 or have[-1] >= k + m:
        raise ValueError(f"not {k} rising numbers of pieces below {k + m}: {have}")
    if not all(0 <= number < k for number in want):
        raise ValueError(f"not numbers of data pieces, below {k}: {want}")


def _check_buffers(k: int, pieces: Buffers, count: int, out: Buffers) -> None:
    if len(pieces) != k or len(out) != count:
        raise ValueError(f"{len(pieces)} pieces and {len(out)} outputs, not {k} and {count}")
    length = len(pieces[0])
    for buffer in (*pieces, *out):
        if buffer.readonly or not buffer.c_contiguous or buffer.nbytes != length or length == 0:
            raise ValueError("buffers must be writable, contiguous and of equal length")


def _addresses(buffers: Buffers) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(buffers))(
        *(ctypes.addressof(ctypes.c_char.from_buffer(b)) for b in buffers)
    )


@functools.cache
def _isal() -> ctypes.CDLL | None:
    """ISA-L, from the system or as the wheel of pyeclib brings it; None where there is none."""
    if os.environ.get("REGATHER_NO_ISAL"):
        return None
    for name in _candidates():
        try:
            library = ctypes.CDLL(name)
            library.ec_init_tables.restype = library.ec_encode_data.restype = None
        except (OSError, AttributeError):
            continue
        if _agrees(library):
            return library
    return None


def _candidates() -> Iterator[str]:
    # By name: find_library calls ldconfig, the compiler and the linker, which took 30 to 130 ms.
    yield from ("libisal.so.2", "libisal.2.dylib", "libisal.dylib")
    if (bundled := _bundled()) is not None:
        yield bundled


def _agrees(library: ctypes.CDLL) -> bool:
    """Whether a library codes as zfec does: wrong parity would show only when it is needed."""
    k, m, length = 10, 4, 1000
    data = [memoryview(bytearray((7 * i + j * j) & 0xFF for j in range(length))) for i in range(k)]
    fast, exact = ([memoryview(bytearray(length)) for _ in range(m)] for _ in range(2))
    IsalCodec(k, m, library).encode(data, fast)
    ZfecCodec(k, m).encode(data, exact)
    return fast == exact


def _bundled() -> str | None:
    # importlib.metadata would find it too, and imports the parsers of mail for it.
    spec = importlib.util.find_spec("pyeclib")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    beside = (package.parent / "pyeclib.libs", package / ".dylibs")  # on Linux, on macOS
    found = (path for folder in beside for path in sorted(folder.glob("libisal*")))
    return next(map(str, found), None)
