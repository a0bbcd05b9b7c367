"""Progress on standard error: live where it is a terminal, plain lines where it is not."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from regather.cli.documents import print_json
from regather.cli.wording import by_url, host_of, pause_of, retry_of, state_of, why
from regather.tasks import Thread
from regather.units import counted, format_left, format_rate, format_size

if TYPE_CHECKING:
    from rich.text import Text

    from regather.downloader import Progress, SourceProgress

OnBytes = Callable[[int, int], None]
Draw = Callable[[int, int], "list[Text]"]
"""Lines for a terminal of so many columns and lines."""
_LINE_SECONDS = 5.0
_JSON_SECONDS = 1.0
_FRAMES = 10
_MOMENT = 0.25
"""Seconds from which on a download is drawn: rich takes a quarter of a small one to import."""
_SHOWN = 8
"""Most sources or files that a plain line names."""


_no_color: bool | None = None
"""None: what NO_COLOR says counts."""


def use_color(when: str) -> None:
    """Colour progress ``always``, ``never``, or, ``auto``, unless NO_COLOR is set."""
    global _no_color  # noqa: PLW0603  one terminal, one process
    _no_color = {"auto": None, "always": False, "never": True}[when]


def _is_live() -> bool:
    """Whether standard error is a terminal on which lines can be drawn anew."""
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


@contextmanager
def _drawn(draw: Draw, *, after: float = 0.0) -> Iterator[None]:
    """Draw lines ten times a second; they are gone at the end, for the report follows."""
    over = threading.Event()
    drawer = Thread(_draw_until, (draw, over, after), name="regather-display", daemon=True)
    drawer.start()
    try:
        yield
    finally:
        over.set()
        drawer.join()


def _draw_until(draw: Draw, over: threading.Event, after: float) -> None:
    """Draw from ``after`` seconds on until it is over."""
    if over.wait(after):
        return
    from rich.console import Console, Group
    from rich.live import Live

    console = Console(stderr=True, no_color=_no_color)

    def now() -> Group:
        # The last column stays free: some terminals begin a new line after it.
        return Group(*draw(max(console.width - 1, 1), max(console.height - 1, 1)))

    with (
        suppress(OSError),  # the terminal went away; the command goes on
        Live(
            console=console,
            get_renderable=now,
            transient=True,
            refresh_per_second=_FRAMES,
            redirect_stdout=sys.stdout.isatty(),  # what is printed meanwhile stands above
            vertical_overflow="crop",
        ),
    ):
        over.wait()


@contextmanager
def bytes_progress(label: str, *, quiet: bool) -> Iterator[OnBytes | None]:
    """Show how many bytes of one long step are done; yields what to call, or None when quiet."""
    if quiet:
        yield None
    elif _is_live():
        from regather.downloader.report import RateMeter

        meter = RateMeter()
        done = total = 0

        def draw(width: int, _height: int) -> list[Text]:
            from regather.cli.rendering import total_line

            rate = meter.read(time.monotonic(), done)
            left = (total - done) / rate if rate else None
            return [total_line(label, done, total, rate, left, width)]

        def note(new_done: int, new_total: int) -> None:
            nonlocal done, total
            done, total = new_done, new_total

        with _drawn(draw):
            yield note
    else:
        due = time.monotonic() + _LINE_SECONDS

        def line(done: int, total: int) -> None:
            nonlocal due
            if (now := time.monotonic()) >= due:
                due = now + _LINE_SECONDS
                percent = 100 * done // max(total, 1)
                print(f"{label}: {percent} % of {format_size(total)}", file=sys.stderr)

        yield line


View = Callable[["Progress"], None]
"""Shows this moment of a download."""


@contextmanager
def download_view(*, quiet: bool, as_json: bool) -> Iterator[View | None]:
    """Choose how to show a download: JSON lines, nothing, a live table, or plain lines."""
    if as_json:
        yield None if quiet else _JsonProgress()
    elif quiet:
        yield None
    elif _is_live():
        latest: Progress | None = None

        def draw(width: int, height: int) -> list[Text]:
            from regather.cli.rendering import download_lines

            return [] if latest is None else download_lines(latest, width, height)

        def show(progress: Progress) -> None:
            nonlocal latest
            latest = progress

        with _drawn(draw, after=_MOMENT):
            yield show
    else:
        yield _Lines()


class _Lines:
    """A line every few seconds, and one for each wait, for logs and pipes."""

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
        sources = by_url(progress.sources)
        named = [_source(s, progress.phase) for s in sources[:_SHOWN]]
        if more := len(sources) - len(named):
            named.append(f"{more} more")
        if progress.phase == "asking":
            print(f"asking {', '.join(named)}", file=sys.stderr)
            return
        who = f" [{', '.join(named)}]" if named else ""
        print(f"{_total(progress)}{who}", file=sys.stderr)

    def _tell_waits(self, progress: Progress) -> bool:
        """While nothing comes from anyone, say of every new failure who is waited for, and why."""
        if any(source.state == "active" for source in progress.sources):
            return False
        # Plain fragments are sources of their own: one line is enough for those of one host.
        news = {
            (host_of(source), source.failures): source
            for source in progress.sources
            if source.state == "waiting" and (host_of(source), source.failures) not in self._told
        }
        self._told.update(news)
        for (host, _), source in list(news.items())[:_SHOWN]:
            print(
                f"waiting{pause_of(source)} for {host} ({why(source)}){retry_of(source, progress)}",
                file=sys.stderr,
            )
        return bool(news)


def _total(progress: Progress) -> str:
    percent = 100 * progress.done // max(progress.size, 1)
    left = "" if progress.eta is None else f", {format_left(progress.eta)} left"
    return (
        f"{progress.phase} {progress.name}: {percent} % of {format_size(progress.size)}, "
        f"{format_rate(progress.rate)}{left}"
    )


def _source(source: SourceProgress, phase: str) -> str:
    told = f"{source.url} {state_of(source)}"
    if phase == "asking":
        return told
    rate = f" {format_rate(source.rate)}" if source.state == "active" else ""
    return told + rate + (f" ({counted(source.errors, 'error')})" if source.errors else "")


class _JsonProgress:
    def __init__(self) -> None:
        self._due = time.monotonic() + _JSON_SECONDS

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _JSON_SECONDS
            print_json(progress, event="progress")


class FilesView:
    """Shows several downloads at once; what it is told may come from any thread."""

    def __init__(self, count: int) -> None:
        """``count`` is the number of files."""
        self._count = count
        self._ended = self._failed = 0
        self._running: dict[int, Progress] = {}
        self._lock = threading.Lock()

    def show(self, number: int, progress: Progress | None) -> None:
        """Take in the moment of one of them, by its number; None: it has ended."""
        with self._lock:
            if progress is None:
                self._running.pop(number, None)
            else:
                self._running[number] = progress

    def ended(self, *, failed: bool) -> None:
        """Count one that has ended."""
        with self._lock:
            self._ended += 1
            self._failed += failed
            self._count = max(self._count, self._ended)

    def moments(self) -> list[Progress]:
        """Those that are under way and have a name, in order."""
        with self._lock:
            return [p for _, p in sorted(self._running.items()) if p.name]

    def total(self) -> str:
        """How many files have ended, and the rate of all."""
        rate = sum(progress.rate for progress in self.moments())
        failed = f", {self._failed} failed" if self._failed else ""
        told = f", {format_rate(rate)}" if rate else ""
        return f"{self._ended} of {counted(self._count, 'file')}{failed}{told}"

    def draw(self, width: int, height: int) -> list[Text]:
        """A line a file and the total, for a terminal."""
        from rich.text import Text

        from regather.cli.rendering import total_line

        moments = self.moments()
        shown = moments if len(moments) < height else moments[: max(height - 2, 0)]
        lines = [total_line(p.name, p.done, p.size, p.rate, p.eta, width) for p in shown]
        more = f"; {len(moments) - len(shown)} more under way" if len(shown) < len(moments) else ""
        last = Text(self.total() + more, no_wrap=True)
        last.truncate(width, overflow="ellipsis")
        return [*lines, last]


@contextmanager
def files_view(count: int, *, quiet: bool, as_json: bool) -> Iterator[FilesView | None]:
    """Choose how to show ``count`` downloads: as one is shown, JSON aside."""
    if quiet or as_json:
        yield None
        return
    view = FilesView(count)
    if _is_live():
        with _drawn(view.draw):
            yield view
        return
    ended = threading.Event()
    ticker = threading.Thread(target=_told_in_lines, args=(view, ended), daemon=True)
    ticker.start()
    try:
        yield view
    finally:
        ended.set()


def _told_in_lines(view: FilesView, ended: threading.Event) -> None:
    pause = 1.0
    while not ended.wait(pause):
        pause = _LINE_SECONDS
        moments = view.moments()
        named = [f"{p.name} {100 * p.done // max(p.size, 1)} %" for p in moments[:_SHOWN]]
        if more := len(moments) - len(named):
            named.append(f"{more} more")
        print(f"downloading: {view.total()} [{', '.join(named)}]", file=sys.stderr, flush=True)
