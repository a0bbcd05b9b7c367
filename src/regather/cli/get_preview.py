"""``regather get --dry-run``: what would be downloaded, from where and to where."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from regather.cli.documents import print_json
from regather.cli.get_report import print_notes
from regather.errors import RegatherError, printable
from regather.units import counted, format_exact, format_size

if TYPE_CHECKING:
    from regather.downloader.preview import Preview
    from regather.sources.jobs import DownloadJob
    from regather.sources.settings import Settings


def preview_all(args: argparse.Namespace, settings: Settings, jobs: Sequence[DownloadJob]) -> int:
    """Show what each job would do; the exit code is that of the worst error."""
    from regather.cli.get_many import print_error
    from regather.downloader.batch import Outcome, name_of, worst
    from regather.downloader.job_runner import JobRunner

    runner = JobRunner(settings)
    into = None
    if args.output is not None and not os.path.lexists(args.output):
        several = len(jobs) > 1 or args.input is not None
        into = Path(args.output) if several or args.output.endswith("/") else None
    outcomes = []
    for job in jobs:
        try:
            previews = runner.preview(job, into)
        except RegatherError as error:
            if len(jobs) == 1:
                raise
            outcomes.append(Outcome(name_of(job), error=error))
            print_error(name_of(job), error, as_json=args.json)
            continue
        for preview in previews:
            if args.json:
                print_json(preview, event="dry_run")
            elif not args.quiet:
                print_notes(preview.notes)
                print(describe(preview))
    return worst(outcomes)


def describe(preview: Preview) -> str:
    """For people: a line on the file, one on each source."""
    held = "" if preview.files is None else f"{counted(preview.files, 'file')}, "
    size = "of unknown size" if preview.size is None else format_exact(preview.size)
    if preview.kept:
        return printable(f"{preview.path}: {held}{size}, is already there; nothing to fetch")
    how = f"verified by {preview.verified_by}" if preview.verified_by else "NOT verified"
    line = f"Would download {preview.name} to {preview.path}: {held}{size}, "
    if preview.present and preview.size is not None:
        line += f"{format_size(preview.present)} already there, "
        line += f"{format_size(preview.size - preview.present)} to fetch, "
    lines = [line + how]
    for source in preview.sources:
        names = ", ".join(source.fragments or ())
        lines.append(f"  {source.url}  {names or 'not known before the download'}".rstrip())
    return "\n".join(map(printable, lines))
