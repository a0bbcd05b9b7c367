"""From a seed to a schedule: what is downloaded, from where, and all that goes wrong meanwhile.

Pure: the same seed gives the same schedule, and nothing here opens, sends or waits. Sizes are in
bytes, times in seconds. A *share* says when something happens: at that share of the pieces that
were missing when the client began, so that it does not depend on how fast the machine is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

ServerKind = Literal["own", "process", "nginx"]
Client = Literal["api", "async", "cli"]
Disturbance = Literal["none", "kill", "int", "term", "stop", "pause"]
Disk = Literal["sound", "full", "limit", "slow"]
Tear = Literal["none", "zero", "flip", "journal", "cut"]
DamageKind = Literal["lost", "truncated", "corrupt"]

MAX_PIECES = 256
_SMALLEST_PACE = 256 << 10


@dataclass(frozen=True, slots=True)
class FilePlan:
    """The file and how it is cut."""

    size: int
    piece: int
    data: tuple[int, ...]
    """Sizes of the data fragments."""
    parity: int
    set_size: int


@dataclass(frozen=True, slots=True)
class Damage:
    """A fragment that a server has lost, or not as it must be."""

    fragment: int
    """Its index, from 1, parity after data."""
    kind: DamageKind
    pieces: tuple[int, ...] = ()
    """Of ``corrupt``: the pieces in which a bit is turned over."""


@dataclass(frozen=True, slots=True)
class Link:
    """What the proxy before a server does. Probabilities are a connection."""

    delay: float = 0.0
    """Before every answer."""
    rate: int = 0
    """Bytes a second and connection; 0: as fast as they come."""
    refuse: float = 0.0
    cut: float = 0.0
    reset: float = 0.0
    stall: float = 0.0
    flip: float = 0.0

    @property
    def harmless(self) -> bool:
        """Whether it delays at most."""
        return not (self.refuse or self.cut or self.reset or self.stall or self.flip)


@dataclass(frozen=True, slots=True)
class Kill:
    """A server killed while a client runs."""

    attempt: int
    share: float
    down: float | None
    """Seconds until it is started again on its port; None: not before the calm."""


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """One server."""

    kind: ServerKind
    holds: tuple[int, ...]
    damages: tuple[Damage, ...]
    faults: tuple[str, ...]
    """As ``--fault`` takes them."""
    pace: int
    """Bytes a second until the calm; 0: as fast as it can."""
    link: Link | None
    """The proxy before it; None: clients reach it directly."""
    kills: tuple[Kill, ...]
    gone: bool
    """Whether it is not there for the calm."""


@dataclass(frozen=True, slots=True)
class AttemptPlan:
    """One run of the client."""

    client: Client
    disturbance: Disturbance = "none"
    share: float = 0.0
    pauses: tuple[float, ...] = ()
    """Of ``pause``: how long the client is stopped each time."""
    disk: Disk = "sound"
    room: float = 1.0
    """Of ``full`` and ``limit``: the share of the file that there is room for."""
    tear: Tear = "none"
    """What befalls the partial before."""
    calm: bool = False
    """Whether all that could fail is mended, save what is gone for good."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One run of everything."""

    seed: int
    file: FilePlan
    servers: tuple[ServerPlan, ...]
    attempts: tuple[AttemptPlan, ...]
    timeout: float
    retries: int
    connections: int
    manifest_at: int | None
    """The server that the manifest is fetched from; None: it is a local file."""
    existing: Literal["none", "keep", "force"]
    """Whether an older file stands under the destination's name, and may be replaced."""
    own_disk: bool
    """Whether the destination is on a small file system of its own."""


def make(seed: int) -> Schedule:
    """The schedule of a seed."""
    rng = random.Random(f"chaos {seed}")
    file = _file(rng)
    count = rng.randint(2, 6)
    timeout = round(rng.uniform(0.6, 1.2), 2)
    chaos = rng.choice((1, 1, 1, 2, 2, 3))
    own_disk = rng.random() < 0.07
    existing = rng.choices(("none", "force", "keep"), (88, 10, 2))[0]
    attempts = [_attempt(rng, n, timeout, own_disk) for n in range(chaos)]
    calm = "cli" if own_disk or rng.random() < 0.15 else "api"
    attempts.append(AttemptPlan(calm, tear=_tear(rng), calm=True))  # type: ignore[arg-type]
    paced = rng.random() < 0.6
    pace = int(file.size / rng.uniform(0.15, 0.6) / count) if paced else 0
    servers = tuple(
        _server(rng, file, holds, chaos, max(pace, _SMALLEST_PACE) if paced else 0)
        for holds in _placement(rng, file, count)
    )
    at = rng.randrange(count) if rng.random() < 0.15 else None
    return Schedule(
        seed,
        file,
        servers,
        tuple(attempts),
        timeout,
        rng.randint(1, 3),
        rng.randint(1, 4),
        at,
        existing,  # type: ignore[arg-type]
        own_disk,
    )


