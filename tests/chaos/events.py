"""What happens while a client runs: servers killed and started again, the client interrupted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

from tests.chaos.clients import CliClient, Client
from tests.chaos.disk import fill_up
from tests.chaos.schedule import Kill, Schedule
from tests.chaos.servers import Place
from tests.chaos.watch import claimed


class Events:
    """Those of one attempt; ``look`` lets happen what is due."""

    def __init__(
        self,
        schedule: Schedule,
        number: int,
        places: list[Place],
        client: Client,
        journal: Path,
    ) -> None:
        self._plan = schedule.attempts[number]
        self._size = schedule.file.size
        self._client = client
        self._journal = journal
        self._pieces = -1
        self._first: int | None = None
        self._kills: list[tuple[Kill, Place]] = [
            (kill, place)
            for place in places
            for kill in place.plan.kills
            if kill.attempt == number and place.backend.up
        ]
        self._returns: list[tuple[float, Place]] = []
        self._total = sum(-(-size // schedule.file.piece) for size in schedule.file.data)
        self._pauses = list(self._plan.pauses)
        self._paused_until = 0.0
        self._next_pause = self._plan.share
        self._threads: list[threading.Thread] = []
        self.happened: Counter[str] = Counter()
        """By kind."""
        self.interrupted = False
        self.filled = False

    def _share(self) -> float | None:
        """Of the pieces that were missing at the start, how many are there; None before that."""
        count = claimed(self._journal)
        if count is None:
            return None
        if self._first is None:
            self._first = count
        missing = max(self._total - self._first, 1)
        return min((count - self._first) / missing, 1.0)

    def look(self) -> None:
        """Let happen what is due."""
        now = time.monotonic()
        for when, place in list(self._returns):
            if now >= when:
                self._returns.remove((when, place))
                self._aside(place.start)
                self.happened["server back"] += 1
        if self._paused_until and now >= self._paused_until:
            self._client.disturb("go on")
            self._paused_until = 0.0
            self._next_pause += 0.1
        share = self._share()
        if share is None:
            return
        for kill, place in list(self._kills):
            if share >= kill.share:
                self._kills.remove((kill, place))
                self._aside(place.kill)
                self.happened[f"kill {place.plan.kind}"] += 1
                if kill.down is not None:
                    self._returns.append((now + kill.down, place))
        self._disturb(share, now)

    def _disturb(self, share: float, now: float) -> None:
        plan = self._plan
        if plan.disk == "limit" and not self.filled and share >= min(plan.share, plan.room):
            assert isinstance(self._client, CliClient)
            self.filled = True
            fill_up(self._client.pid, int(self._size * plan.room))
            self.happened["client disk full meanwhile"] += 1
        if plan.disturbance == "pause":
            self._pause(share, now)
        elif plan.disturbance != "none" and not self.interrupted and share >= plan.share:
            self.interrupted = True
            self._client.disturb(plan.disturbance)
            self.happened[f"client {plan.disturbance}"] += 1

    def _pause(self, share: float, now: float) -> None:
        if self._pauses and not self._paused_until and share >= self._next_pause:
            self._client.disturb("pause")
            self._paused_until = now + self._pauses.pop()
            self.happened["client pause"] += 1

    def _aside(self, work: object) -> None:
        """Servers take a moment to start or end: nobody waits for that."""
        assert callable(work)
        before = self._threads[-1] if self._threads else None

        def in_order() -> None:
            if before is not None:
                before.join()
            work()

        thread = threading.Thread(target=in_order, name="events")
        self._threads.append(thread)
        thread.start()

    def end(self) -> None:
        """The client has ended: servers that would have come back do so now."""
        for _, place in self._returns:
            self._aside(place.start)
        self._returns.clear()
        for thread in self._threads:
            thread.join()
