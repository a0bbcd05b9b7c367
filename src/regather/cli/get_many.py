"""``regather get`` of several files: those of a list, or of a metalink."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from regather.cli.documents import print_json
from regather.cli.get_report import describe, print_notes
from regather.cli.logs import both, files_log
from regather.cli.options import checksums_of
from regather.cli.output_path import destination_of, make_folder
from regather.cli.progress import files_view
from regather.errors import RegatherError, unusable
from regather.units import counted, format_exact

if TYPE_CHECKING:
    from regather.downloader.live import WatchedDownloads
    from regather.sources.jobs import DownloadJob
    from regather.sources.settings import Settings


def jobs_in_list(args: argparse.Namespace) -> list[DownloadJob]:
    """What the list of ``-i`` names. Raises UsageError."""
    from regather.errors import UsageError
    from regather.sources.jobs import read_list

    named = (args.source, args.fragment, args.server, args.digest, checksums_of(args), args.seed)
    if any(named):
        raise UsageError(
            "a list and sources, servers, digests, checksums or older files on the command line",
            help="name them in the list, or leave the list out",
        )
    folder = destination_of(args.output, mkdir=args.mkdir, dry=args.dry_run)
    try:
        if args.input == "-":
            text, where = sys.stdin.read(), "standard input"
        else:
            text, where = Path(args.input).read_text("utf-8-sig"), args.input
    except OSError as error:
        raise unusable(args.input, "a list", error) from None
    except UnicodeDecodeError:
        raise UsageError(
            f"{args.input}: not text in UTF-8", help="give a list of URLs, one download a line"
        ) from None
    if "\0" in text:
        raise UsageError(f"{where}: not text, it has bytes of 0")
    return read_list(text, where, folder, force=args.force)


def print_error(what: str, error: RegatherError, *, as_json: bool) -> None:
    """Say how one of several downloads failed."""
    if as_json:
        print_json(event="file_error", what=what, **error.as_dict())
    start = "" if error.line.startswith(what) else f"{what}: "
    print(f"regather: {start}{error.line}", *error.details, sep="\n  ", file=sys.stderr)


def get_all(
    jobs: Sequence[DownloadJob],
    args: argparse.Namespace,
    settings: Settings,
    page: WatchedDownloads | None = None,
) -> int:
    """Carry out several jobs; tell of each as it ends, and how many failed."""
    from regather.downloader.batch import Outcome, download_all, worst
    from regather.errors import UsageError

    if args.output is not None and not os.path.isdir(args.output):
        if os.path.exists(args.output):
            raise UsageError(
                f"{args.output}: not a folder, and there are several files",
                help="name a folder with -o",
            )
        make_folder(Path(args.output))

    def tell(outcome: Outcome) -> None:
        if outcome.report is not None:
            if args.json:
                print_json(outcome.report, event="file")
            elif not args.quiet:
                print_notes(outcome.report.notes)
                print(describe(outcome.report), flush=True)
        elif outcome.kept:
            if args.json:
                print_json(event="kept", what=outcome.what, path=outcome.kept)
            elif not args.quiet:
                unsure = "" if outcome.sure else ", NOT verified"
                print(f"{outcome.kept}: was there already{unsure}", flush=True)
        elif outcome.error is not None:
            print_error(outcome.what, outcome.error, as_json=args.json)

    with files_view(len(jobs), quiet=args.quiet, as_json=args.json) as view, files_log() as log:

        def ended(outcome: Outcome) -> None:
            tell(outcome)
            if view is not None:
                view.ended(failed=outcome.error is not None)

        outcomes = download_all(
            jobs,
            at_once=int(args.jobs),
            settings=settings,
            on_outcome=ended,
            on_progress=both(
                both(None if view is None else view.show, log),
                None if page is None else page.progress_of,
            ),
            watcher=page,
        )
    code = worst(outcomes)
    if page is not None:
        failed = sum(outcome.error is not None for outcome in outcomes)
        line = f"{len(outcomes) - failed} of {counted(len(outcomes), 'file')} done"
        page.finish(f"{line}.", "failed" if failed else "done")
    done = [o.report for o in outcomes if o.report is not None]
    kept = sum(bool(o.kept) for o in outcomes)
    size = sum(report.size for report in done)
    if args.json:
        counts = {"files": len(outcomes), "done": len(done), "kept": kept, "size": size}
        print_json(event="summary", **counts, exit_code=code)
    elif not args.quiet:
        unsure = sum(not report.verified for report in done)
        line = f"{len(done)} of {counted(len(outcomes), 'file')}, {format_exact(size)}"
        line += f", {unsure} of them NOT verified" if unsure else ""
        print(line + (f"; {kept} {'was' if kept == 1 else 'were'} there already" if kept else ""))
    return code