def _file(rng: random.Random) -> FilePlan:
    draw = rng.random()
    if draw < 0.02:
        size = 0
    elif draw < 0.10:
        size = rng.randint(1, 5000)
    else:
        size = int(2 ** rng.uniform(15, 23))
    piece: int = 2 ** rng.randint(11, 17)
    while size > piece * MAX_PIECES:
        piece *= 2
    while piece > 1024 and size < 4 * piece:
        piece //= 2
    width = min(rng.randint(1, 5), max(size, 1))
    coded = size > 0 and rng.random() < 0.45
    if rng.random() < 0.3 and size > width:
        cuts = sorted(rng.sample(range(1, size), width - 1))
    else:
        cuts = [size * n // width for n in range(1, width)]
    sizes = tuple(b - a for a, b in zip([0, *cuts], [*cuts, size], strict=True))
    parity = rng.randint(1, 2) if coded else 0
    set_size = rng.randint(1, width) if coded and rng.random() < 0.3 else 0
    return FilePlan(size, piece, sizes, parity, set_size)


def _placement(rng: random.Random, file: FilePlan, count: int) -> list[tuple[int, ...]]:
    """Who holds what: fragments by index; no fragment twice at one server."""
    width = file.set_size or len(file.data)
    sets = -(-len(file.data) // width) if file.parity else 0
    indexes = range(1, len(file.data) + sets * file.parity + 1)
    replicas = rng.choice((1, 1, 1, 2) if file.parity else (1, 2, 2, 3))
    held: list[list[int]] = [[] for _ in range(count)]
    start = rng.randrange(count)
    for index in indexes:
        for copy in range(min(replicas, count)):
            held[(start + index + copy) % count].append(index)
    return [tuple(h) for h in held]


def _server(
    rng: random.Random, file: FilePlan, holds: tuple[int, ...], chaos: int, pace: int
) -> ServerPlan:
    kind: ServerKind = rng.choices(("own", "process", "nginx"), (76, 12, 12))[0]
    damages = tuple(_damages(rng, file, holds)) if rng.random() < 0.2 else ()
    faults: tuple[str, ...] = ()
    if kind != "nginx" and rng.random() < 0.45:
        faults = tuple(_fault(rng, kind) for _ in range(rng.choice((1, 1, 2))))
    link = _link(rng, pace) if kind == "nginx" or rng.random() < 0.5 else None
    gone = rng.random() < 0.12
    kills: tuple[Kill, ...] = ()
    if gone:
        kills = (Kill(rng.randrange(chaos), rng.uniform(0, 0.9), None),)
    elif rng.random() < 0.25:
        down = rng.choice((None, rng.uniform(0, 0.8)))
        kills = (Kill(rng.randrange(chaos), rng.uniform(0, 0.95), down),)
    own_pace = int(pace * rng.uniform(0.4, 2)) if kind != "nginx" else 0
    return ServerPlan(kind, holds, damages, faults, own_pace, link, kills, gone)


def _damages(rng: random.Random, file: FilePlan, holds: tuple[int, ...]) -> Iterator[Damage]:
    for index in rng.sample(holds, min(len(holds), rng.choice((1, 1, 2)))):
        kind: DamageKind = rng.choice(("lost", "truncated", "corrupt"))
        pieces = -(-fragment_size(file, index) // file.piece)
        if pieces == 0:
            continue
        bad = tuple(sorted(rng.sample(range(pieces), min(pieces, rng.choice((1, 1, 2, 5))))))
        yield Damage(index, kind, bad if kind == "corrupt" else ())


def fragment_size(file: FilePlan, index: int) -> int:
    """Bytes of the fragment with this index."""
    if index <= len(file.data):
        return file.data[index - 1]
    width = file.set_size or len(file.data)
    first = (index - len(file.data) - 1) // file.parity * width
    return max(file.data[first : first + width])


def _fault(rng: random.Random, kind: ServerKind) -> str:
    often = round(rng.choice((0.05, 0.1, 0.3, 0.6, 1.0)), 2)
    seldom = round(rng.choice((0.03, 0.1)), 2)
    choices = [
        f"refuse@{often}",
        f"error:503@{often}",
        f"error:{rng.choice((500, 429, 404, 403))}@{often}",
        f"reset@{often}",
        f"truncate@{often}",
        f"corrupt@{often}",
        f"stall@{seldom}",
        f"stall@{seldom}",
    ]
    if kind == "process":
        choices += [f"die@{seldom}", f"die@{rng.uniform(0.3, 1.5):.2f}s"] * 2
    return rng.choice(choices)


def _link(rng: random.Random, pace: int) -> Link:
    delay = rng.choice((0.0, 0.0, rng.uniform(0.001, 0.08)))
    rate = int(pace * rng.uniform(0.5, 2)) if pace and rng.random() < 0.6 else 0
    if rng.random() < 0.35:
        return Link(delay, rate)
    bad = {
        name: rng.choice((0.05, 0.2, 0.5))
        for name in rng.sample(("refuse", "cut", "reset", "flip"), rng.choice((1, 1, 2, 3)))
    }
    stall = rng.choice((0.0, 0.0, 0.05, 0.15))
    return Link(delay, rate, stall=stall, **bad)


def _tear(rng: random.Random) -> Tear:
    return rng.choice(("zero", "flip", "journal", "cut")) if rng.random() < 0.25 else "none"


def _attempt(rng: random.Random, number: int, timeout: float, own_disk: bool) -> AttemptPlan:
    client: Client = "cli" if own_disk else rng.choices(("api", "async", "cli"), (60, 8, 32))[0]
    if client == "cli":
        kinds = ("none", "kill", "int", "term", "pause")
        disturbance = rng.choices(kinds, (25, 40, 15, 5, 15))[0]
    else:
        disturbance = rng.choices(("none", "stop"), (65, 35))[0]
    pauses = tuple(rng.uniform(0.02, 0.4 * timeout) for _ in range(rng.randint(1, 3)))
    disk: Disk = "sound"
    if client == "cli":
        disk = rng.choices(("sound", "slow", "limit"), (60, 25, 15))[0]
    if own_disk:
        disk = "full"
    tear = _tear(rng) if number else "none"
    return AttemptPlan(
        client,
        disturbance,  # type: ignore[arg-type]
        rng.uniform(0, 0.95),
        pauses if disturbance == "pause" else (),
        disk,
        rng.choice((rng.uniform(0.05, 0.95), 1.0)) if disk in ("full", "limit") else 1.0,
        tear,
    )
