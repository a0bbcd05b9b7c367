"""What is known of a source: its rate, its failures, when it may be asked again."""

from __future__ import annotations

import math
import random

from regather.planner.concurrency import WINDOW, HillClimb

_BACKOFF_BASE = 0.25
_BACKOFF_CAP = 10.0
_REFUSED_PAUSE = 0.6
"""Seconds between attempts, at most, where connections are refused: that costs nothing,"""
_REFUSED_SHARE = 0.01
"""or this part of the time since it failed first: it was away for long, and many clients wait."""
_SMOOTHING = 0.3
"""Weight of the newest measurement in the moving averages."""
_WINDOW = 0.25
"""Seconds over which a source's bytes are counted for its rate, at least."""
PATIENT_LATENCY = 0.02
"""Seconds to the first byte above which one connection fills the path only after a while."""
_FIRST_CONNECTIONS = 2
"""So many are begun with on such a path, before it is known what pays."""
_LONG_PATH_CONNECTIONS = 8
"""So many where windows of the usual size would leave it empty:"""
_LONG_LATENCY = 0.3
"""from so many seconds to the first answer on, which includes the set-up of the connection."""
FAST_CONNECTION = 100e6
"""Bytes a second at which a connection is limited by the machine: more of them gain nothing."""
_WORTH_A_TRIAL = 5.0
"""Seconds that a new connection needs to bring more than it costs: it starts slowly, and late in a
download the last pieces would wait for it."""
MAX_CORRUPT = 2
"""A source that sent this many corrupt pieces is asked only for what nobody else can send."""
_FORGIVEN = 50
"""So many good pieces make up for a corrupt one, before there are too many of those."""
_BUSY_SECONDS = 30.0
"""After a server refused one connection among others, it is not asked for more for so long."""


