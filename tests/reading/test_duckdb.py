"""duckdb has threads of its own, which seek and read one file in two steps."""

from __future__ import annotations

import time
from pathlib import Path

import duckdb
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import regather
from regather.reading.position import Position


def test_the_sum_is_right_though_all_threads_seek_before_any_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(1).integers(-(2**40), 2**40, 400_000)
    pq.write_table(
        pa.table({"c": values}),
        tmp_path / "t.parquet",
        row_group_size=100_000,
        use_dictionary=False,
        compression="none",
    )
    regather.split(tmp_path / "t.parquet", tmp_path / "hosted")
    manifest = tmp_path / "hosted" / "t.parquet.regather.json"
    seek = Position.seek

    def slow(position: Position, offset: int, whence: int) -> int:
        at = seek(position, offset, whence)
        time.sleep(0.02)
        return at

    monkeypatch.setattr(Position, "seek", slow)
    with duckdb.connect() as connection:
        connection.register_filesystem(fsspec.filesystem("regather"))
        found = connection.execute(
            "select sum(c) from read_parquet(?)", [f"regather://{manifest}"]
        ).fetchall()
    assert found == [(values.sum(),)]
