"""Faults on purpose: what ``--fault KIND[:ARG][@WHEN]`` means and which request it hits.

Pure: nothing here sleeps, sends or draws from a clock. Whether request ``number`` is hit depends
only on (seed, the fault's place in the list, number), and on the time for ``@10s``; so the same
order of requests meets the same faults.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from regather.errors import UsageError
from regather.units import parse_rate


class FaultKind(StrEnum):
    """What goes wrong."""

    REFUSE = "refuse"
    ERROR = "error"
    RESET = "reset"
    STALL = "stall"
    SLOW = "slow"
    TRUNCATE = "truncate"
    CORRUPT = "corrupt"
    DIE = "die"


VALID_FAULTS = (
    "valid kinds are refuse, error:STATUS (400 to 599), reset, stall, slow:RATE "
    "(bytes per second, like 20MB), truncate, corrupt and die, each with @PROBABILITY per "
    "request (like @0.1), with @TIME after the start (like @10s), or with neither"
)
_WHEN = re.compile(r"(?P<probability>0|1|[01]?\.[0-9]{1,9})|(?P<after>[0-9]{1,9}(\.[0-9]{1,9})?)s")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault and when it is active: by ``probability``, and only ``after`` so many seconds."""

    kind: FaultKind
    status: int = 0
    """The HTTP status of an ``error``."""
    rate: int = 0
    """Bytes a second of ``slow``, over all connections together."""
    probability: float = 1.0
    after: float | None = None
    """Seconds after the server's start; None where no time was given."""

    @property
    def always(self) -> bool:
        """Whether it hits everything from the start on."""
        return self.after is None and self.probability >= 1


@dataclass(frozen=True, slots=True)
class Decision:
    """What befalls one request."""

    fault: Fault | None = None
    """The first fault that fires, ``slow`` aside."""
    spot: float = 0.0
    """Where in the body it strikes: drawn evenly from 0 up to, but not including, 1."""
    slow: tuple[int, ...] = ()
    """Places, in the list of faults, of the ``slow`` ones that fire: they add to the others."""

    def cut(self, length: int) -> int:
        """After how many bytes of a body the transfer breaks: between a quarter and 3/4 of it."""
        return int(length * (0.25 + self.spot / 2))

    def flip(self, length: int) -> int:
        """Position of the byte that is flipped in a body of ``length`` > 0 bytes."""
        return min(int(length * self.spot), length - 1)


NO_FAULT = Decision()


def parse_fault(spec: str) -> Fault:
    """Read ``KIND[:ARG][@WHEN]``; raise UsageError that names the spec and the valid ones."""
    head, at, when = spec.strip().partition("@")
    name, colon, argument = head.partition(":")
    try:
        kind = FaultKind(name)
    except ValueError:
        raise _wrong(spec, f"unknown kind {name!r}") from None
    probability, after = _parse_when(spec, when) if at else (1.0, None)
    status = rate = 0
    if kind is FaultKind.ERROR:
        if not re.fullmatch(r"[45][0-9]{2}", argument, re.ASCII):
            raise _wrong(spec, "it needs a status from 400 to 599")
        status = int(argument)
    elif kind is FaultKind.SLOW:
        try:
            rate = parse_rate(argument)
        except UsageError as error:
            raise _wrong(spec, error.what) from None
        if rate == 0:
            raise _wrong(spec, "for a rate of 0, use stall")
    elif colon:
        raise _wrong(spec, f"{name} does not take an argument")
    return Fault(kind, status=status, rate=rate, probability=probability, after=after)


def _parse_when(spec: str, when: str) -> tuple[float, float | None]:
    match = _WHEN.fullmatch(when)
    if match is None:
        raise _wrong(spec, f"{when!r} is neither a probability from 0 to 1 nor a time like 10s")
    if match["after"] is not None:
        return 1.0, float(match["after"])
    probability = float(match["probability"])
    if probability > 1:
        raise _wrong(spec, "a probability is at most 1")
    return probability, None


def _wrong(spec: str, why: str) -> UsageError:
    return UsageError(f"bad fault {spec!r}: {why}", help=VALID_FAULTS)


def decide(faults: Sequence[Fault], seed: int, number: int, elapsed: float) -> Decision:
    """Decide what befalls request ``number`` (from 0), ``elapsed`` seconds after the start.

    ``refuse`` is decided per connection (see refuses) and ``die@TIME`` strikes by itself, so
    neither appears here.
    """
    if not faults:
        return NO_FAULT
    chosen: Fault | None = None
    spot = 0.0
    slow: list[int] = []
    for place, fault in enumerate(faults):
        by_itself = fault.kind is FaultKind.DIE and fault.after is not None
        if by_itself or fault.kind is FaultKind.REFUSE:
            continue
        if not _fires(fault, seed, place, number, elapsed):
            continue
        if fault.kind is FaultKind.SLOW:
            slow.append(place)
        elif chosen is None:
            chosen, spot = fault, _draw("spot", seed, place, number)
    return Decision(chosen, spot, tuple(slow))


def refuses(faults: Sequence[Fault], seed: int, number: int, elapsed: float) -> bool:
    """Tell whether connection ``number`` (from 0) is refused, so many seconds after the start."""
    return any(
        fault.kind is FaultKind.REFUSE and _fires(fault, seed, place, number, elapsed)
        for place, fault in enumerate(faults)
    )


def _fires(fault: Fault, seed: int, place: int, number: int, elapsed: float) -> bool:
    if fault.after is not None:
        return elapsed >= fault.after
    return fault.probability >= 1 or _draw("fires", seed, place, number) < fault.probability


def _draw(purpose: str, seed: int, place: int, number: int) -> float:
    """Draw evenly from [0, 1), by a hash, so that no draw depends on those before it."""
    text = f"{purpose}:{seed}:{place}:{number}"
    return (int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 11) / 2**53
