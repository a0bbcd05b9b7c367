"""Random damage of any extent, held against counting good pieces row by row."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from regather.digest import piece_hash
from regather.upkeep.inspection import check
from regather.upkeep.restoration import repair
from tests.support.small import PIECE, Small, flip, small


def truth(folder: Path, made: Small, places: dict[str, list[int]]) -> dict[str, tuple[int, ...]]:
    """The rows of every fragment that can be had nowhere and not be decoded."""
    layout = made.manifest.layout

    def good(position: int, piece: int) -> bool:
        if piece >= layout.pieces_of(position):
            return True
        for place, indexes in places.items():
            if position + 1 in indexes:
                file = folder / place / layout.fragments[position].name
                content = file.read_bytes() if file.exists() else b""
                part = content[piece * PIECE :][: layout.length(position, piece)]
                if part and piece_hash(part) == layout.hash_of(position, piece):
                    return True
        return False

    lost: dict[str, list[int]] = {}
    for position, fragment in enumerate(layout.fragments):
        number = layout.set_of[position]
        for piece in range(layout.pieces_of(position)):
            if good(position, piece):
                continue
            if number >= 0:
                members = layout.sets[number]
                everyone = (*members.data, *members.parity)
                if sum(good(p, piece) for p in everyone) >= len(members.data):
                    continue
            lost.setdefault(fragment.name, []).append(piece)
    return {name: tuple(rows) for name, rows in lost.items()}


@pytest.mark.parametrize("seed", range(80))
def test_check_and_repair_tell_the_truth(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    k = rng.randint(1, 6)
    sizes = [rng.choice([0, 1, PIECE, 2500, 4096, 6000]) for _ in range(k)]
    made = small(sizes, parity=rng.randint(0, 3), set_size=rng.randint(1, k), seed=seed)
    count = rng.randint(1, 5)
    places: dict[str, list[int]] = {f"at{n}": [] for n in range(count)}
    for index in range(1, len(made.names) + 1):
        for place in rng.sample(sorted(places), rng.randint(1, min(2, count))):
            places[place].append(index)
    path = made.write(tmp_path, places)
    harm = rng.random()
    for place, indexes in places.items():
        for index in indexes:
            file = tmp_path / place / made.names[index - 1]
            size = len(made.content[file.name])
            how = rng.randrange(5) if rng.random() < harm else 4
            if how == 0:
                file.unlink()
            elif how == 1:
                file.write_bytes(file.read_bytes()[: rng.randint(0, size)])
            elif how == 2:
                file.write_bytes(file.read_bytes() + b"more")
            elif how == 3:
                for _ in range(rng.randint(1, 4) if size else 0):
                    flip(file, rng.randrange(8 * size))
    lost = truth(tmp_path, made, places)
    folders = [str(tmp_path / place) for place in places]
    report = check(path, servers=folders, read_data=1)
    assert {x.fragment: x.rows for x in report.lost} == lost
    assert (report.status == "lost") == bool(lost)
    assert {s.recoverable for s in report.sets} <= ({True, False} if lost else {True})
    if rng.random() < 0.5:
        # It need not come across what is corrupt, and makes nothing worse.
        repair(path, servers=folders, quick=True)
        assert truth(tmp_path, made, places) == lost
    repaired = repair(path, servers=folders)
    assert {x.fragment: x.rows for x in repaired.lost} == lost
    assert {name.rpartition("/")[2] for name in made.wrong(tmp_path)} <= set(lost)
    if not lost:
        assert repaired.status == "healthy"
        assert check(path, servers=folders, read_data=1).status == "healthy"
