"""The examples, run as anybody would run them, on servers that host the real thing."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

import regather
from tests.support.files import MIB
from tests.support.hosting import Hosting

EXAMPLES = Path(__file__).parents[2] / "examples"
IDLE_EXIT = Path(__file__).parents[1] / "support" / "idle_exit.py"
ROWS, GROUP = 800_000, 200_000


@dataclass
class Hosted:
    """Files on two servers, each of which has all of them."""

    folder: Path
    urls: list[str]

    def run(self, example: str, name: str, *arguments: str, most: int = 2) -> str:
        """What an example printed about the file ``name``, from ``most`` servers.

        With one of them no late piece is asked for a second time, of the other: bytes are exact.
        """
        manifest = self.folder / f"{name}.hosted" / f"{name}.regather.json"
        servers = [f"{url}{name}.hosted/server{n}/" for n, url in enumerate(self.urls[:most], 1)]
        done = subprocess.run(
            [sys.executable, IDLE_EXIT, EXAMPLES / example, manifest, *arguments, *servers],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def received(text: str, what: str = "received") -> int:
    """The bytes in a line like ``received 5 of 7 bytes``."""
    found = re.search(rf"^{what} (\d+) of \d+ bytes$", text, re.MULTILINE)
    assert found is not None, text
    return int(found[1])


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {f"c{n}": rng.integers(-(2**40), 2**40, ROWS) for n in range(4)}


@pytest.fixture(scope="module")
def hosted(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, np.ndarray]
) -> Iterator[Hosted]:
    folder = tmp_path_factory.mktemp("examples")
    pq.write_table(
        pa.table(values),
        folder / "table.parquet",
        row_group_size=GROUP,
        use_dictionary=False,
        compression="none",
    )
    rng = np.random.default_rng(2)
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        for n in range(20):
            archive.writestr(f"member{n}.bin", b"member %d " % n + rng.bytes(MIB))
    weights = {f"layer{n}": rng.random((512, 512), dtype=np.float32) + n for n in range(16)}
    save_file(weights, folder / "model.safetensors")
    for name in ("table.parquet", "archive.zip", "model.safetensors"):
        regather.split(folder / name, folder / f"{name}.hosted", servers=2, replicas=2)
    with Hosting() as hosting:
        yield Hosted(folder, [hosting.serve(folder).url for _ in range(2)])


def test_every_example_is_run_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in here] == []


def test_pandas(hosted: Hosted, values: dict[str, np.ndarray]) -> None:
    told = hosted.run("parquet_pandas.py", "table.parquet", "c1,c2")
    assert f"{ROWS:.6e}" in told
    assert f"{values['c1'].max():.6e}" in told
    size = (hosted.folder / "table.parquet").stat().st_size
    assert received(told) < 0.8 * size, "half of the columns are to be had for little more"


def test_pyarrow(hosted: Hosted, values: dict[str, np.ndarray]) -> None:
    told = hosted.run("parquet_pyarrow.py", "table.parquet", "c3")
    assert f"{ROWS} rows in {ROWS // GROUP} row groups" in told
    assert f"sum of c3 in the last one: {values['c3'][-GROUP:].sum()}" in told
    assert f"{(values['c3'] >= 0).sum()} rows with c3 >= 0" in told
    assert received(told) <= 4 * MIB, "a chunk of 1.5 MiB, and the footer"


def test_duckdb(hosted: Hosted, values: dict[str, np.ndarray]) -> None:
    told = hosted.run("parquet_duckdb.py", "table.parquet", "c0")
    assert f"count and sum of c0: {ROWS} {values['c0'].sum()}" in told


def test_zip(hosted: Hosted) -> None:
    told = hosted.run("zip_listing.py", "archive.zip", "member7.bin", most=1)
    assert all(f" member{n}.bin\n" in told for n in range(20))
    assert "b'member 7 " in told
    assert received(told, "listed for") <= MIB, "the last piece has the directory"
    assert received(told) <= 4 * MIB


def test_safetensors(hosted: Hosted) -> None:
    told = hosted.run("safetensors_header.py", "model.safetensors", "layer9", most=1)
    assert "layer3 F32 [512, 512]" in told
    mean = re.search(r"mean of layer9: ([\d.]+)", told)
    assert mean is not None
    assert abs(float(mean[1]) - 9.5) < 0.01
    assert received(told, "header for") <= MIB
    assert received(told) <= 3 * MIB
