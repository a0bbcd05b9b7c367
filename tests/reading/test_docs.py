"""The examples of docs/python.md do what they say, with servers on loopback in place of theirs."""

from __future__ import annotations

import gzip
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import regather
from regather.server.authorization import Tokens
from tests.support.hosting import Hosting

TEXT = Path(__file__).parents[2].joinpath("docs/python.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
CSV = b"a,b\n" + b"".join(b"%d,x\n" % n for n in range(200_000))

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """What the examples read; returns what puts real addresses into one."""
    folder = tmp_path_factory.mktemp("docs")
    pd.read_csv(zip_of(folder), compression="zip").to_parquet(folder / "t.parquet")
    (folder / "table.parquet").write_bytes(b"PAR1" * 2_600_000)
    (folder / "t.csv.gz").write_bytes(gzip.compress(CSV))
    with Hosting() as hosting:
        for name in ("t.parquet", "table.parquet", "t.csv.gz", "t.zip"):
            (folder / name).with_suffix(".d").mkdir(exist_ok=True)
        places = {}
        for name in ("t.parquet", "table.parquet", "t.csv.gz", "t.zip"):
            regather.split(folder / name, folder / f"{name}.out", servers=1)
            places[name] = hosting.serve(folder / f"{name}.out" / "server1").url
        writable = Tokens(read="", write="")
        targets = []
        for name in ("a", "b"):
            (folder / name).mkdir()
            targets.append(hosting.serve(folder / name, tokens=writable).url)

        def real(example: str) -> str:
            example = example.replace("h.example:9001", places["t.parquet"])
            example = example.replace("https://a.example/d", str(folder / "a"))
            example = example.replace("https://b.example/d", str(folder / "b"))
            return re.sub(
                r"https://[a-z.]+/(?:w/)?([a-z.]+?)(\.regather\.json)?(?=\")",
                lambda m: f"{places[m[1]]}{m[1]}{m[2] or ''}",
                example,
            )

        yield real


def zip_of(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "t.zip", "w") as made:
        made.writestr("in/a.csv", CSV)
    return folder / "t.zip"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.splitlines()[-1][:40])
def test_examples(
    hosted: Callable[[str], str], example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dataset" / "weights").mkdir(parents=True)
    (tmp_path / "dataset" / "labels.csv").write_bytes(CSV[:1000])
    (tmp_path / "dataset" / "a.json").write_text("{}")
    if "dataset.regather.json" in example:
        report = regather.publish("dataset", [str(tmp_path / "one")])
        shutil.copy(report.manifests[0], tmp_path)
    known: dict[str, Any] = {}
    exec(hosted(example), known)
