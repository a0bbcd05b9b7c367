"""Codec speeds, one thread: ``python -m bench.codec RUNS NAME…``; run as a process of its own.

A name is ``LIBRARY-WHO-JOB-K+M``: our codec on a library, or the bare loop around the library, as
``isal-ours-encode-4+2`` or ``zfec-raw-decode-10+4``. Every buffer is as long as a strip of the
splitter, and the same few are coded again and again, so the processor's caches are what is read.
Prints JSON: bytes of data a run, and the seconds of each run by name, the runs taking turns.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Callable, Sequence
from random import Random

import zfec

from regather.coding.codec import Codec, IsalCodec, ZfecCodec, _isal, strip_size
from regather.model import MIN_PIECE_SIZE

_SECONDS = 0.15
"""At least, of every run."""


class Subject:
    """One way to code, with its buffers."""

    def __init__(self, name: str) -> None:
        library, who, self._job, shape = name.split("-")
        k, m = map(int, shape.split("+"))
        self._k, self._m = k, m
        length = strip_size(k + m, MIN_PIECE_SIZE)
        self._data = [memoryview(bytearray(Random(i).randbytes(length))) for i in range(k)]
        self._parity = [memoryview(bytearray(length)) for _ in range(m)]
        exact = ZfecCodec(k, m)
        exact.encode(self._data, self._parity)
        # As many of the data pieces are lost as there are parity pieces, or all.
        self._want = tuple(range(min(k, m)))
        self._have = tuple(range(len(self._want), k + len(self._want)))
        self.size = k * length
        encoding = self._job == "encode"
        self._expected = self._parity if encoding else self._data[: len(self._want)]
        self._out = [memoryview(bytearray(length)) for _ in self._expected]
        pieces = self._data if encoding else [*self._data, *self._parity][len(self._want) :]
        self._pieces = pieces[:k]
        if library == "isal" and who == "raw":
            self.once = self._raw_isal(exact)
        elif who == "raw":
            self.once = self._raw_zfec()
        else:
            self.once = self._ours(exact if library == "zfec" else IsalCodec(k, m, isal()))

    def _ours(self, codec: Codec) -> Callable[[], object]:
        if self._job == "encode":
            return lambda: codec.encode(self._pieces, self._out)
        return lambda: codec.decode(self._have, self._pieces, self._want, self._out)

    def _raw_zfec(self) -> Callable[[], object]:
        if self._job == "encode":
            encode = zfec.Encoder(self._k, self._k + self._m).encode
            numbers = tuple(range(self._k, self._k + self._m))
            return lambda: encode(self._pieces, numbers)
        # Lost pieces stand where zfec wants parity, so that it has nothing to sort.
        decode = zfec.Decoder(self._k, self._k + self._m).decode
        lost = len(self._want)
        pieces = (*self._pieces[self._k - lost :], *self._pieces[: self._k - lost])
        have = (*self._have[self._k - lost :], *self._have[: self._k - lost])
        return lambda: decode(pieces, have)

    def _raw_isal(self, exact: ZfecCodec) -> Callable[[], object]:
        units = [memoryview(bytearray(int(i == j) for j in range(self._k))) for i in range(self._k)]
        rows = [memoryview(bytearray(self._k)) for _ in self._out]
        if self._job == "encode":
            exact.encode(units, rows)
        else:
            exact.decode(self._have, units, self._want, rows)
        library = isal()
        tables = ctypes.create_string_buffer(32 * self._k * len(rows))
        library.ec_init_tables(self._k, len(rows), b"".join(rows), tables)
        pieces, out = _addresses(self._pieces), _addresses(self._out)
        length, count = len(self._out[0]), len(rows)
        return lambda: library.ec_encode_data(length, self._k, count, tables, pieces, out)

    def wrong(self) -> bool:
        """Code once; tell whether what was written is wrong (raw zfec returns new bytes)."""
        made = self.once()
        out = made[: len(self._expected)] if isinstance(made, list) else self._out
        return any(bytes(a) != b for a, b in zip(out, self._expected, strict=True))


def _addresses(buffers: Sequence[memoryview]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(buffers))(
        *(ctypes.addressof(ctypes.c_char.from_buffer(buffer)) for buffer in buffers)
    )


def isal() -> ctypes.CDLL:
    """ISA-L; exits where there is none."""
    return _isal() or sys.exit("no ISA-L found")


def seconds_for(subject: Subject, times: int) -> float:
    """Code so many times."""
    once = subject.once
    began = time.perf_counter()
    for _ in range(times):
        once()
    return time.perf_counter() - began


def main() -> None:
    """Measure what ``sys.argv`` names."""
    runs, names = int(sys.argv[1]), sys.argv[2:]
    subjects = {name: Subject(name) for name in names}
    times = {}
    for name, subject in subjects.items():
        if subject.wrong():
            sys.exit(f"{name}: wrong bytes")
        times[name] = 1
        while (took := seconds_for(subject, times[name])) < _SECONDS:
            times[name] = max(times[name] * 2, int(times[name] * _SECONDS * 1.2 / max(took, 1e-6)))
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(runs):
        for name, subject in subjects.items():
            seconds[name].append(seconds_for(subject, times[name]))
    sizes = {name: subject.size * times[name] for name, subject in subjects.items()}
    print(json.dumps({"sizes": sizes, "seconds": seconds}))


if __name__ == "__main__":
    main()
