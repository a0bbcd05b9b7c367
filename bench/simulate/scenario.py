"""Scenario files: what they may say, read strictly. docs/simulation.md describes every key."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from regather.errors import UsageError
from regather.units import parse_size

Size = str | int
"""Bytes, or bytes a second: ``"50MB"``."""
Seconds = Annotated[float, Meta(ge=0, le=1e6)]
Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[int, Meta(ge=1, le=1_000_000)]
# msgspec 0.22 reads bounds of a member of a union with an array wrongly: those have none here.

_BOUNDS = {"steady": 1.05, "failing": 1.15}
"""Makespan over the fluid limit, by kind."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    pass


class FileTable(_Table, frozen=True):
    """``[file]``: the file and how it is split."""

    size: Size
    piece_size: Size = "1MiB"
    fragments: Positive = 8
    parity: Annotated[int, Meta(ge=0, le=255)] = 0
    set_size: Annotated[int, Meta(ge=0, le=255)] = 0
    replicas: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Copies of every fragment, spread over the sources as ``split`` does; 0: all hold all."""


class PlannerTable(_Table, frozen=True):
    """``[planner]``: the planner's options."""

    connections: Positive = 4
    max_requests: Positive = 32
    retries: Annotated[int, Meta(ge=0, le=1000)] = 5


class EngineTable(_Table, frozen=True):
    """``[engine]``: time-outs, and how long a row takes to decode. Seconds."""

    timeout: Seconds = 15.0
    connect_timeout: Seconds = 5.0
    decode: Seconds = 0.001


class BoundsTable(_Table, frozen=True):
    """``[bounds]``: what ``--check`` holds the runs against; makespan is by ``kind``."""

    makespan: float | UnsetType = UNSET
    in_vain: float = 0.02
    tail: float = 0.07


class Outage(_Table, frozen=True):
    """One time that a source is away; a share is of the time that the file would take without."""

    at: float | str
    until: float | UnsetType = UNSET
    silent: bool = False
    """Nothing is refused: bytes stop coming."""


class Flapping(_Table, frozen=True):
    """Outages at random: mean seconds up and down, exponentially distributed."""

    up: Annotated[float, Meta(gt=0)]
    down: Annotated[float, Meta(gt=0)]
    silent: bool = False


class Varying(_Table, frozen=True):
    """A rate that is drawn anew ``every`` so many seconds, within ``spread`` of the usual."""

    every: Annotated[float, Meta(gt=0)]
    spread: Annotated[float, Meta(ge=0, lt=1)]


class SourceTable(_Table, frozen=True):
    """``[[source]]``: one source, or ``count`` alike."""

    bandwidth: Size | tuple[Size, Size]
    """Of all its connections; two: drawn between them, each order of magnitude as likely."""
    count: Positive = 1
    per_connection: Size | UnsetType = UNSET
    rtt: float | tuple[float, float] = 0.02
    connect_rtts: Annotated[float, Meta(ge=0, le=10)] = 1.0
    """Round trips that a new connection takes before its request."""
    jitter: Seconds = 0.0
    """Most seconds that an answer is late by."""
    bottleneck: str = ""
    holds: tuple[int, ...] | float | UnsetType = UNSET
    """Numbers of fragments, from 1, or the share of all that it holds, drawn at random."""
    known: bool = True
    """Whether the planner is told what it holds."""
    ranges: bool = True
    outages: tuple[Outage, ...] = ()
    flapping: Flapping | UnsetType = UNSET
    detect: Seconds = 0.0
    """How long its death goes unnoticed by requests in flight."""
    varying: Varying | UnsetType = UNSET
    refuse: Share = 0.0
    stall: Share = 0.0
    corrupt: Share = 0.0
    max_connections: int | UnsetType = UNSET
    """A request beyond so many at once gets a 503."""
    retry_after: float | UnsetType = UNSET


class BottleneckTable(_Table, frozen=True):
    """``[[bottleneck]]``: a link that several sources share."""

    name: str
    bandwidth: Size


class Scenario(_Table, frozen=True):
    """A scenario file."""

    title: str
    file: FileTable
    source: tuple[SourceTable, ...]
    kind: Literal["steady", "failing"] = "steady"
    seeds: Positive = 1000
    """No more than so many are run of it, however many are asked for."""
    planner: PlannerTable = PlannerTable()
    engine: EngineTable = EngineTable()
    bounds: BoundsTable = BoundsTable()
    bottleneck: tuple[BottleneckTable, ...] = ()

    @property
    def makespan_bound(self) -> float:
        """Most that a run may take, over the fluid limit."""
        bound = self.bounds.makespan
        return _BOUNDS[self.kind] if isinstance(bound, UnsetType) else bound


