"""What a split survives: what was asked for, or it is refused; and it is told."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import regather
from regather.coding.placement import spread
from regather.coding.survival import survival
from regather.errors import UsageError
from regather.manifest import Manifest
from regather.splitter.geometry import default_fragments, fragment_sizes, layout_of
from tests.support.files import random_file
from tests.support.files import regather as command

SIZE = 10_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_file(tmp_path_factory.mktemp("original") / "f", SIZE)


@pytest.mark.parametrize(("servers", "parity"), [*product(range(2, 8), range(1, 4)), (300, 2)])
def test_by_default_parity_survives_what_it_says(servers: int, parity: int) -> None:
    count = default_fragments(servers, parity, SIZE)
    if servers <= parity:
        return
    assert count == min(servers - parity, 256 - parity)
    layout = layout_of(SIZE, fragment_sizes(SIZE, count, None), parity)
    assert survival(layout, spread(layout, servers, 1)).failures == parity


@pytest.mark.parametrize(
    ("options", "survives"),
    [
        ({"servers": 3, "parity": 1}, 1),
        ({"servers": 5, "parity": 2}, 2),
        ({"servers": 3, "replicas": 2}, 1),
        ({"servers": 3}, 0),
        ({"servers": 6, "parity": 1, "replicas": 2}, 1),
        ({"servers": 6, "parity": 1, "replicas": 2, "survive": 2}, 2),
        ({"servers": 3, "parity": 1, "fragments": 3, "survive": 0}, 0),
        ({"servers": 3, "parity": 1, "fragments": 3, "force": True}, 0),
        ({"parity": 1}, 0),
    ],
)
def test_the_manifest_says_what_it_was_made_for(
    path: Path, tmp_path: Path, options: dict[str, Any], survives: int
) -> None:
    manifest = regather.split(path, tmp_path / "o", **options)
    assert manifest.survives == survives
    read = Manifest.from_bytes((tmp_path / "o" / "f.regather.json").read_bytes())
    assert read.survives == survives
    assert ('"survives"' in read.to_bytes().decode()) == bool(survives)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"servers": 3, "parity": 1, "fragments": 3},
            "survives the loss of exactly 0 of 3 servers, not of 1; use --servers 4, or "
            "--set-size 2, or --survive 0, or --force",
        ),
        ({"servers": 2, "parity": 2}, "exactly 0 of 2 servers, not of 2; use --servers 5"),
        ({"servers": 3, "survive": 1}, "exactly 0 of 3 servers, not of 1; add --parity 1"),
        ({"servers": 4, "parity": 1, "survive": 2}, "not of 2; add --parity 2 or --replicas 3"),
        ({"survive": 1}, "losses to survive need servers"),
        ({"servers": 3, "survive": -1}, "must not be negative"),
    ],
)
def test_what_does_not_survive_it_is_refused(
    path: Path, tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        regather.split(path, tmp_path / "o", **options)
    assert says in str(caught.value)
    assert not (tmp_path / "o").exists()


@pytest.mark.impure
def test_the_command_tells_what_is_survived(path: Path, tmp_path: Path) -> None:
    told = command("split", path, "--out", tmp_path / "a", "--servers", "3", "--parity", "1")
    assert "Survives: the loss of any 1 server\n" in told.stdout
    few = ["--servers", "3", "--parity", "1", "--fragments", "3"]
    assert command("split", path, "--out", tmp_path / "b", *few).returncode == 2
    told = command("split", path, "--out", tmp_path / "b", *few, "--survive", "0")
    assert "Survives: no loss of a server\n" in told.stdout
    assert "1 of 3 servers holds more than one fragment of an erasure set" in told.stderr
    told = command("split", path, "--out", tmp_path / "c", *few, "--force", "--json")
    assert json.loads(told.stdout)["survives"] == 0
    told = command("split", path, "--out", tmp_path / "d")
    assert "Survives" not in told.stdout
