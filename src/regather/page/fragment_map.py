"""Fragments by servers: one letter a cell, and how many fragments each erasure set can spare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from regather.coding.survival import Survival, survival
from regather.page.samples import FileSample
from regather.units import counted

HELD, READING, CORRUPT, ABSENT, UNKNOWN = "h", "r", "c", "a", "u"
OUT_OF_REACH = "o"
"""The server is known to hold it, and is gone."""
NOT_ASKED = "-"
"""The server belongs to another file."""
MOST_CELLS = 200_000

_Cell = tuple[int, int]


class FragmentMap:
    """The map of one file; it remembers what seldom changes."""

    def __init__(self) -> None:
        self._key: object = None
        self._rows: list[str] = []
        self._holders: list[set[int]] = []
        self._survival_key: object = None
        self._survival = Survival(-1)

    def rows(
        self, file: FileSample, ids: Sequence[int], gone: Mapping[int, bool], count: int
    ) -> list[str]:
        """By fragment, a letter for each of ``count`` servers.

        ``ids`` has, by the file's number of a server, its number on the page; ``gone`` has, by
        that, whether it is out of reach.
        """
        if len(file.layout.fragments) * count > MOST_CELLS:
            return []
        key = _known(file), file.held, tuple(ids), tuple(gone.items()), count
        if key != self._key:
            self._key = key
            self._rows = self._without_reading(file, ids, gone, count)
        rows = self._rows
        if file.reading:
            rows = list(rows)
            for server, fragment, _, _ in file.reading:
                at = ids[server]
                rows[fragment] = rows[fragment][:at] + READING + rows[fragment][at + 1 :]
        return rows

    def _without_reading(
        self, file: FileSample, ids: Sequence[int], gone: Mapping[int, bool], count: int
    ) -> list[str]:
        fragments = len(file.layout.fragments)
        cells = [[NOT_ASKED] * count for _ in range(fragments)]
        for number, held in enumerate(file.holdings):
            at = ids[number]
            there = OUT_OF_REACH if gone.get(at) else HELD
            for fragment in range(fragments):
                letter = UNKNOWN if held is None else there if fragment in held else ABSENT
                if cells[fragment][at] in (NOT_ASKED, ABSENT, UNKNOWN):
                    cells[fragment][at] = letter
        for server, fragment in file.held:
            at = ids[server]
            cells[fragment][at] = OUT_OF_REACH if gone.get(at) else HELD
        for server, fragment in file.absent:
            cells[fragment][ids[server]] = ABSENT
        for server, fragment in file.corrupt:
            cells[fragment][ids[server]] = CORRUPT
        return ["".join(row) for row in cells]

    def survival(
        self, file: FileSample, ids: Sequence[int], unusable: Mapping[int, bool]
    ) -> tuple[Survival, list[set[int]]]:
        """How many more servers may fail, and by fragment the servers that can deliver it.

        A server that was not asked yet counts as one that can.
        """
        key = _known(file), tuple(ids), tuple(unusable.items())
        if key == self._survival_key:
            return self._survival, self._holders
        self._survival_key = key
        holders: list[set[int]] = [set() for _ in file.layout.fragments]
        without = {*file.absent, *file.corrupt}
        for number, held in enumerate(file.holdings):
            if not unusable.get(ids[number]):
                for fragment in range(len(holders)) if held is None else held:
                    if (number, fragment) not in without:
                        holders[fragment].add(ids[number])
        self._holders = holders
        self._survival = survival(file.layout, holders)
        return self._survival, holders


def _known(file: FileSample) -> tuple[object, ...]:
    """What is known of who has what: the map is drawn anew when it changes."""
    return tuple(file.holdings), file.absent, file.corrupt


def set_rows(file: FileSample, holders: Sequence[set[int]]) -> list[dict[str, object]]:
    """By erasure set: how many of its fragments are needed and can be delivered, in words too."""
    found: list[dict[str, object]] = []
    for number, members in enumerate(file.layout.sets, 1):
        everyone = (*members.data, *members.parity)
        available = sum(bool(holders[fragment]) for fragment in everyone)
        needed = len(members.data)
        spare = available - needed
        rest = f"{spare} to spare" if spare >= 0 else f"{counted(-spare, 'fragment')} too few"
        found.append(
            {
                "number": number,
                "needed": needed,
                "total": len(everyone),
                "available": available,
                "text": f"{available} of {len(everyone)} available, {needed} needed, {rest}",
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
