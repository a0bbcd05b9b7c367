"""Which fragments of an erasure set would come clearly later than its parity could let them."""

from __future__ import annotations

from typing import TypeAlias

from regather.planner.health import FAST_CONNECTION
from regather.planner.inflight import Forecast
from regather.planner.pace import request_rate
from regather.planner.state import State

_CLEARLY = 1.01
"""So much later than the set could come is clearly later."""
_WORTH_SECONDS = 0.5
"""Waiting so long for a slow source is no reason to compute anything."""
_GAIN_SECONDS = 0.5
"""To gain less is no reason to begin with it."""
_KEEP_SECONDS = 0.1
"""How long a forecast stands."""

Share: TypeAlias = tuple[float, int, float]
"""What is to come of a fragment: (seconds, pieces, bytes a second)."""


def late_ones(state: State, number: int) -> tuple[int, ...]:
    """The data fragments of a set that the download will wait for, the latest first."""
    known = state.forecasts.get(number)
    if known is None or state.now - known.at >= _KEEP_SECONDS:
        known = state.forecasts[number] = Forecast(state.now, _late_ones(state, number))
    return known.late


def _late_ones(state: State, number: int) -> tuple[int, ...]:
    members = state.layout.sets[number]
    data: list[Share] = []
    candidates: list[tuple[float, int]] = []
    for fragment in members.data:
        share, early = _outlook(state, fragment)
        if share is not None:
            data.append(share)
            if not early:
                candidates.append((-share[0], fragment))
    least = _CLEARLY * _set_seconds(state, members.parity, data)
    if not state.parity_rows[number]:
        least += _GAIN_SECONDS
    return tuple([fragment for seconds, fragment in sorted(candidates) if -seconds > least])


def _outlook(state: State, fragment: int) -> tuple[Share | None, bool]:
    """How a data fragment will come without any parity; None where nothing of it is to come.

    Its speed is what its requests bring, or would bring if its holders turned to it. And whether it
    is too early to tell anything of that.
    """
    sources = state.sources
    backlog = state.free[fragment].count
    speed = 0.0
    coming, early = False, True
    for request in state.working[fragment].values():
        if request.via != fragment or request.cancelled:
            continue
        backlog += request.end - request.pos
        rate = sources[request.source].rate
        if rate or state.now - request.began >= _WORTH_SECONDS:
            early = False
        if request.behind is None:
            coming = True
            # A short silence is no reason to compute anything.
            quiet = state.now - request.moved > _WORTH_SECONDS
            speed += request_rate(state, request) if quiet else rate
    if not backlog:
        return None, early
    if not coming:
        speed = _capacity(state, fragment) / 2  # they are at something else meanwhile
    return _share(state, backlog, speed), early


def _set_seconds(state: State, parity: tuple[int, ...], data: list[Share]) -> float:
    """How long the rest of an erasure set takes if its parity is used wherever it helps.

    The least T for which the sources bring as many pieces as data is missing, each fragment's no
    more of it than it has: the sum over data of min(speed * T, backlog), and speed * T of parity.
    ``data`` has the share of each data fragment that is to come.
    """
    data.sort(reverse=True)
    helpers: list[Share] = []
    if data and data[len(data) // 2][2] < FAST_CONNECTION:
        for fragment in parity:
            # What was not needed so far counts as well: the few pieces that are left in the end
            # would seem to be no help, and stuck data would be waited for.
            count = state.free[fragment].count + state.spare_after_row[fragment]
            if count and (speed := _spare_speed(state, fragment)):
                helpers.append(_share(state, count, speed))
    helpers.sort()
    return _balance(data, helpers, state.piece_size)


def _balance(data: list[Share], helpers: list[Share], piece: int) -> float:
    """The least T by which data, from the latest on, and what helps, first exhausted first, end."""
    seconds = 0.0
    exhausted = 0
    missing, speed = 0.0, sum([own for _, _, own in helpers])
    for at, (_, backlog, own) in enumerate(data):
        missing += backlog * piece
        speed += own
        seconds = missing / max(speed, 1e-9)
        while exhausted < len(helpers) and helpers[exhausted][0] < seconds:
            missing -= helpers[exhausted][1] * piece
            speed -= helpers[exhausted][2]
            exhausted += 1
            seconds = missing / max(speed, 1e-9)
        if at + 1 < len(data) and seconds >= data[at + 1][0]:
            break  # the others end before
    return seconds


def _share(state: State, pieces: int, speed: float) -> Share:
    return pieces * state.piece_size / max(speed, 1e-9), pieces, speed


def _spare_speed(state: State, parity: int) -> float:
    """Bytes a second that holders of parity can bring who have no data to bring."""
    total = 0.0
    for source in state.groups.of[parity].holders:
        health = state.sources[source]
        if health.failures or health.distrusted:
            continue
        for group in state.groups.of_source[source]:
            if group.free:
                break
        else:
            total += _source_speed(state, source)
    return total


def _capacity(state: State, fragment: int) -> float:
    return sum(
        _source_speed(state, s)
        for s in state.groups.of[fragment].holders
        if not state.sources[s].failures
    )


def _source_speed(state: State, source: int) -> float:
    health = state.sources[source]
    return (health.rate or state.mean_rate()) * max(health.active, 1)
