"""Reads Parquet through ``regather.open`` and counts what was received.

    python -m bench.reading [--size 1GB] [--group-rows 1000000,125000,8000]

A table of ten columns of random numbers is written, split, and served on loopback; each way of
reading it prints the bytes that pyarrow asked for, the bytes received, and their ratio.
"""

from __future__ import annotations

import argparse
import io
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.support.hosting import Hosting

import regather
from regather.units import parse_size

COLUMNS = 10
_WIDTH = 8
"""Bytes of a value; random ones do not get smaller."""


class Asked(io.RawIOBase):
    """Passes reads on, and counts their bytes."""

    def __init__(self, file: regather.RemoteFile) -> None:
        self.file = file
        self.bytes = self.reads = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """As the file."""
        return self.file.tell()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As the file."""
        return self.file.seek(offset, whence)

    def read(self, size: int | None = -1, /) -> bytes:
        """As the file."""
        data = self.file.read(size)
        self.bytes += len(data)
        self.reads += 1
        return data


def write_table(path: Path, rows: int, group_rows: int) -> None:
    """Ten columns of random 8-byte integers, ``group_rows`` a row group."""
    rng = np.random.default_rng(1)
    names = [f"c{n}" for n in range(COLUMNS)]
    schema = pa.schema([(name, pa.int64()) for name in names])
    with pq.ParquetWriter(path, schema, use_dictionary=False, compression="none") as writer:
        for start in range(0, rows, group_rows):
            count = min(group_rows, rows - start)
            columns = [pa.array(rng.integers(0, 2**62, count)) for _ in names]
            writer.write_table(pa.table(columns, names=names), row_group_size=group_rows)


def ways(groups: int) -> dict[str, Callable[[Any], object]]:
    """What is done with the file, by what it is called."""
    some = random.Random(1).sample(range(groups), max(1, groups // 10))
    return {
        "one column": lambda f: pq.read_table(f, columns=["c4"]),
        "one column, no pre-buffer": lambda f: pq.read_table(f, columns=["c4"], pre_buffer=False),
        "one column, 64 KiB stream": lambda f: pq.read_table(
            f, columns=["c4"], pre_buffer=False, buffer_size=64 << 10
        ),
        "three columns": lambda f: pq.read_table(f, columns=["c1", "c4", "c8"]),
        "two neighbours": lambda f: pq.read_table(f, columns=["c4", "c5"]),
        "one column of a tenth": lambda f: pq.ParquetFile(f).read_row_groups(some, columns=["c4"]),
        "one chunk": lambda f: pq.ParquetFile(f).read_row_group(groups // 2, columns=["c4"]),
        "footer": pq.read_metadata,
        "all": pq.read_table,
    }


def measure(folder: Path, size: int, group_rows: int, piece_size: int | None) -> None:
    """Print a table for one size of row groups."""
    rows = size // (COLUMNS * _WIDTH)
    path = folder / "table.parquet"
    write_table(path, rows, group_rows)
    regather.split(
        path,
        folder / "out",
        fragments=3,
        servers=3,
        replicas=2,
        force=True,
        piece_size=piece_size,
    )
    path.unlink()
    chunk = min(rows, group_rows) * _WIDTH / 2**20
    print(f"\ncolumn chunks of {chunk:.2f} MiB, {-(-rows // group_rows)} row groups")
    print(f"{'':28}{'asked MiB':>10}{'reads':>8}{'received MiB':>14}{'ratio':>8}{'s':>8}")
    with Hosting() as hosting:
        urls = [hosting.serve(folder / "out" / f"server{n}").url for n in (1, 2, 3)]
        for name, read in ways(-(-rows // group_rows)).items():
            manifest = str(folder / "out" / "table.parquet.regather.json")
            with regather.open(manifest, servers=urls) as file:
                asked = Asked(file)
                began = time.monotonic()
                read(asked)
                seconds = time.monotonic() - began
                ratio = file.received / asked.bytes
                print(
                    f"{name:28}{asked.bytes / 2**20:10.2f}{asked.reads:8}"
                    f"{file.received / 2**20:14.2f}{ratio:8.2f}{seconds:8.2f}"
                )


def main() -> None:
    """Measure for each size of row groups."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=parse_size, default=10**9)
    parser.add_argument("--group-rows", default="1000000,500000,125000,8000")
    parser.add_argument("--piece-size", type=parse_size, help="of the split (default: as ever)")
    given = parser.parse_args()
    for group_rows in map(int, given.group_rows.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), given.size, group_rows, given.piece_size)


if __name__ == "__main__":
    main()
