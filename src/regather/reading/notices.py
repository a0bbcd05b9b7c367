"""What readers are told: why a piece cannot be had, and for whom they wait."""

from __future__ import annotations

import logging
import time

from regather.engine.missing import missing_lines
from regather.engine.session import Session
from regather.errors import NotEnoughSourcesError, RegatherError, VerificationError
from regather.reading.oserrors import also_os_error, errno_of_sources
from regather.sources.download_target import DownloadTarget

_log = logging.getLogger("regather.reading")
_WORTH_TELLING = 1.0
"""Seconds of a pause that a source asks for."""


class Notices:
    """For one read of a file."""

    def __init__(self, target: DownloadTarget, session: Session) -> None:
        self._layout = target.layout
        self._sources = target.sources
        self._session = session
        self._told = 0.0
        """The end of the pause that was logged last."""

    def missing(self, number: int, *, corrupt: bool) -> RegatherError:
        """The error for a piece that no source has, by its running number."""
        fragment, piece = self._layout.locate(number)
        name = self._layout.fragments[fragment].name
        tallies = self._session.tallies
        details = missing_lines(self._layout, self._sources, tallies, (fragment,))
        what = f"piece {piece} of {name} is not available"
        if corrupt:
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
        failures = {tallies[source].last_failure for source in self._holders(fragment)}
        return also_os_error(error, errno_of_sources(failures))

    def waits(self, number: int) -> None:
        """Log that a reader waits because a source asked for it, once for each pause."""
        healths = self._session.healths
        if any(health.active for health in healths):
            return
        fragment, _ = self._layout.locate(number)
        holders = [s for s in self._holders(fragment) if fragment not in healths[s].absent]
        first = min(holders, key=lambda s: healths[s].retry_at, default=-1)
        until = healths[first].retry_at if first >= 0 else 0.0
        seconds = until - time.monotonic()
        if seconds < _WORTH_TELLING or until - self._told < _WORTH_TELLING:
            return
        self._told = until
        name, url = self._layout.fragments[fragment].name, self._sources[first].url
        why = self._session.tallies[first].last_error
        _log.warning("%s: waiting %.0f s for %s (%s)", name, seconds, url, why)

    def _holders(self, fragment: int) -> list[int]:
        """The sources that should have a fragment."""
        return [
            s
            for s, source in enumerate(self._sources)
            if source.fragments is None or fragment in source.fragments
        ]
