"""What ``--verbose`` and ``--log`` write: what each source did, and why it is slow.

Everything goes through the loggers below ``regather``, so that programs that use the package can
have the same. Requests and connections are told by the transports, failures by the engine; what
follows from moments of a download, like pauses and rates, is told here.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec

from regather.errors import UsageError, system_errors
from regather.logs import INFO, Logger
from regather.units import counted, format_duration, format_rate, format_size

if TYPE_CHECKING:
    from regather.downloader import Progress, SourceProgress

_RATES_SECONDS = 5.0
_log = Logger("regather.sources")


def _is_named(path: str, args: argparse.Namespace) -> bool:
    """Whether the command names this file for something else, which a log would spoil."""
    real = os.path.realpath(path)
    for name, value in vars(args).items():
        words = value if isinstance(value, list) else [value]
        texts = (w for w in words if isinstance(w, str) and w and name not in ("log", "command"))
        if any(os.path.realpath(text) == real for text in texts):
            return True
    return False


def set_up(args: argparse.Namespace) -> None:
    """Begin to log as ``--verbose`` and ``--log`` ask. Raises UsageError for a file that cannot be.

    Once ``--verbose`` tells of failures, pauses and rates, twice also of each request. Without it
    ``--log-format json`` tells of warnings.
    """
    import logging

    from regather.cli.log_handlers import InFile, JsonRecords, OnStandardError, Plain

    verbose, path = getattr(args, "verbose", 0), getattr(args, "log", None)
    root = logging.getLogger("regather")
    for old in root.handlers[:]:  # of an earlier call in this process
        root.removeHandler(old)
        old.close()
    root.propagate = False
    as_json = args.log_format == "json"
    if verbose or as_json:
        handler: logging.Handler = OnStandardError()
        handler.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
        plain = Plain("%(relativeCreated)7d ms  %(message)s")
        handler.setFormatter(JsonRecords() if as_json else plain)
        root.addHandler(handler)
    if path is not None:
        if _is_named(path, args):
            raise UsageError(
                f"--log {path}: the command names this file for something else",
                help="name another file for the log",
            )
        with system_errors(UsageError, f"--log {path}", "name a file that can be written"):
            handler = InFile(path, encoding="utf-8", errors="backslashreplace")
        plain = Plain("%(asctime)s.%(msecs)03d  %(message)s", "%Y-%m-%d %H:%M:%S")
        handler.setFormatter(JsonRecords() if as_json else plain)
        root.addHandler(handler)
    root.setLevel(logging.DEBUG if path is not None or verbose > 1 else logging.INFO)


@contextmanager
def source_log() -> Iterator[Callable[[Progress], None] | None]:
    """What to call with the moments of one download; None where nobody asked for a log."""
    if not _log.is_enabled_for(INFO):
        yield None
        return
    log = SourceLog()
    try:
        yield log
    finally:
        log.close()


@contextmanager
def files_log() -> Iterator[Callable[[int, Progress | None], None] | None]:
    """The same for several downloads by their numbers; None is the moment after the last."""
    if not _log.is_enabled_for(INFO):
        yield None
        return
    logs: dict[int, SourceLog] = {}

    def note(number: int, progress: Progress | None) -> None:
        if progress is not None:
            logs.setdefault(number, SourceLog())(progress)
        elif number in logs:
            logs.pop(number).close()

    yield note


P = ParamSpec("P")


def both(
    first: Callable[P, None] | None, second: Callable[P, None] | None
) -> Callable[P, None] | None:
    """Call both, as far as there are any."""
    if first is None or second is None:
        return first or second

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        first(*args, **kwargs)
        second(*args, **kwargs)

    return call


class SourceLog:
    """Follows a download by its moments: changes of state, rates, and at the end a summary."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._spent: dict[str, dict[str, float]] = {}
        self._last: Progress | None = None
        self._looked = time.monotonic()
        self._due = self._looked + _RATES_SECONDS

    def __call__(self, progress: Progress) -> None:
        """Take in a moment."""
        now = time.monotonic()
        for source in progress.sources:
            before = self._states.get(source.url)
            spent = self._spent.setdefault(source.url, {})
            if before is not None:
                spent[before] = spent.get(before, 0.0) + now - self._looked
            if source.state != before:
                self._states[source.url] = source.state
                if before is not None or source.state != "idle":
                    _log.info("%s: %s", source.url, _change(source))
        self._looked = now
        if progress.sources:
            self._last = progress
        if progress.phase == "downloading" and now >= self._due:
            self._due = now + _RATES_SECONDS
            self._tell_rates(progress)

    def _tell_rates(self, progress: Progress) -> None:
        _log.info(
            "%s: %s of %s, %s",
            *(progress.name, format_size(progress.done), format_size(progress.size)),
            format_rate(progress.rate),
        )
        for source in progress.sources:
            if source.state == "active":
                _log.info("%s: %s", source.url, _rate(source))

    def close(self) -> None:
        """Tell of each source what it spent its time with."""
        if self._last is None:
            return
        for source in self._last.sources:
            spent = self._spent.get(source.url, {})
            times = ", ".join(
                f"{_WORDS.get(state, state)} {format_duration(seconds)}"
                for state, seconds in sorted(spent.items(), key=lambda item: -item[1])
                if seconds >= 0.05
            )
            active = spent.get("active", 0.0)
            rate = (
                f", {format_rate(source.received / active)} while active" if active >= 0.5 else ""
            )
            errors = f", {counted(source.errors, 'error')}" if source.errors else ""
            last = f", last: {source.last_error}" if source.errors else ""
            told = f"{format_size(source.received)}{rate}{errors}{last}"
            if not times:
                times = "in no time" if source.received else "not used"
            _log.info("%s: in all %s; %s", source.url, told, times)


_WORDS = {"waiting": "failing"}
"""What the states of a source are called on the terminal, where it is not their name."""


def _change(source: SourceProgress) -> str:
    match source.state:
        case "waiting":
            pause = format_duration(source.pause)
            return f"failing, next attempt in {pause} ({source.last_error})"
        case "failed":
            failures = counted(source.failures, "failure")
            return f"failed: given up after {failures} ({source.last_error})"
        case "corrupt":
            return f"corrupt: it sent wrong bytes, used as the last resort ({source.last_error})"
        case "unused":
            return "unused: it has nothing that is needed"
        case "idle":
            return "idle: nothing is left for it"
        case _:
            return "active"


def _rate(source: SourceProgress) -> str:
    told = f"{format_rate(source.rate)} over {counted(source.connections, 'connection')}"
    if source.latency:
        told += f", first byte after {1000 * source.latency:.0f} ms"
    return told
