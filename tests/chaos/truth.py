"""What is so: the file, what a partial holds of it, and whether good sources have all of it.

Written against docs/format.md, with nothing of the store or the planner in it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

from regather.digest import piece_hash
from regather.model import Layout
from tests.chaos.schedule import Schedule, ServerPlan
from tests.support.small import Small, small

_HEADER = struct.Struct("<8sQQQ32sI")
_RECORDS, _RECORD = 128, 32
_PAGE = 4096

Pieces = frozenset[tuple[int, int]]
"""Pieces as (position of the fragment, from 0; number of the piece)."""


@dataclass(frozen=True, slots=True)
class Partial:
    """What was found beside the destination."""

    good: Pieces = frozenset()
    """Pieces that are claimed, rightly."""
    wrong_claims: Pieces = frozenset()
    flaws: tuple[str, ...] = ()
    """Bytes that are neither right nor untouched."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The file of a schedule."""

    made: Small
    content: bytes
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", self.made.manifest.layout)

    @staticmethod
    def of(schedule: Schedule) -> Truth:
        """Make the file."""
        plan = schedule.file
        made = small(
            plan.data,
            parity=plan.parity,
            set_size=plan.set_size,
            seed=schedule.seed,
            piece=plan.piece,
        )
        names = made.names[: len(plan.data)]
        return Truth(made, b"".join(made.content[name] for name in names))

    # -- sources --------------------------------------------------------------------------

    def good_at(self, server: ServerPlan) -> Pieces:
        """The pieces that a server has as they must be.

        A fragment of the wrong size counts as missing: clients do not use it.
        """
        good = {(i - 1, p) for i in server.holds for p in range(self.layout.pieces_of(i - 1))}
        for damage in server.damages:
            position = damage.fragment - 1
            bad = damage.pieces or range(self.layout.pieces_of(position))
            good -= {(position, piece) for piece in bad}
        return frozenset(good)

    def enough(self, pieces: Set[tuple[int, int]]) -> bool:
        """Whether these pieces give the whole file, parity computed with."""
        layout = self.layout
        for position in range(layout.data_count):
            number = layout.set_of[position]
            for piece in range(layout.pieces_of(position)):
                if (position, piece) in pieces:
                    continue
                if number < 0:
                    return False
                members = layout.sets[number]
                present = sum((f, piece) in pieces for f in (*members.data, *members.parity))
                empty = sum(layout.pieces_of(f) <= piece for f in members.data)
                if present + empty < len(members.data):
                    return False
        return True

    def wholly(self, position: int, pieces: Set[tuple[int, int]]) -> bool:
        """Whether all pieces of a fragment are among these."""
        return all((position, p) in pieces for p in range(self.layout.pieces_of(position)))

    # -- partials -------------------------------------------------------------------------

    def partial(self, part: Path, journal: Path) -> Partial:
        """Look at what an interrupted download left.

        A partial that is shorter than the file holds nothing: it is begun anew.
        """
        try:
            claims, bytes_ = journal.read_bytes(), part.read_bytes()
        except FileNotFoundError:
            return Partial()
        layout = self.layout
        good: set[tuple[int, int]] = set()
        wrong: set[tuple[int, int]] = set()
        if len(bytes_) >= layout.size and claims[: _HEADER.size] == self._header():
            for number in range(layout.piece_count):
                at = _RECORDS + number * _RECORD
                record = claims[at : at + _RECORD]
                if record in (b"", bytes(_RECORD)):
                    continue
                fragment, piece = layout.locate(number)
                start = layout.offset(fragment, piece)
                right = layout.hash_of(fragment, piece)
                found = piece_hash(bytes_[start : start + layout.length(fragment, piece)])
                (good if record == right == found else wrong).add((fragment, piece))
        return Partial(frozenset(good), frozenset(wrong), tuple(self._unverified(bytes_)))

    def _header(self) -> bytes:
        layout = self.layout
        identity = bytes.fromhex(self.made.manifest.digest)
        numbers = (layout.size, layout.piece_size, layout.piece_count)
        plain = struct.pack("<8sQQQ32s", b"RGJRNL1\n", *numbers, identity)
        return plain + struct.pack("<I", zlib.crc32(plain))

    def _unverified(self, found: bytes) -> list[str]:
        """Where the partial holds something else than zeros or the right bytes.

        A killed client leaves a piece written in part: right up to some byte, zeros from there.
        """
        flaws = []
        for start in range(0, min(len(found), len(self.content)), _PAGE):
            here, right = found[start : start + _PAGE], self.content[start : start + _PAGE]
            here = here[: len(right)]
            if here in (right[: len(here)], bytes(len(here))):
                continue
            if any(a not in (0, b) for a, b in zip(here, right, strict=False)):
                flaws.append(f"the partial holds wrong bytes at {start}")
        return flaws[:3]