def size_of(value: Size) -> int:
    """Bytes, of a number or of a text like ``50MB``. Raises UsageError."""
    size = value if isinstance(value, int) else parse_size(value)
    if size < 0:
        raise UsageError(f"less than nothing: {size}")
    return size


def rate_of(value: Size) -> float:
    """Bytes a second; more than 0. Raises UsageError."""
    rate = size_of(value)
    if rate == 0:
        raise UsageError("a bandwidth must be more than 0")
    return float(rate)


def share_of(text: str) -> float:
    """``"50%"`` as 0.5. Raises UsageError."""
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = math.nan
    if not text.endswith("%") or not 0 <= share <= 1:
        raise UsageError(f"not a time: {text!r}", help='write seconds, or a share like "50%"')
    return share


def parse(text: str, where: str) -> Scenario:
    """Read a scenario; ``where`` is named in errors. Raises UsageError."""
    try:
        scenario = msgspec.convert(tomllib.loads(text), Scenario)
        _check(scenario)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{where}: {error}", help="docs/simulation.md lists the keys") from None
    except UsageError as error:
        raise UsageError(f"{where}: {error.what}", help=error.help) from None
    return scenario


def load(path: Path) -> Scenario:
    """Read a scenario file. Raises UsageError."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"{path}: {(reason or str(error)).lower()}") from None


def _check(scenario: Scenario) -> None:
    """What the types do not say. Raises UsageError."""
    file = scenario.file
    if not size_of(file.piece_size):
        raise UsageError("file: piece-size must be more than 0")
    if size_of(file.size) < file.fragments:
        raise UsageError("file: more fragments than bytes")
    if file.set_size and not file.parity:
        raise UsageError("file: set-size needs parity")
    if file.parity and (file.set_size or file.fragments) + file.parity > 256:
        raise UsageError("file: a set has at most 256 fragments", help="give a set-size")
    if not scenario.source:
        raise UsageError("there must be a [[source]]")
    count = sum(table.count for table in scenario.source)
    if file.replicas > count:
        raise UsageError(f"file: {file.replicas} replicas on {count} sources")
    names = [table.name for table in scenario.bottleneck]
    if len(set(names)) < len(names):
        raise UsageError("two bottlenecks have the same name")
    for bottleneck in scenario.bottleneck:
        rate_of(bottleneck.bandwidth)
    most = fragment_count(file)
    for number, table in enumerate(scenario.source, 1):
        try:
            _check_source(table, names, most)
        except UsageError as error:
            raise UsageError(f"source {number}: {error.what}", help=error.help) from None


def _check_source(table: SourceTable, bottlenecks: list[str], fragments: int) -> None:
    rates = table.bandwidth if isinstance(table.bandwidth, tuple) else (table.bandwidth,)
    for rate in rates:
        rate_of(rate)
    if not isinstance(table.per_connection, UnsetType):
        rate_of(table.per_connection)
    if table.bottleneck and table.bottleneck not in bottlenecks:
        raise UsageError(f"there is no bottleneck {table.bottleneck!r}")
    for time in table.rtt if isinstance(table.rtt, tuple) else (table.rtt,):
        _within("rtt", time, 0, 1e6)
    if isinstance(table.holds, tuple):
        for fragment in table.holds:
            _within("holds: fragment", fragment, 1, fragments)
    else:
        _within("holds", table.holds, 0, 1)
    _within("max-connections", table.max_connections, 1, 1e6)
    _within("retry-after", table.retry_after, 0, 1e6)
    if table.outages and not isinstance(table.flapping, UnsetType):
        raise UsageError("outages and flapping exclude each other")
    for number, outage in enumerate(table.outages):
        _within("until", outage.until, 0, 1e6)
        if isinstance(outage.at, str):
            share_of(outage.at)
            if len(table.outages) > 1 or not isinstance(outage.until, UnsetType):
                raise UsageError("an outage at a share of the file is the only one, and for good")
            continue
        _within("at", outage.at, 0, 1e6)
        if not isinstance(outage.until, UnsetType) and outage.until <= outage.at:
            raise UsageError("an outage ends after it began")
        if number and (
            isinstance(before := table.outages[number - 1].until, UnsetType) or before > outage.at
        ):
            raise UsageError("outages must stand in order, each ended before the next")


def _within(what: str, value: float | UnsetType, low: float, high: float) -> None:
    if not isinstance(value, UnsetType) and not low <= value <= high:
        raise UsageError(f"{what} must be from {low:g} to {high:g}, not {value:g}")


def fragment_count(file: FileTable) -> int:
    """How many fragments the file has, parity included."""
    sets = -(-file.fragments // (file.set_size or file.fragments))
    return file.fragments + sets * file.parity
