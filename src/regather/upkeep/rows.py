"""Rows of pieces, each verified: out of a good copy, or computed from others of its row.

Nothing is believed: a piece counts only with the hash that the manifest says. What turns out to be
wrong is noted, so that its copy can be repaired as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from regather.coding.rows import compute_row
from regather.digest import piece_hash
from regather.model import Layout
from regather.transport import Failure, RequestFailed, is_url
from regather.transport.stores.retrying import RetryingReader, RetryPolicy
from regather.upkeep.report import CopyFinding, CopyState


@dataclass(slots=True)
class _Copy:
    url: str
    size: int
    bad: set[int]
    fine: bool
    """Whether no flaw of it was known."""
    usable: bool = True
    last: int = -2
    """The piece that was read last."""
    reader: RetryingReader | None = None
    found: set[int] = field(default_factory=set)
    """Bad pieces that nobody knew of."""


class Copies:
    """All copies of all fragments. fetch() may be called for several fragments at once."""

    def __init__(
        self, layout: Layout, findings: Sequence[CopyFinding], policy: RetryPolicy
    ) -> None:
        self._layout = layout
        self._policy = policy
        self._copies: dict[int, list[_Copy]] = defaultdict(list)
        self._gone: set[str] = set()
        self.failures: dict[tuple[str, int], str] = {}
        """Why copies, by (source, position), could not be read to the end."""
        for f in findings:
            if f.size is None:
                continue
            # Without having been read, a copy of the wrong size may have good pieces.
            bad = set(f.bad) if f.read else set[int]()
            self._copies[f.position].append(_Copy(f.source, f.size, bad, f.state is CopyState.OK))
        for copies in self._copies.values():
            copies.sort(key=lambda copy: (not copy.fine, is_url(copy.url)))

    def fetch(self, position: int, piece: int, into: memoryview) -> bool:
        """Fill ``into`` with a verified piece, from whatever copy has it; False where none has."""
        layout = self._layout
        start, stop = layout.span(position, piece, piece + 1)
        for copy in self._copies.get(position, ()):
            if not copy.usable or copy.url in self._gone or piece in copy.bad or stop > copy.size:
                continue
            if copy.reader is None:
                name = layout.fragments[position].name
                copy.reader = RetryingReader(copy.url, name, copy.size, self._policy)
            # Who asks for a second piece in a row will want the next ones too.
            until = copy.size if copy.last == piece - 1 else stop
            try:
                copy.reader.read(start, into, min(until, layout.fragments[position].size))
            except RequestFailed as failed:
                if failed.failure is Failure.ABORTED:
                    raise
                copy.usable = False
                self.failures[copy.url, position] = failed.what
                if failed.failure in (Failure.UNREACHABLE, Failure.TIMEOUT):
                    self._gone.add(copy.url)  # not to be waited for again
                continue
            copy.last = piece
            if piece_hash(into) == layout.hash_of(position, piece):
                return True
            copy.bad.add(piece)
            copy.found.add(piece)
        return False

    def discovered(self) -> list[tuple[str, int]]:
        """Copies, as (source, position), that were thought to be good and are not; once each."""
        new = []
        for position, copies in self._copies.items():
            for copy in copies:
                if copy.fine and copy.found:
                    copy.fine = False
                    new.append((copy.url, position))
        return new

    def rest(self) -> None:
        """Close all connections; they are opened again when needed."""
        for copies in self._copies.values():
            for copy in copies:
                if copy.reader is not None:
                    copy.reader.close()
                copy.reader = None


class RowMaker:
    """Makes the wanted pieces of one row after the other; ``number`` is -1 for no set."""

    def __init__(self, layout: Layout, copies: Copies, pool: Executor, number: int) -> None:
        self._layout = layout
        self._copies = copies
        self._pool = pool
        self._number = number
        self._set = layout.sets[number] if number >= 0 else None
        self.decoded = 0
        """Pieces that were computed."""

    def make(self, row: int, want: Sequence[int], slots: Mapping[int, memoryview]) -> set[int]:
        """Fill the slots of ``want`` (positions that have such a piece); returns those it could.

        ``slots`` has a buffer of a whole piece for every member of the set, or for ``want`` alone
        where there is no set; all of them are used.
        """
        got = self._fetch(row, want, slots)
        missing = [p for p in want if p not in got]
        if not missing or self._set is None:
            return got
        k, members = len(self._set.data), (*self._set.data, *self._set.parity)
        have = [p for p in members if p in got or self._layout.pieces_of(p) <= row]
        others = [p for p in members if p not in have and p not in missing]
        while len(have) < k and others:
            batch, others = others[: k - len(have)], others[k - len(have) :]
            have += self._fetch(row, batch, slots)
        if len(have) < k:
            return got

        def read(position: int, start: int, into: memoryview) -> None:
            into[:] = slots[position][start : start + len(into)]

        length = self._layout.length(self._set.parity[0], row)
        whole = {p: slots[p][:length] for p in have}
        for position, view in whole.items():
            own = max(0, self._layout.length(position, row))
            view[own:] = bytes(length - own)
        right = compute_row(
            self._layout, self._number, row, have, missing, read, slots, whole=whole
        )
        self.decoded += len(right)
        got.update(right)
        return got

    def _fetch(self, row: int, wanted: Sequence[int], slots: Mapping[int, memoryview]) -> set[int]:
        def one(position: int) -> bool:
            into = slots[position][: self._layout.length(position, row)]
            return self._copies.fetch(position, row, into)

        if len(wanted) == 1:
            return set(wanted) if one(wanted[0]) else set()
        return {p for p, there in zip(wanted, self._pool.map(one, wanted), strict=True) if there}
