"""Fragments by servers: one letter a cell, and how many fragments each erasure set can spare."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from regather.coding.set_wording import any_enough, good_of, needed_more
from regather.coding.survival import Survival, survival
from regather.page.samples import Condition, FileSample

HELD, READING, CORRUPT, ABSENT, UNKNOWN = "h", "r", "c", "a", "u"
OUT_OF_REACH = "o"
"""The server is known to hold it, and does not deliver."""
NOT_ASKED = "-"
"""The server belongs to another file."""
MOST_CELLS = 200_000

_AWAY = ("gone", "failing", "stalled")


class Holders(Struct):
    """By fragment: the servers that hold it, by their numbers on the page."""

    good: list[set[int]]
    """It is known that they can deliver it."""
    unknown: list[set[int]]
    """It is not known whether they have it, or whether they respond."""
    shaky: list[set[int]]
    """They have it, and fail or stall now."""
    gone: list[set[int]]
    """They have it, and do not respond."""

    @property
    def possible(self) -> list[set[int]]:
        """Those that can or may deliver it."""
        kinds = self.good, self.unknown, self.shaky
        return [set[int]().union(*some) for some in zip(*kinds, strict=True)]


class FragmentMap:
    """The map of one file; it remembers what seldom changes."""

    def __init__(self) -> None:
        self._key: object = None
        self._rows: list[str] = []
        self._holders = Holders([], [], [], [])
        self._survival = Survival(-1)

    def look(self, file: FileSample, ids: Sequence[int], conditions: Sequence[Condition]) -> None:
        """Take in a moment.

        ``ids`` has, by the file's number of a server, its number on the page, from 1;
        ``conditions`` has the condition of each server on the page.
        """
        key = (
            tuple(file.holdings),
            file.held,
            file.absent,
            file.corrupt,
            tuple(ids),
            tuple(conditions),
        )
        if key != self._key:
            self._key = key
            self._rows = _letters(file, ids, conditions)
            self._holders = _holders(file, ids, conditions)
            self._survival = survival(file.layout, self._holders.good)

    def rows(self, file: FileSample, ids: Sequence[int]) -> list[str]:
        """By fragment, a letter for each server on the page; empty: too many."""
        rows = self._rows
        if rows and file.reading:
            rows = list(rows)
            for server, fragment, _, _ in file.reading:
                at = ids[server]
                rows[fragment] = rows[fragment][: at - 1] + READING + rows[fragment][at:]
        return rows

    @property
    def holders(self) -> Holders:
        """Who holds which fragment."""
        return self._holders

    @property
    def survival(self) -> Survival:
        """How many more of the servers that are known to be good can fail."""
        return self._survival


def _letters(file: FileSample, ids: Sequence[int], conditions: Sequence[Condition]) -> list[str]:
    fragments, count = len(file.layout.fragments), len(conditions)
    if fragments * count > MOST_CELLS:
        return []
    cells = [[NOT_ASKED] * count for _ in range(fragments)]

    def held_by(at: int) -> str:
        condition = conditions[at]
        return OUT_OF_REACH if condition in _AWAY else UNKNOWN if condition == "unknown" else HELD

    for number, held in enumerate(file.holdings):
        at = ids[number] - 1
        there = held_by(at)
        for fragment in range(fragments):
            letter = UNKNOWN if held is None else there if fragment in held else ABSENT
            if cells[fragment][at] in (NOT_ASKED, ABSENT, UNKNOWN):
                cells[fragment][at] = letter
    for server, fragment in file.held:
        cells[fragment][ids[server] - 1] = held_by(ids[server] - 1)
    for server, fragment in file.absent:
        cells[fragment][ids[server] - 1] = ABSENT
    for server, fragment in file.corrupt:
        cells[fragment][ids[server] - 1] = CORRUPT
    return ["".join(row) for row in cells]


def _holders(file: FileSample, ids: Sequence[int], conditions: Sequence[Condition]) -> Holders:
    every = range(len(file.layout.fragments))
    found = Holders(*([set[int]() for _ in every] for _ in range(4)))
    without = {*file.absent, *file.corrupt}
    delivered = set(file.held)
    for number, held in enumerate(file.holdings):
        condition = conditions[ids[number] - 1]
        if condition == "corrupt":
            continue
        for fragment in every if held is None else held:
            if (number, fragment) in without:
                continue
            is_known = held is not None or (number, fragment) in delivered
            if condition == "gone":
                kind = found.gone
            elif condition == "unknown" or not is_known:
                kind = found.unknown
            else:
                kind = found.shaky if condition in _AWAY else found.good
            kind[fragment].add(ids[number])
    return found


def set_rows(file: FileSample, holders: Holders) -> list[dict[str, object]]:
    """By erasure set: how many of its fragments are needed and can be delivered, in words too."""
    found: list[dict[str, object]] = []
    for number, members in enumerate(file.layout.sets, 1):
        counts = {"good": 0, "unknown": 0, "unreachable": 0}
        for fragment in (*members.data, *members.parity):
            if holders.good[fragment]:
                counts["good"] += 1
            elif holders.unknown[fragment]:
                counts["unknown"] += 1
            elif holders.shaky[fragment] or holders.gone[fragment]:
                counts["unreachable"] += 1
        good, needed = counts.pop("good"), len(members.data)
        total = needed + len(members.parity)
        spare = good - needed
        parts = [f"{good_of(good, total)}, {any_enough(needed)}"]
        parts.append(f"{spare or 'none'} to spare" if spare >= 0 else needed_more(-spare))
        parts += [
            f"{count} {'is' if count == 1 else 'are'} {word}"
            for word, count in counts.items()
            if count
        ]
        found.append(
            {
                "number": number,
                "needed": needed,
                "total": total,
                "available": good,
                "unknown": counts["unknown"],
                "text": "; ".join(parts),
            }
        )
    return found


def lost_fragments(file: FileSample, holders: Sequence[set[int]]) -> list[int]:
    """The fragments (positions) of data that no server, nor parity, can deliver, and not here."""
    layout = file.layout
    too_few = [
        sum(bool(holders[f]) for f in (*one.data, *one.parity)) < len(one.data)
        for one in layout.sets
    ]
    lost = []
    for fragment in range(layout.data_count):
        number = layout.set_of[fragment]
        first, end = layout.first_pieces[fragment], layout.first_pieces[fragment + 1]
        whole = file.here.count(1, first, end) == end - first
        if not holders[fragment] and not whole and (number < 0 or too_few[number]):
            lost.append(fragment)
    return lost
