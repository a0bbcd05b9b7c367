"""The goals, all in one place. They are printed beside the figures and never asserted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.model import MIB, Section


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on one measured figure."""

    metric: str
    what: str
    limit: float
    unit: str = "x"
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Tell whether ``value`` keeps the bound."""
        return value >= self.limit if self.at_least else value <= self.limit

    def show(self, value: float) -> str:
        """Write a figure in this goal's unit."""
        match self.unit:
            case "MiB":
                return f"{value / MIB:.0f} MiB"
            case "%":
                return f"{value:.1%}"
            case "ms":
                return f"{value * 1000:.0f} ms"
        return f"{value:.2f}{self.unit}"

    @property
    def bound(self) -> str:
        """The bound, for people."""
        return f"{'at least' if self.at_least else 'at most'} {self.show(self.limit)}"


GOALS = (
    Goal("wall/aria2c", "verified download, wall, of aria2c unverified", 0.42),
    Goal("wall/aria2c-sha256", "verified download, wall, of aria2c with a checksum", 0.28),
    Goal("wall/floor", "verified download, wall, of the floor", 1.15),
    Goal("growth/floor", "verified download of 4 GiB, wall, of the floor", 1.08),
    Goal("growth/curl", "verified download from 4 GiB on, wall, of one curl stream", 0.80),
    Goal("tls/aria2c", "verified download over TLS, wall, of aria2c unverified", 0.90),
    Goal("tls/floor", "verified download over TLS, wall, of the floor over TLS", 1.15),
    Goal("wall/curl", "verified download, wall, of one curl stream", 0.70),
    Goal("cpu/aria2c", "verified download, CPU, of aria2c unverified", 0.60),
    Goal("rss", "peak memory of a download, any size measured", 80 * MIB, "MiB"),
    Goal("own/nginx", "throughput with our servers, of that with nginx", 0.85, at_least=True),
    Goal("split", "split, wall, of a copy and a BLAKE3 pass", 1.30),
    Goal(
        "split-parity",
        "split with parity 4+2, speed, of the raw single pass",
        0.70,
        at_least=True,
    ),
    Goal("degraded", "download with 2 of 6 servers dead, wall, of the healthy one", 1.30),
    Goal("parity-rss", "peak memory of a download with parity", 150 * MIB, "MiB"),
    Goal("coded-memory", "peak memory of split, get and repair with parity", 150 * MIB, "MiB"),
    Goal("pipe", "get -o - into cat, speed, of get to a file", 0.90, at_least=True),
    Goal("pipe-rss", "peak memory of get -o -", 128 * MIB, "MiB"),
    Goal("gateway-stream", "one stream from a gateway, speed, of nginx", 0.80, at_least=True),
    Goal("gateway-streams", "64 streams from a gateway, speed, of nginx", 0.80, at_least=True),
    Goal("gateway-cold", "a file through a new gateway, speed, of get", 0.90, at_least=True),
    Goal("gateway-cold/floor", "a file through a new gateway, wall, of the bare loop", 1.15),
    Goal("gateway-fast", "a reader beside 1,000 slow ones, speed, of alone", 0.90, at_least=True),
    Goal("gateway-rss", "memory of a gateway with these 1,001 readers", 200 * MIB, "MiB"),
    Goal("gateway-range", "first byte of a range of a new gateway, in pieces' times", 2.0),
    Goal("slow", "cost of one source at 1 % of its speed", 0.10, "%"),
    Goal("killed", "cost of one source killed halfway, over the fluid limit", 0.10, "%"),
    Goal("links", "rate over unequal links, of the sum of theirs", 0.90, at_least=True),
    Goal("tail", "time of the last 5 % of the file over unequal links", 0.07, "%"),
    Goal("limit", "--limit-rate, off by", 0.02, "%"),
    Goal("stores-put", "put into an object store, speed, of obstore alone", 0.7, at_least=True),
    Goal("stores-get", "get from an object store, speed, of obstore alone", 0.7, at_least=True),
    Goal("tiny", "regather get of 3 kB", 0.100, "ms"),
    Goal("version", "regather --version", 0.100, "ms"),
)


def worst(sections: Iterable[Section], goal: Goal) -> float | None:
    """Return the figure of ``goal`` that is hardest on us, or None where none was measured."""
    values = [
        section.metrics[goal.metric] for section in sections if goal.metric in section.metrics
    ]
    if not values:
        return None
    return min(values) if goal.at_least else max(values)


def goal_table(sections: list[Section]) -> Section:
    """Hold every goal against what was measured."""
    table = Section("Goals", ["goal", "bound", "measured", ""])
    for goal in GOALS:
        value = worst(sections, goal)
        verdict = "-" if value is None else "met" if goal.met(value) else "missed"
        shown = "not measured" if value is None else goal.show(value)
        table.rows.append([goal.what, goal.bound, shown, verdict])
    return table