class Health:
    """One source, as the planner sees it. Rates are bytes a second of one connection."""

    limit: int
    """Most requests at the same time."""
    active: int = 0
    rate: float = 0.0
    """Moving average of what all connections brought, by their number; 0: nothing is known."""
    counted: float = 0.0
    """The rate as it is part of the sum over all sources."""
    latency: float = 0.0
    """Seconds to the first byte on a connection that is there, about."""
    failures: int = 0
    """In a row, since the last good piece."""
    corrupt_total: int = 0
    """Corrupt pieces; one is forgiven for ``_FORGIVEN`` good ones after it."""
    good: int = 0
    """Good pieces since the last corrupt one, or since one was forgiven."""
    pieces: int = 0
    """Those that it brought."""
    corrupt_in_row: int = 0
    """Corrupt pieces in a row, since the last good one."""
    retry_at: float = 0.0
    removed: bool = False
    """Whether it is not to be asked any more, whatever happens."""
    stalled: int = 0
    """Requests from which nothing has come for long."""
    all_stalled: bool = False
    """Whether all of its requests are stuck."""
    ignores_ranges: bool = False
    fruitless: bool = False
    """Whether a request failed, or was for what it has not, before it brought a piece."""
    absent: set[int]
    """Fragments that it turned out not to have."""
    concurrency: HillClimb
    full_at: int = 0
    """Connections at which it said that it has no more; 0: it never did."""
    full_until: float = 0.0
    failed_at: float = float("-inf")
    _failing_since: float = 0.0
    _counts_at: float = 0.0
    """From when on one more refused connection counts as a failure."""
    _bytes: int = 0
    """Received since ``_since``."""
    _since: float = 0.0
    guessing: bool = True
    """Whether the rate is no more than a first guess."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.absent = set()
        self.concurrency = HillClimb()

    @property
    def distrusted(self) -> bool:
        """Whether it sent wrong bytes more than once: the last resort from then on."""
        return self.corrupt_total >= MAX_CORRUPT

    @property
    def unreachable(self) -> bool:
        """Whether it failed last, or says nothing."""
        return self.failures > 0 or self.all_stalled

    def has_slot(self, now: float) -> bool:
        """Whether one more request may go to it now."""
        if now < self.retry_at:
            return False
        if self.failures or self.corrupt_total >= MAX_CORRUPT:
            return self.active < 1  # after a failure one request probes before the others follow
        if self.full_at and now < self.full_until and self.active >= self.full_at:
            return False
        if self.stalled:
            # That may be the connection and not the source: one more tries.
            return self.active < min(self.limit, self.concurrency.connections + 1)
        return self.active < self.concurrency.connections

    def answered(self, now: float, seconds: float) -> None:
        """It began to answer ``seconds`` after the request."""
        first = self.latency == 0
        if first:
            self.latency = seconds / 2  # the other half was the connection's set-up
        elif seconds < self.latency:
            self.latency = seconds  # more may be due to set-up, or to queues
        else:
            self.latency += _SMOOTHING / 4 * (seconds - self.latency)
        if first and seconds > PATIENT_LATENCY:
            most = _LONG_PATH_CONNECTIONS if seconds > _LONG_LATENCY else _FIRST_CONNECTIONS
            climb = self.concurrency
            climb.connections = max(climb.connections, min(self.limit, most))
        if first:
            self.concurrency.begin(now, self.latency, long_path=seconds > _LONG_LATENCY)
        if self.active <= 1:
            self._bytes, self._since = 0, now

    def received(self, count: int, now: float) -> None:
        """So many bytes came since it was last told.

        The connections of a source do not share its path evenly: only what they bring together
        tells what it can bring.
        """
        if now >= self.concurrency.since:
            self.concurrency.received += count
        self._bytes += count
        if now - self._since >= _WINDOW:
            self._measure(now)

    def _measure(self, now: float) -> None:
        """Take in what came since it was last measured."""
        rate = self._bytes / (now - self._since) / (self.active or 1)
        self.rate = rate if self.guessing else self.rate + 2 * _SMOOTHING * (rate - self.rate)
        self.guessing = False
        self._bytes, self._since = 0, now

    def guess(self, rate: float) -> None:
        """A piece came at so many bytes a second, before a rate could be measured."""
        self.rate = rate if self.rate == 0 else self.rate + _SMOOTHING * (rate - self.rate)

    def delivered(
        self, count: int, seconds: float, now: float, fresh: bool, rest: float = math.inf
    ) -> bool:
        """One piece took ``seconds`` on one connection; so many bytes of it are news.

        ``rest`` is for how many seconds there is still work to be given, at the least.

        Only a ``fresh`` piece, one that was missing, shows that asking it is worth while: a source
        that ignores ranges sends the old ones again each time. Returns whether more requests, or
        fewer, at a time are worth while now.
        """
        self.pieces += 1
        if fresh and (self.failures or self.corrupt_in_row or self.corrupt_total):
            self._forgive()
        climb, changed = self.concurrency, False
        connections = climb.connections
        if self.active < connections:
            climb.restart(now)
        elif now - climb.since >= WINDOW and climb.over(now, self.latency):
            more = self.rate < FAST_CONNECTION and rest >= _WORTH_A_TRIAL
            climb.judge(now, self.latency, self.limit, seconds, more=more)
            changed = climb.connections != connections
        self.received(count, now)
        return changed

    def _forgive(self) -> None:
        """A good piece came after failures or corrupt ones."""
        self.failures = self.corrupt_in_row = 0
        if 0 < self.corrupt_total < MAX_CORRUPT:
            self.good += 1
            if self.good >= _FORGIVEN:
                self.corrupt_total -= 1
                self.good = 0

    def corrupt_piece(self, now: float) -> None:
        """It sent a corrupt piece; lies in a row are asked for ever more slowly."""
        self.corrupt_total += 1
        self.good = 0
        self.corrupt_in_row += 1
        if self.corrupt_in_row > 1:
            self.retry_at = max(
                self.retry_at, now + min(0.05 * 2**self.corrupt_in_row, _BACKOFF_CAP)
            )

    def failed(
        self,
        now: float,
        began: float,
        retry_after: float | None,
        rng: random.Random,
        *,
        refused: bool = False,
    ) -> None:
        """A request failed that began at ``began``: wait, longer each time.

        The wait varies by a random share, to spread the retries of many clients. Requests that
        were under way already when another one failed tell nothing new. A ``refused`` connection
        is tried again sooner than it counts: a source is given up as late as with other failures.
        """
        if began >= self.failed_at:
            self.failed_at = now
            if not self.failures:
                self._failing_since = self._counts_at = now
            if not refused or now >= self._counts_at:
                self.failures += 1
                pause = min(_BACKOFF_BASE * 2 ** (min(self.failures, 16) - 1), _BACKOFF_CAP)
                self._counts_at = now + pause * rng.uniform(0.5, 1.5)
            again = self._counts_at
            if refused:
                again = min(again, now + _refused_pause(now - self._failing_since, rng))
            self.retry_at = max(self.retry_at, again)
        self.retry_at = max(self.retry_at, now + (retry_after or 0.0))

    def busy(self, now: float, retry_after: float | None) -> None:
        """It refused a request while it serves others: it wants no more of them at a time."""
        self.full_at = max(1, self.active)
        self.full_until = now + max(_BUSY_SECONDS, retry_after or 0.0)
        self.retry_at = max(self.retry_at, now + (retry_after or 0.0))


def _refused_pause(seconds: float, rng: random.Random) -> float:
    """Seconds until a source is asked again that refuses connections, and fails for so long."""
    return max(_REFUSED_PAUSE, _REFUSED_SHARE * seconds) * rng.uniform(0.5, 1.0)
