"""Which fragments of an erasure set would come clearly later than its parity could let them."""

from __future__ import annotations

from regather.planner.health import FAST_CONNECTION
from regather.planner.pace import request_rate
from regather.planner.state import Forecast, Request, State

_CLEARLY = 1.01
"""So much later than the set could come is clearly later."""
_WORTH_SECONDS = 0.5
"""Waiting so long for a slow source is no reason to compute anything."""
_GAIN_SECONDS = 0.5
"""To gain less is no reason to begin with it."""
_KEEP_SECONDS = 0.1
"""How long a forecast stands."""


def late_ones(state: State, number: int, now: float) -> tuple[int, ...]:
    """The data fragments of a set that the download will wait for, the latest first."""
    known = state.forecasts.get(number)
    if known is None or now - known.at >= _KEEP_SECONDS:
        known = state.forecasts[number] = Forecast(now, _late_ones(state, number, now))
    return known.late


def _late_ones(state: State, number: int, now: float) -> tuple[int, ...]:
    members = state.layout.sets[number]
    outlooks = [o for f in members.data if (o := _outlook(state, f, now)) is not None]
    least = _CLEARLY * _set_seconds(state, members.parity, [o[:3] for o in outlooks])
    if not state.parity_rows[number]:
        least += _GAIN_SECONDS
    late = [
        (-seconds, fragment)
        for seconds, _, _, fragment in outlooks
        if seconds > least and not _too_early(state, fragment, now)
    ]
    return tuple(fragment for _, fragment in sorted(late))


def _outlook(state: State, fragment: int, now: float) -> tuple[float, int, float, int] | None:
    """How long a data fragment will still take without any parity; None where nothing is to come.

    That is (seconds, pieces that it itself must bring, bytes a second, fragment). The speed is what
    its requests bring, or would bring if its holders turned to it.
    """
    backlog = state.free[fragment].count
    speed = 0.0
    coming = False
    for request in state.working[fragment].values():
        if not _direct(request, fragment):
            continue
        backlog += request.end - request.pos
        if request.behind is None:
            speed += _steady_rate(state, request, now)
            coming = True
    if not backlog:
        return None
    if not coming:
        speed = _capacity(state, fragment) / 2  # they are at something else meanwhile
    return _seconds(state, backlog, speed), backlog, speed, fragment


def _too_early(state: State, fragment: int, now: float) -> bool:
    """Whether nothing can be told yet of how fast a fragment comes."""
    return all(
        now - r.began < _WORTH_SECONDS and not state.sources[r.source].rate
        for r in state.working[fragment].values()
        if _direct(r, fragment)
    )


def _set_seconds(
    state: State, parity: tuple[int, ...], data: list[tuple[float, int, float]]
) -> float:
    """How long the rest of an erasure set takes if its parity is used wherever it helps.

    The least T for which the sources bring as many pieces as data is missing, each fragment's no
    more of it than it has: the sum over data of min(speed * T, backlog), and speed * T of parity.
    ``data`` has (seconds, pieces, bytes a second) of each fragment that is to come.
    """
    data.sort(reverse=True)
    helpers: list[tuple[float, int, float]] = []
    if data and data[len(data) // 2][2] < FAST_CONNECTION:
        for fragment in parity:
            speed = _spare_speed(state, fragment)
            if speed and (count := state.free[fragment].count):
                helpers.append((_seconds(state, count, speed), count, speed))
    return _balance(data, sorted(helpers), state.piece_size)


def _balance(
    data: list[tuple[float, int, float]], helpers: list[tuple[float, int, float]], piece: int
) -> float:
    """The least T by which data, from the latest on, and what helps, first exhausted first, end.

    Each is (seconds, pieces, bytes a second).
    """
    seconds = 0.0
    exhausted = 0
    missing, speed = 0.0, sum(own for _, _, own in helpers)
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


def _direct(request: Request, fragment: int) -> bool:
    return request.via == fragment and not request.cancelled


def _seconds(state: State, pieces: int, speed: float) -> float:
    return pieces * state.piece_size / max(speed, 1e-9)


def _spare_speed(state: State, parity: int) -> float:
    """Bytes a second that holders of parity can bring who have no data to bring."""
    return sum(
        _source_speed(state, s)
        for s in state.groups.of[parity].holders
        if not state.sources[s].failures
        and not state.sources[s].distrusted
        and not any(group.free for group in state.groups.of_source[s])
    )


def _capacity(state: State, fragment: int) -> float:
    return sum(
        _source_speed(state, s)
        for s in state.groups.of[fragment].holders
        if not state.sources[s].failures
    )


def _source_speed(state: State, source: int) -> float:
    health = state.sources[source]
    return (health.rate or state.mean_rate()) * max(health.active, 1)


def _steady_rate(state: State, request: Request, now: float) -> float:
    """The rate of a request, not disturbed by a short silence: those are no reason to compute."""
    known = state.sources[request.source].rate
    return request_rate(state, request, now) if now - request.moved > _WORTH_SECONDS else known
