"""The state of everything in words: what the page says first."""

from __future__ import annotations

from collections.abc import Sequence

from regather.coding.survival import Survival
from regather.page.samples import Condition
from regather.units import counted, format_left

_MOST_NAMED = 5


def server_text(condition: Condition, pause: float = 0.0) -> str:
    """The state of a server in a few words."""
    match condition:
        case "unknown":
            return "not asked lately"
        case "paused":
            return f"paused {format_left(pause)}" if pause >= 0.5 else "paused"
        case "failing":
            return f"failing, next attempt in {format_left(pause)}" if pause >= 0.5 else "failing"
        case "gone":
            return f"gone, next attempt in {format_left(pause)}" if pause >= 0.5 else "gone"
        case _:
            return condition


def named(numbers: Sequence[int]) -> str:
    """Fragments by their numbers: ``fragment 7``, ``fragments 2 and 7``."""
    shown = [str(number) for number in numbers[:_MOST_NAMED]]
    if more := len(numbers) - len(shown):
        shown.append(f"{more} more")
    listed = ", ".join(shown[:-1]) + (" and " if shown[1:] else "") + shown[-1]
    return f"fragment{'s' if len(numbers) > 1 else ''} {listed}"


def can_fail(survived: Survival, *, further: bool) -> str:
    """How many servers can fail: ``any 2 servers can fail``."""
    more = "further " if further else ""
    if survived.failures < 1:
        return f"no {more}server can fail"
    least = "" if survived.exact else "at least "
    return f"{least}any {counted(survived.failures, f'{more}server')} can fail"


def troubles(conditions: Sequence[Condition]) -> str:
    """Servers in trouble: ``2 of 5 servers are gone, 1 is corrupt``; empty: none is."""
    total = len(conditions)
    parts: list[str] = []
    for word in ("gone", "corrupt", "failing", "stalled"):
        if count := conditions.count(word):
            of = f" of {counted(total, 'server')}" if not parts else ""
            parts.append(f"{count}{of} {'is' if count == 1 else 'are'} {word}")
    return ", ".join(parts)


def unknown_states(conditions: Sequence[Condition]) -> str:
    """Servers of which nothing is known: ``the state of 2 of 5 servers is unknown``."""
    count = conditions.count("unknown")
    of = f"{count} of {counted(len(conditions), 'server')}"
    return f"the state of {of} is unknown" if count else ""
