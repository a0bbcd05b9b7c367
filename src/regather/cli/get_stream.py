"""``regather get -o -``: the file in order, to standard output.

Standard output is the file's. All else that is printed, JSON too, goes to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import select
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from regather.cli.documents import print_json
from regather.cli.get_report import describe, with_notes
from regather.cli.logs import both, source_log
from regather.cli.progress import download_view
from regather.cli.standard_streams import closed
from regather.errors import InterruptedDownload, StorageError, UsageError, advice, reason
from regather.files.platform import write_parts

if TYPE_CHECKING:
    from regather.sources.jobs import DownloadJob
    from regather.sources.settings import Settings

READER_LEFT = 141
"""The exit code: what a shell says of a process that SIGPIPE has ended."""
_FD = 1
_PIPE_BYTES = 1 << 20
"""Room in the pipe: a reader and we take turns a sixteenth as often as with what is usual."""


def check_output(args: argparse.Namespace) -> None:
    """Raise UsageError where standard output, or an option beside it, makes no sense."""
    refused = {"-i": args.input, "--seed": args.seed, "--page": args.page}
    refused["--dry-run"] = args.dry_run
    if wrong := [option for option, value in refused.items() if value]:
        raise UsageError(
            f"{wrong[0]} cannot be used with -o -: one file goes to standard output, in order",
            help="name a file or folder with -o",
        )
    if _FD in closed:
        raise UsageError("standard output is closed", help="send it to a command, or use -o FILE")
    if os.isatty(_FD):
        raise UsageError(
            "standard output is a terminal, which cannot take a file",
            help="send it to a command (| tar x), or name a file with -o",
        )


def get_to_output(args: argparse.Namespace, settings: Settings, job: DownloadJob) -> int:
    """Stream one file to standard output."""
    from regather.downloader.feeds import passed_on
    from regather.downloader.job_runner import JobRunner

    with download_view(quiet=args.quiet, as_json=args.json) as shown, source_log() as log:
        noted = shown if args.quiet else with_notes(shown)
        runner = JobRunner(settings, on_progress=both(noted, log))
        jobs = runner.expand(job)
        if len(jobs) > 1:
            raise UsageError(
                f"the metalink has {len(jobs)} files, and standard output takes one",
                help="choose one with --select NAME",
            )
        with contextlib.suppress(AttributeError, OSError):  # no pipe, or no Linux
            fcntl.fcntl(_FD, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        with runner.stream(jobs[0], args.spool, _look_for_reader) as stream:
            given = 0
            try:
                for run in stream.runs():
                    for count in _write(run):
                        given += count
            except BrokenPipeError:
                return READER_LEFT
            except KeyboardInterrupt:
                what = passed_on(given, stream.size)
                raise InterruptedDownload(f"interrupted: {what}") from None
            report = stream.report()
    if args.json:
        print_json(report, event="done")
    elif not args.quiet:
        print(describe(replace(report, path=report.name)))
    return 0


def _write(left: list[memoryview]) -> Iterator[int]:
    """Write all of it; how much at a time.

    Raises BrokenPipeError where nobody reads any more, and StorageError.
    """
    while left:
        try:
            yield write_parts(_FD, left)
        except BlockingIOError:  # of whoever shares it with us
            select.select([], [_FD], [])
        except ConnectionError:  # of a pipe, or of a socket
            raise BrokenPipeError from None
        except OSError as error:
            raise StorageError(
                f"cannot write to standard output: {reason(error).lower()}", help=advice(error)
            ) from error


def _look_for_reader() -> None:
    """Raise BrokenPipeError where nobody reads any more: no piece may come for long."""
    poll = select.poll()
    poll.register(_FD, 0)
    if any(events & select.POLLERR for _, events in poll.poll(0)):
        raise BrokenPipeError
