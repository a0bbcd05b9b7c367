"""From findings on copies to a verdict on erasure sets and the file: pure, no I/O.

A row is recoverable where as many good pieces of it exist, over all sources, as the set has data
fragments. Pieces behind the end of a shorter data fragment are zeros, and always at hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from regather.coding.survival import Survivals, copies_survived
from regather.model import Layout
from regather.upkeep.report import CopyFinding, CopyState, Lost, SetHealth, Status


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the findings mean."""

    status: Status
    nowhere: tuple[int, ...]
    """Positions of fragments of which there is no copy without a known flaw."""
    sets: tuple[SetHealth, ...]
    lost: tuple[Lost, ...]
    survives: int
    """Sources that may be lost besides; -1 where something is lost."""


def judge(layout: Layout, findings: Sequence[CopyFinding], *, made_for: int = 0) -> Verdict:
    """Judge a file by what was found of its fragments, and by what its manifest was made for."""
    copies: dict[int, list[CopyFinding]] = defaultdict(list)
    for finding in findings:
        copies[finding.position].append(finding)
    count = len(layout.fragments)
    lacking = [_lacking(layout, p, copies[p]) for p in range(count)]
    urls = {url: n for n, url in enumerate(dict.fromkeys(f.source for f in findings))}
    holders = [
        frozenset(urls[f.source] for f in copies[p] if f.state is CopyState.OK)
        for p in range(count)
    ]
    nowhere = tuple(p for p in range(count) if not holders[p])
    lost: dict[int, list[int]] = {}
    sets: list[SetHealth] = []
    survivals = Survivals()
    alone = [p for p in range(count) if layout.set_of[p] < 0]
    if alone:
        for position in alone:
            if lacking[position]:
                lost[position] = sorted(lacking[position])
        sets.append(_health_alone(layout, alone, holders, not any(p in lost for p in alone)))
    for number, members in enumerate(layout.sets):
        everyone = (*members.data, *members.parity)
        gone = _lost_rows(len(members.data), everyone, lacking)
        for position in everyone:
            if rows := sorted(gone & lacking[position]):
                lost[position] = rows
        health = _health(layout, number, holders, survivals, recoverable=not gone)
        sets.append(health)
    survives = -1 if lost else min((s.survives_sources for s in sets), default=0)
    short = any(s.exact and s.survives_sources < made_for for s in sets)
    status: Status = "healthy"
    if lost:
        status = "lost"
    elif nowhere or short or any(f.state is not CopyState.OK for f in findings):
        status = "degraded"
    return Verdict(
        status,
        nowhere,
        tuple(sets),
        tuple(Lost(layout.fragments[p].name, p, tuple(lost[p])) for p in sorted(lost)),
        survives,
    )


def _lacking(layout: Layout, position: int, copies: Sequence[CopyFinding]) -> set[int]:
    """The pieces of a fragment that no copy is known to have."""
    lacking: set[int] | None = None
    for copy in copies:
        if copy.state in (CopyState.OK, CopyState.CORRUPT, CopyState.WRONG_SIZE):
            lacking = set(copy.bad) if lacking is None else lacking & set(copy.bad)
            if not lacking:
                return lacking
    return set(range(layout.pieces_of(position))) if lacking is None else lacking


def _lost_rows(needed: int, members: Sequence[int], lacking: Sequence[set[int]]) -> set[int]:
    short: dict[int, int] = defaultdict(int)
    for position in members:
        for row in lacking[position]:
            short[row] += 1
    return {row for row, missing in short.items() if len(members) - missing < needed}


def _health(
    layout: Layout,
    number: int,
    holders: Sequence[frozenset[int]],
    survivals: Survivals,
    *,
    recoverable: bool,
) -> SetHealth:
    members = layout.sets[number]
    everyone = (*members.data, *members.parity)
    # Empty fragments have nothing to lose: all their pieces are zeros that nobody stores.
    empty = sum(layout.fragments[p].size == 0 for p in members.data)
    solid = [holders[p] for p in everyone if layout.fragments[p].size]
    needed = len(members.data) - empty if solid else 0
    fragments = copies_survived(solid, needed)
    survived = survivals.of(solid, needed)
    sources, exact = survived.failures, survived.exact
    if not recoverable:
        fragments = sources = -1
    elif fragments < 0:
        # Put together out of damaged copies: how many more flaws it bears, nobody counted.
        fragments = sources = 0
        exact = False
    return SetHealth(
        layout.fragments[members.data[0]].set,
        len(members.data),
        len(members.parity),
        sum(bool(holders[p]) for p in everyone),
        recoverable,
        fragments,
        sources,
        exact,
    )


def _health_alone(
    layout: Layout, alone: Sequence[int], holders: Sequence[frozenset[int]], recoverable: bool
) -> SetHealth:
    solid = [holders[p] for p in alone if layout.fragments[p].size]
    fewest = min(map(len, solid), default=1)
    least = -1 if not recoverable else max(fewest - 1, 0)
    return SetHealth(
        0,
        len(alone),
        0,
        sum(bool(holders[p]) for p in alone),
        recoverable,
        least,
        least,
        fewest > 0,
    )
