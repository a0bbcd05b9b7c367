"""What a loss of power leaves, by a model of the disk; ``make powercuts`` replays all states."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest

from tests.torture.disk import Recording, lay_out, tree_of
from tests.torture.powercuts import flaws_without_sync, record, replayed, states, untrue_claims
from tests.torture.recorder import Call, Recorder
from tests.torture.works import works

SAMPLED = (
    *("get", "get, resumed", "get a folder", "split", "publish", "repair"),
    *("serve, receiving", "gateway"),
)
REPLAYED = 1
"""States of each command from which it goes on."""
SPARE = {"get": 0, "split": 1}
"""Syncs without which nothing untrue has a name.

That of ``split`` is for the next one, which finds by it what a killed one had named.
"""
_CALL = Call("", "", "", "", b"", 0, 0, created=False, began=0, offset=0, length=0, inode=0)


def test_what_has_its_name_is_right_and_each_sync_is_needed(
    recorder: Recorder, tmp_path: Path
) -> None:
    flaws: list[str] = []
    untrue = 0
    with works(tmp_path, recorder) as all_works:
        for work in (work for work in all_works if work.name in SAMPLED):
            run = record(work, recorder, tmp_path / "run")
            found = list(states(run, each=2))
            flaws += [f"{work.name}: {state.how}: {flaw}" for state, flaw in found if flaw]
            untrue += sum(untrue_claims(state.tree) for state, _ in found)
            for state, _ in random.Random(work.name).sample(found, REPLAYED):
                flaw = replayed(work, recorder, tmp_path / "run", state.tree)
                flaws += [f"{work.name}: {state.how}: {flaw}"] if flaw else []
            if work.name in SPARE:
                spare = [flaw for flaw in flaws_without_sync(run, each=4) if not flaw]
                assert len(spare) == SPARE[work.name], work.name
    assert flaws == []
    assert untrue > 10


def _trees(calls: list[Call], root: Path) -> list[dict[str, bytes | None]]:
    made = Recording(root, {}, {}, calls)
    return [state.tree for state in made.states(random.Random(1), each=20)]


@pytest.mark.parametrize("synced", [True, False])
def test_a_name_may_come_before_its_bytes_unless_they_are_synced(
    tmp_path: Path, synced: bool
) -> None:
    data = b"x" * 10_000
    calls = [
        dataclasses.replace(_CALL, name="create", target=f"{tmp_path}/t", created=True, inode=7),
        dataclasses.replace(_CALL, name="pwrite", target=f"{tmp_path}/t", data=data, inode=7),
        dataclasses.replace(_CALL, name="fsync" if synced else "fstat", began=2, inode=7),
        dataclasses.replace(
            _CALL, name="rename", target=f"{tmp_path}/f", other=f"{tmp_path}/t", began=3
        ),
    ]
    found = _trees(calls, tmp_path)
    contents = {tree["f"] for tree in found if "f" in tree}
    assert {"t": data} in found
    assert {} in found
    if synced:
        assert contents == {data}
    else:
        assert {b"", bytes(10_000), data} < contents
        assert any(c and c.startswith(b"x" * 4096 + b"\0") for c in contents)


def test_a_name_is_certain_once_its_folder_is_synced(tmp_path: Path) -> None:
    calls = [
        dataclasses.replace(_CALL, name="mkdir", target=f"{tmp_path}/d"),
        dataclasses.replace(_CALL, name="create", target=f"{tmp_path}/d/f", created=True, inode=7),
        dataclasses.replace(_CALL, name="link", target=f"{tmp_path}/g", other=f"{tmp_path}/d/f"),
        dataclasses.replace(_CALL, name="fsync", target=str(tmp_path), began=3),
    ]
    made = Recording(tmp_path, {}, {}, calls)
    found = list(made.states(random.Random(1), each=9, promises=[2, 3]))
    assert any(state.tree == {} for state in found if state.at == 3)
    later = [state.tree for state in found if state.at == 4]
    assert {"d": None, "g": b""} in later
    assert {"d": None, "d/f": b"", "g": b"=> d/f"} in later
    assert all({"d", "g"} <= tree.keys() for tree in later)
    lay_out({"d": None, "d/f": b"1", "g": b"=> d/f"}, tmp_path)
    assert tree_of(tmp_path) == {"d": None, "d/f": b"1", "g": b"1"}
    assert (tmp_path / "g").stat().st_nlink == 2
