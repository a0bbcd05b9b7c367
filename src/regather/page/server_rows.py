"""What is remembered of each server from one second to the next, and its row on the page."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from msgspec.structs import replace

from regather.errors import printable
from regather.names import name_of_server, without_secrets
from regather.page.checks import Checked
from regather.page.event_log import EventLog, Level
from regather.page.history import Meter
from regather.page.samples import Condition, ServerSample
from regather.page.words import server_text

_CORRUPT_SECONDS = 60.0
"""How long a server that sent a corrupt piece is called corrupt."""
_SLOW = 4
"""A server is slow at less than this fraction of the usual rate,"""
_SLOW_SECONDS = 3
"""for this number of seconds,"""
_SLOW_AMONG = 3
"""among at least this number of servers that deliver."""
_MEANING: dict[Condition, str] = {
    "corrupt": "corrupt: it sent wrong bytes",
    "stalled": "stalled: its connections deliver nothing",
}
_FRESH_SECONDS = 300
"""After this number of seconds without an answer, it is unknown how a server is."""
_EVENTFUL: dict[Condition, Level] = {
    "gone": "bad",
    "corrupt": "bad",
    "stalled": "warning",
    "paused": "warning",
}


class ServerRow:
    """One server over time."""

    def __init__(self, number: int, url: str) -> None:
        self.id = number
        self.url = without_secrets(url)
        self.name = name_of_server(url)
        self.sample = ServerSample(url)
        self.condition: Condition = "unknown"
        self._meter = Meter()
        self._corrupt_until = 0.0
        self._slow_for = 0
        self._latest = 0.0
        self._last_error_at = 0.0
        self._heard_at: float | None = None
        self._checked_gone = False
        """Whether a check found it gone, and it was not heard of since then."""
        self._told: Condition = "ok"
        """The condition that the last event told, or one that no event tells."""

    @property
    def rate(self) -> float:
        """Bytes a second, in either direction."""
        return self._meter.rate

    def note(self, sample: ServerSample, now: float, wall: float) -> None:
        """Take in this second; ``now`` is monotonic, ``wall`` Unix time."""
        before, self.sample = self.sample, sample
        if sample.heard > before.heard or sample.connections:
            self._heard_at, self._checked_gone = now, False
        if sample.corrupt > before.corrupt:
            self._corrupt_until = now + _CORRUPT_SECONDS
        if sample.last_error and (
            sample.last_error != before.last_error
            or sum(sample.errors.values()) + sample.corrupt
            > sum(before.errors.values()) + before.corrupt
        ):
            self._last_error_at = wall
        self._latest = self._meter.note(now, sample.received + sample.sent)

    def checked(self, now: float, *, gone: bool) -> None:
        """A check found it gone, or there."""
        self._heard_at, self._checked_gone = now, gone

    def judge(self, usual: float, now: float, events: EventLog) -> None:
        """Find its condition; ``usual`` is the rate of most servers, 0 where there is none."""
        condition = self.sample.condition
        slow = condition == "ok" and self.sample.connections > 0 and self.rate * _SLOW < usual
        self._slow_for = self._slow_for + 1 if slow else 0
        if condition in ("ok", "unused") and self._checked_gone:
            condition = "gone"
        elif condition in ("ok", "unused") and now < self._corrupt_until:
            condition = "corrupt"
        elif self._slow_for > _SLOW_SECONDS:
            condition = "slow"
        if self._heard_at is None:
            condition = "unknown" if condition in ("ok", "unused") else condition
        elif now - self._heard_at > _FRESH_SECONDS and condition != "corrupt":
            condition = "unknown"
        self.condition = condition
        if condition not in ("unknown", self._told):
            self._tell(self._told, events)
            self._told = condition

    def _tell(self, before: Condition, events: EventLog) -> None:
        word, about = self.condition, (self.url,)
        if word in _EVENTFUL:
            text = f"{self.name} is {_MEANING.get(word) or server_text(word)}"
            if word in ("gone", "paused") and self.sample.last_error:
                text += f" ({self.sample.last_error.rpartition(': ')[2]})"
            events.add(text, servers=about, level=_EVENTFUL[word], same=(self.url, word))
        elif before in ("gone", "stalled", "failing", "paused") and word == "ok":
            text = f"{self.name} is ok again"
            events.add(text, servers=about, level="good", same=(self.url, word))

    def document(self, delivered: int) -> dict[str, object]:
        """Its row, for JSON; ``delivered`` is what all servers delivered."""
        sample = self.sample
        pause = sample.pause if self.condition in ("paused", "failing", "gone") else 0.0
        return {
            "id": self.id,
            "name": self.name,
            "url": self.url,
            "state": self.condition,
            "text": "not asked yet"
            if self._heard_at is None and self.condition == "unknown"
            else server_text(self.condition, pause),
            "rate": round(self.rate),
            "latest": round(self._latest),
            "share": round((sample.useful or sample.sent) / delivered, 4) if delivered else 0.0,
            "received": sample.received,
            "sent": sample.sent,
            "useful": sample.useful,
            "connections": sample.connections,
            "latency": round(sample.latency, 4),
            "pause": round(pause, 1),
            "errors": dict(sample.errors),
            "corrupt": sample.corrupt,
            "last_error": {
                "text": printable(sample.last_error),
                "at": round(self._last_error_at, 3),
            }
            if sample.last_error
            else None,
            "spark": list(self._meter.points),
        }


class ServerRows:
    """All servers that were ever seen, by URL, in the order in which they came."""

    def __init__(self) -> None:
        self._rows: dict[str, ServerRow] = {}

    def all(self) -> list[ServerRow]:
        """The rows by number."""
        return list(self._rows.values())

    def number_of(self, url: str) -> int:
        """The number of a server on the page."""
        return self._row(url).id

    def _row(self, url: str) -> ServerRow:
        row = self._rows.get(url)
        if row is None:
            row = self._rows[url] = ServerRow(len(self._rows) + 1, url)
        return row

    def checked(self, checked: Checked, now: float) -> None:
        """Take in what a check found."""
        responded = checked.responded
        for url in self._rows.keys() & set(checked.servers):
            self._rows[url].checked(now, gone=url not in responded)

    def note(
        self, samples: Sequence[ServerSample], now: float, wall: float, events: EventLog
    ) -> None:
        """Take in this second."""
        seen = {sample.url for sample in samples}
        for sample in samples:
            self._row(sample.url).note(sample, now, wall)
        for url, row in self._rows.items():
            if url not in seen:  # its download has ended: what it did stays
                ended = replace(row.sample, connections=0, pause=0.0, condition="ok")
                row.note(ended, now, wall)
        busy = [row.rate for row in self._rows.values() if row.sample.connections and row.rate > 0]
        usual = median(busy) if len(busy) >= _SLOW_AMONG else 0.0
        for row in self._rows.values():
            row.judge(usual, now, events)
