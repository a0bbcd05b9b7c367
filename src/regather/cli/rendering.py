"""Progress as lines of text that fit a terminal of a given size; pure functions.

All commands show the same total line: what is done, a bar, the percentage, sizes, rate, time left.
Columns have fixed widths, so that nothing moves while numbers change. On a narrow terminal columns
are left out, the least important first; no line is ever wrapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from regather.cli.wording import by_url, host_of, name_of, retry_of, state_of, why
from regather.units import format_left, format_rate, format_size, size_of

if TYPE_CHECKING:
    from regather.downloader import Progress, SourceProgress

_GAP = "  "
_MOST_PROBLEMS = 3
_LEAST_LABEL, _MOST_LABEL = 12, 40
"""Cells of what a total line begins with."""
_BAR = (10, 30)
"""Least and most cells of a bar."""
_STYLES = {"active": "green", "idle": "dim", "waiting": "yellow", "unused": "dim"}
_TOTALS = (("percent", 5), ("left", 12), ("rate", 13), ("sizes", 21))
"""Cells of the fields of a total line, the most important first."""
_SOURCE = 18
"""Least cells for the name of a source."""
_COLUMNS = (("state", 13), ("rate", 13), ("errors", 6), ("received", 10), ("connections", 11))
"""Title and cells of the columns beside a source, the most important first."""
_SHOWN_ORDER = ("state", "received", "rate", "connections", "errors")


def fitted(text: str, width: int) -> str:
    """``text`` in exactly ``width`` cells; a long one loses its middle."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    end = max((width - 1) * 2 // 5, 0)
    tail = text[-end:] if end else ""
    while cell_len(tail) > end:
        tail = tail[1:]
    return set_cell_size(text, width - 1 - cell_len(tail)) + "…" + tail


def total_line(
    label: str, done: int, total: int, rate: float, left: float | None, width: int
) -> Text:
    """What is done of the whole, in one line of at most ``width`` cells.

    ``total`` is in bytes, 0 while it is unknown; ``left`` in seconds, None while it is unknown.
    """
    share = min(done / total, 1.0) if total else 0.0
    fields = {
        "percent": f"{int(100 * share)} %" if total else "",
        "sizes": size_of(done, total) if total else format_size(done) if done else "",
        "rate": format_rate(rate) if rate else "",
        "left": f"{format_left(left)} left" if left is not None and total else "",
    }
    room = width - _LEAST_LABEL
    kept = []
    for name, cells in _TOTALS:
        if room < cells + len(_GAP):
            break
        kept.append(name)
        room -= cells + len(_GAP)
    named = min(max(_LEAST_LABEL, min(cell_len(label), _MOST_LABEL)), _LEAST_LABEL + room)
    room -= named - _LEAST_LABEL + len(_GAP)
    line = Text(fitted(label, named), no_wrap=True)
    if room >= _BAR[0]:
        cells = min(room, _BAR[1])
        full = int(cells * share)
        line.append(_GAP).append("━" * full, style="cyan").append("─" * (cells - full), style="dim")
    for name, text in fields.items():
        if name in kept:
            line.append(_GAP + text.rjust(dict(_TOTALS)[name]))
    line.rstrip()
    return line


def download_lines(progress: Progress, width: int, height: int) -> list[Text]:
    """A table of the sources, their problems, and the total, which is always shown.

    At most ``height`` lines of at most ``width`` cells; sources that have no room are counted.
    """
    sources = by_url(progress.sources)
    problems = _problems(progress, sources, width)
    downloading = progress.phase == "downloading"
    total = total_line(
        progress.name if downloading else f"{progress.phase} {progress.name}".rstrip(),
        progress.done,
        progress.size,
        progress.rate,
        progress.eta if downloading else None,
        width,
    )
    room = height - 2 - len(problems)  # the titles, and the total
    if room < 1:
        return [total]
    return [*_table(sources, width, room), *problems, total]


def _table(sources: Sequence[SourceProgress], width: int, room: int) -> list[Text]:
    """Titles, and at most ``room`` lines below them."""
    space = width - _SOURCE
    kept = set()
    for title, cells in _COLUMNS:
        if space < cells + len(_GAP):
            break
        kept.add(title)
        space -= cells + len(_GAP)
    columns = [(t, dict(_COLUMNS)[t]) for t in _SHOWN_ORDER if t in kept]
    longest = max((cell_len(name_of(source)) for source in sources), default=0)
    named = min(max(longest, _SOURCE), _SOURCE + max(space, 0))
    titles = Text(fitted("source", min(named, width)), style="bold", no_wrap=True)
    for title, cells in columns:
        titles.append(_GAP + (title.ljust(cells) if title == "state" else title.rjust(cells)))
    lines = [titles]
    shown = sources if len(sources) <= room else sources[: room - 1]
    for source in shown:
        line = Text(fitted(name_of(source), min(named, width)), no_wrap=True)
        for title, cells in columns:
            text = _cell(title, source)
            if title == "state":
                line.append(_GAP).append(text.ljust(cells), style=_STYLES.get(source.state, "red"))
            else:
                line.append(_GAP + text.rjust(cells))
        lines.append(line)
    if rest := sources[len(shown) :]:
        states: dict[str, int] = {}
        for source in rest:
            word = state_of(source).partition(" ")[0]
            states[word] = states.get(word, 0) + 1
        told = ", ".join(f"{count} {word}" for word, count in states.items())
        lines.append(Text(f"and {len(rest)} more: {told}", style="dim", no_wrap=True))
    return [_cut(line, width) for line in lines]


def _cell(title: str, source: SourceProgress) -> str:
    match title:
        case "state":
            return state_of(source)
        case "received":
            return format_size(source.received)
        case "rate":
            return format_rate(source.rate) if source.state == "active" else ""
        case "connections":
            return str(source.connections or "")
        case _:
            return str(source.errors or "")


def _problems(progress: Progress, sources: Sequence[SourceProgress], width: int) -> list[Text]:
    """Why sources are not asked now, a line a host; the rest is counted."""
    troubled = {
        host_of(source): source
        for source in sources
        if source.last_error and source.state in ("waiting", "failed", "corrupt")
    }
    lines = []
    for host, source in list(troubled.items())[:_MOST_PROBLEMS]:
        retry = retry_of(source, progress) if source.state == "waiting" else ""
        lines.append(f"{host}: {why(source)}{retry}")
    if (more := len(troubled) - len(lines)) > 0:
        lines[-1] += f"; {more} more with problems"
    return [_cut(Text(line, style="yellow", no_wrap=True), width) for line in lines]


def _cut(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    return line
