"""What readers are told: why a piece cannot be had, and for whom they wait."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from regather.engine import SourceTally
from regather.engine.missing import missing_lines
from regather.errors import NotEnoughSourcesError, RegatherError, VerificationError
from regather.model import Layout, Source
from regather.reading.holders import Holders
from regather.reading.oserrors import also_os_error, errno_of_sources
from regather.transport import Failure

_log = logging.getLogger("regather.reading")
_WORTH_TELLING = 1.0
"""Seconds of a pause that a source asks for."""


class Telling:
    """What is known of the sources of a file, in words."""

    def __init__(
        self,
        layout: Layout,
        sources: Sequence[Source],
        tallies: Sequence[SourceTally],
        failures: Mapping[int, Failure],
        holders: Holders,
    ) -> None:
        """``failures`` has, by source, how its last request failed."""
        self._layout = layout
        self._sources = sources
        self._tallies = tallies
        self._failures = failures
        self._holders = holders

    def missing(self, number: int) -> RegatherError:
        """The error for a piece that no source has, by its running number."""
        fragment, piece = self._layout.locate(number)
        name = self._layout.fragments[fragment].name
        details = missing_lines(self._layout, self._sources, self._tallies, (fragment,))
        what = f"piece {piece} of {name} is not available"
        if (fragment, piece) in self._holders.liars:
            return VerificationError(
                f"a source sent wrong data, and no other source has these pieces: {what}",
                help="repair that source, or add another",
                details=details,
            )
        error = NotEnoughSourcesError(
            f"{what}: {'; '.join(details[:2])}",  # Python shows no details
            help="read it again when its servers are back, or add servers",
            details=details,
            missing=(name,),
        )
        asked = {
            self._failures.get(s)
            for s, source in enumerate(self._sources)
            if source.fragments is None or fragment in source.fragments
        }
        return also_os_error(error, errno_of_sources(asked))

    def pause(self, number: int, told: float) -> float:
        """Log that a reader waits for a piece because a source asked for it, once for each pause.

        ``told`` is the end of the pause that was logged last, and so is what is returned.
        """
        fragment, _ = self._layout.locate(number)
        health = self._holders.health
        first = min(self._holders.of(fragment), key=lambda s: health[s].retry_at, default=-1)
        until = health[first].retry_at if first >= 0 else 0.0
        seconds = until - time.monotonic()
        if seconds < _WORTH_TELLING or until - told < _WORTH_TELLING:
            return told
        name, url = self._layout.fragments[fragment].name, self._sources[first].url
        why = self._tallies[first].last_error
        _log.warning("%s: waiting %.0f s for %s (%s)", name, seconds, url, why)
        return until
