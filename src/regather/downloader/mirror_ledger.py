"""Mirrors that were taken for mirrors of one file and are not: finds who has the right one.

Without hashes of pieces, all that is known is that the file as a whole is wrong. Then it is made
the file of one mirror alone, by fetching from it what others brought, and looked at again; and so
on with the next. What every mirror sent is remembered by its hash, so that nothing is fetched from
the same mirror twice that is still in place, and so that in the end it can be said who differed.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from regather.digest import piece_hash
from regather.model import Layout

if TYPE_CHECKING:
    from regather.store import AnyDestination


class MirrorLedger:
    """What each source sent, by hash. ``note`` may be called from any thread."""

    def __init__(self, layout: Layout, sources: int) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        self._sent: list[dict[int, bytes]] = [{} for _ in range(sources)]

    def note(self, source: int, number: int, digest: bytes) -> None:
        """A source sent a piece that has this hash."""
        with self._lock:
            self._sent[source][number] = digest

    def sent(self, source: int) -> bool:
        """Whether a source sent anything."""
        return bool(self._sent[source])

    def order(self) -> list[int]:
        """Sources, the one that sent most first: it costs the least to ask it for the rest."""
        return sorted(range(len(self._sent)), key=lambda s: (-len(self._sent[s]), s))

    def own(self, source: int, destination: AnyDestination) -> list[int]:
        """The pieces in place that are what this source sent."""
        buffer = memoryview(bytearray(max(self._layout.largest_piece, 1)))
        own = []
        for number, digest in sorted(self._sent[source].items()):
            fragment, piece = self._layout.locate(number)
            view = buffer[: self._layout.length(fragment, piece)]
            destination.read(number, 0, view)
            if piece_hash(view) == digest:
                own.append(number)
        return own

    def differing(self, right: int) -> dict[int, int]:
        """How many pieces other sources sent otherwise than ``right`` did, by source."""
        truth = self._sent[right]
        counts = {
            source: sum(truth.get(number, digest) != digest for number, digest in sent.items())
            for source, sent in enumerate(self._sent)
        }
        return {source: count for source, count in counts.items() if count}

    def agreed(self, tried: Sequence[int]) -> bool:
        """Whether no source ever sent a piece otherwise than these did, and they are two."""
        return len(tried) > 1 and not any(self.differing(source) for source in tried)
