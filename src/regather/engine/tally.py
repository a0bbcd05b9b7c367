"""What each source brought and cost, for reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct, field

from regather.logs import Logger
from regather.transport import Failure, OtherSize, RequestFailed

_log = Logger("regather.engine")


class SourceTally(Struct):
    """What a source brought and cost. Bytes are bodies as received, wanted or not."""

    url: str = ""
    """Of the source."""
    received: int = 0
    useful: int = 0
    """Bytes of pieces that this source was the first to bring."""
    errors: int = 0
    corrupt: int = 0
    last_error: str = ""
    last_failure: Failure | None = None
    """How its last request failed."""
    received_before: int = 0
    """Bytes that had come when its last request failed."""
    kinds: dict[str, int] = field(default_factory=dict)
    """Errors by kind."""
    changed: bool = False
    """Whether it has another version than it had."""
    refused: dict[int, str] = field(default_factory=dict)
    """Fragments (positions) that it turned out not to have, or not as they must be, and why."""

    @property
    def is_back(self) -> bool:
        """Whether it could not be reached, and has sent something since then."""
        return self.last_failure is Failure.UNREACHABLE and self.received > self.received_before

    def note(self, error: RequestFailed) -> None:
        """Count a failure."""
        self.changed |= error.failure is Failure.CHANGED or isinstance(error, OtherSize)
        # A server that refuses connections is asked twice a second.
        (_log.debug if error.refused and error.what == self.last_error else _log.info)(
            "%s", error.what
        )
        self.errors += 1
        self.last_error = error.what
        self.last_failure = error.failure
        self.received_before = self.received
        kind = error.failure.value
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def note_wrong(self, what: str, pieces: int = 1) -> None:
        """Count pieces that came wrong; ``what`` tells of them."""
        _log.info("%s: %s", self.url, what)
        self.corrupt += pieces
        self.errors += pieces
        self.last_error = what

    def add(self, other: SourceTally) -> None:
        """Count what another tally of the same source counted."""
        self.received += other.received
        self.useful += other.useful
        self.errors += other.errors
        self.corrupt += other.corrupt
        self.last_error = other.last_error or self.last_error
        for kind, count in other.kinds.copy().items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count


def add_up(
    tallies: Iterable[SourceTally],
    totals: dict[str, SourceTally],
    name: Callable[[str], str] = str,
) -> None:
    """Add tallies to those of their sources, by the ``name`` of their URLs."""
    for tally in tallies:
        url = name(tally.url)
        totals.setdefault(url, SourceTally(url)).add(tally)
