"""What ``regather get`` says of a download: notes while it runs, a report at its end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from regather.units import (
    counted,
    format_duration,
    format_exact,
    format_rate,
    format_size,
    percentages,
)

if TYPE_CHECKING:
    from regather.cli.progress import View
    from regather.downloader import DownloadReport, Progress


def print_notes(notes: Sequence[str]) -> None:
    """Write notes to standard error, a line each."""
    from regather.errors import printable

    for note in notes:
        print(f"regather: {printable(note)}", file=sys.stderr)


def with_notes(view: View | None) -> View:
    """Tell each note once, as it comes: that nothing is verified, that a mirror is left out."""
    told = 0

    def show(progress: Progress) -> None:
        nonlocal told
        print_notes(progress.notes[told:])
        told = max(told, len(progress.notes))
        if view is not None:
            view(progress)

    return show


def done_line(report: DownloadReport) -> str:
    """The report in one short sentence, without the path."""
    if report.kept:
        return f"Done: {report.name} was there already; nothing was fetched."
    how = "every piece verified" if report.verified else "NOT verified"
    computed = f", {counted(report.decoded, 'row')} computed from parity" if report.decoded else ""
    took = f"in {format_duration(report.seconds)}, {format_rate(report.rate)}"
    return f"Done: {report.name}, {format_size(report.size)} {took}, {how}{computed}."


def describe(report: DownloadReport) -> str:
    """The report for people: a line on the file, one on each source."""
    from regather.engine.missing import without_address

    if report.kept:
        return (
            f"{report.path}: {format_exact(report.size)}, was there already and is right "
            f"({report.verified_by or 'by the hash that its server reports'}); nothing was fetched"
        )
    how = "verified" if report.verified else "NOT verified"
    if report.verified and report.verified_by != "manifest":
        how = f"verified ({report.verified_by})"
    elif report.signed_by:
        how = f"verified, signed by key {report.signed_by}"
    took = f"in {format_duration(report.seconds)}, {format_rate(report.rate)}"
    if report.resumed:
        fetched = format_size(report.size - report.resumed)
        kept = [f"{format_size(report.resumed - report.reused)} were there already"]
        reused = [f"{format_size(report.reused)} came from an older version"]
        had = kept * (report.resumed > report.reused) + reused * bool(report.reused)
        took = f"{', '.join(had)}, {fetched} fetched now {took}"
    size = format_exact(report.size)
    if report.files is not None and report.content is not None:
        packed = f", packed {format_size(report.size)}"
        size = f"{counted(report.files, 'file')}, {format_exact(report.content)}{packed}"
    lines = [f"{report.path}: {size}, {took}, {how}"]
    shares = percentages([source.useful for source in report.sources])
    for source, share in zip(report.sources, shares, strict=True):
        line = f"  {source.url}  {format_size(source.useful)}, {share} %"
        if source.useful:
            line += f", {format_rate(source.rate)}"
        if source.errors:
            last = without_address(source.last_error, source.url)
            line += f", {counted(source.errors, 'error')}, last: {last}"
        if source.state not in ("idle", "active"):
            line += f" [{source.state}]"
        lines.append(line)
    return "\n".join(lines)
