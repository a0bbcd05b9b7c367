"""What lies beside a local manifest is not asked while other sources are known, but told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from regather.upkeep.inspection import check
from regather.upkeep.restoration import repair
from tests.support.hosting import Hosting
from tests.support.small import PIECE, Small, small

PLACES = {"a b": [1], "b": [2], "c": [3]}


@pytest.fixture
def made() -> Small:
    return small([PIECE, PIECE], parity=1)


def test_what_no_source_has_may_lie_beside(tmp_path: Path, made: Small) -> None:
    made.write(tmp_path, PLACES)
    (tmp_path / "b" / made.names[1]).unlink()
    manifest, folders = tmp_path / "a b" / "small.regather.json", [tmp_path / "b", tmp_path / "c"]
    report = check(manifest, servers=folders)
    note = f"{tmp_path}/a b/ holds {made.names[0]}: add --server '{tmp_path}/a b/'"
    assert (report.status, report.notes) == ("lost", (note,))
    assert repair(manifest, servers=folders).notes == (note,)
    assert repair(manifest, servers=[tmp_path / "a b", *folders]).status == "healthy"


def test_also_where_the_manifest_names_a_server(
    tmp_path: Path, hosting: Hosting, made: Small
) -> None:
    made.write(tmp_path, {"far": [3], "near": [1, 2]})
    url = hosting.serve(tmp_path / "far").url
    path = made.at({url: [3]}).write(tmp_path / "near", {})
    (note,) = check(path).notes
    assert f"holds {made.names[0]} and 1 more: add --server" in note


def test_nothing_is_told_where_sources_have_all(tmp_path: Path, made: Small) -> None:
    made.write(tmp_path, {**PLACES, "mine": [1]})
    manifest = tmp_path / "mine" / "small.regather.json"
    assert check(manifest, servers=[tmp_path / name for name in PLACES]).notes == ()
