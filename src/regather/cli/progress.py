"""Progress on standard error: live where it is a terminal, plain lines where it is not."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from regather.units import counted, format_duration, format_rate, format_size

if TYPE_CHECKING:
    from rich.console import Group

    from regather.client import Progress, SourceProgress

OnBytes = Callable[[int, int], None]
_LINE_SECONDS = 5.0
_JSON_SECONDS = 1.0
_FRAMES = 10
_LONG_PAUSE = 20.0
"""Seconds; what we wait without being asked to is shorter."""
_SHOWN = 8
"""Most sources that a plain line names."""


@contextmanager
def bytes_progress(label: str, *, quiet: bool) -> Iterator[OnBytes | None]:
    """Show how many bytes of one long step are done; yields what to call, or None when quiet."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            ProgressColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars
        from rich.text import Text

        class RateColumn(ProgressColumn):
            """The rate in the units of everything else; rich's own is decimal."""

            def render(self, task: Task) -> Text:
                return Text("" if task.speed is None else format_rate(task.speed))

        with Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            RateColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=_FRAMES,
        ) as bars:
            task = bars.add_task(label, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)
    else:
        due = time.monotonic() + _LINE_SECONDS

        def line(done: int, total: int) -> None:
            nonlocal due
            if (now := time.monotonic()) >= due:
                due = now + _LINE_SECONDS
                percent = 100 * done // max(total, 1)
                print(f"{label}: {percent} % of {format_size(total)}", file=sys.stderr)

        yield line


class View(Protocol):
    """Shows a download while it runs."""

    def __call__(self, progress: Progress) -> None:
        """Show this moment."""
        ...


@contextmanager
def download_view(*, quiet: bool, as_json: bool) -> Iterator[View | None]:
    """Choose how to show a download: JSON lines, nothing, a live table, or plain lines."""
    if as_json:
        yield None if quiet else _JsonLines()
    elif quiet:
        yield None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
            yield lambda progress: live.update(_table(progress), refresh=True)
    else:
        yield _Lines()


def _why(source: SourceProgress) -> str:
    """What the last failure was, without the place, which is told beside it."""
    last = source.last_error.rpartition(": ")[2]
    return f"{last[:1].lower()}{last[1:]}" if last[1:2].islower() else last


def _host(source: SourceProgress) -> str:
    return urlsplit(source.url).netloc.rpartition("@")[2] or source.url


def _waiting(source: SourceProgress) -> str:
    """Its state, with the time that is left where that is longer than our own pauses.

    Then the server asked for it, and who is not told takes the download for stuck.
    """
    if source.state != "waiting" or source.pause < _LONG_PAUSE:
        return source.state
    return f"waiting {format_duration(source.pause)}"


def _retry(source: SourceProgress, progress: Progress) -> str:
    if not source.failures:
        return ""
    return f", retry {min(source.failures, progress.retries)} of {progress.retries}"


class _Lines:
    def __init__(self) -> None:
        self._due = time.monotonic() + 1.0
        self._told: set[tuple[str, int]] = set()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._tell_waits(progress):
            self._due = now + _LINE_SECONDS
        if now < self._due:
            return
        self._due = now + _LINE_SECONDS
        if progress.phase == "asking":
            waited = ", ".join(f"{s.url} {_waiting(s)}" for s in progress.sources[:_SHOWN])
            print(f"asking {waited}", file=sys.stderr)
            return
        percent = 100 * progress.done // max(progress.size, 1)
        eta = "" if progress.eta is None else f", {format_duration(progress.eta)} left"
        sources = ", ".join(
            f"{s.url} {_waiting(s)}"
            + (f" {format_rate(s.rate)}" if s.state == "active" else "")
            + (f" ({counted(s.errors, 'error')})" if s.errors else "")
            for s in progress.sources[:_SHOWN]
        )
        print(
            f"{progress.phase} {progress.name}: {percent} % of {format_size(progress.size)}, "
            f"{format_rate(progress.rate)}{eta} [{sources}]",
            file=sys.stderr,
        )

    def _tell_waits(self, progress: Progress) -> bool:
        """While nothing comes from anyone, say of every new failure who is waited for, and why."""
        if any(source.state == "active" for source in progress.sources):
            return False
        # Plain fragments are sources of their own: one line is enough for those of one host.
        news = {
            (_host(source), source.failures): source
            for source in progress.sources
            if source.state == "waiting" and (_host(source), source.failures) not in self._told
        }
        self._told.update(news)
        for (host, _), source in list(news.items())[:_SHOWN]:
            print(
                f"{_waiting(source)} for {host} ({_why(source)}){_retry(source, progress)}",
                file=sys.stderr,
            )
        return bool(news)


class _JsonLines:
    def __init__(self) -> None:
        self._due = time.monotonic() + _JSON_SECONDS

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _JSON_SECONDS
            print(json.dumps({"event": "progress", **asdict(progress)}), flush=True)


_STYLES = {"active": "green", "idle": "dim", "waiting": "yellow", "unused": "dim"}


def _shown_state(source: SourceProgress, progress: Progress) -> str:
    if source.state != "waiting" or not source.last_error:
        return source.state
    return f"{_waiting(source)} ({_why(source)}){_retry(source, progress)}"


def _table(progress: Progress) -> Group:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    rows = Table(box=None, pad_edge=False, expand=False)
    rows.add_column("source", overflow="fold")
    rows.add_column("state")
    for title in ("received", "rate", "connections", "errors"):
        rows.add_column(title, justify="right")
    for source in progress.sources:
        rows.add_row(
            Text(source.url),
            Text(_shown_state(source, progress), style=_STYLES.get(source.state, "red")),
            format_size(source.received),
            format_rate(source.rate) if source.state == "active" else "",
            str(source.connections),
            str(source.errors or ""),
        )
    eta = "" if progress.eta is None else f"{format_duration(progress.eta)} left"
    total = Table.grid(padding=(0, 1))
    total.add_row(
        Text(progress.name),
        ProgressBar(total=max(progress.size, 1), completed=progress.done, width=30),
        f"{format_size(progress.done)} of {format_size(progress.size)}",
        format_rate(progress.rate),
        eta if progress.phase == "downloading" else progress.phase,
    )
    return Group(rows, total)
