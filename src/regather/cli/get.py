"""``regather get``: download and recombine."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from regather.cli.logs import both, files_log, source_log
from regather.cli.options import (
    add_checksums,
    add_output,
    add_pace,
    add_reach,
    add_servers,
    checksums_of,
    settings_of,
    whole,
)
from regather.cli.parsing import section
from regather.cli.progress import download_view, files_view
from regather.cli.signals import end_politely
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
    from regather.client import DownloadReport, Progress, Settings
    from regather.client.jobs import Job

_STREAMS = ("-", "/dev/stdin", "/dev/stdout", "/dev/stderr")
SUMMARY = "Download a file or folder from several sources at once, verified."
EXAMPLES = (
    "regather get https://a.example/d/disk.img.regather.json",
    "regather get hosted/large_file.txt.regather.json \\",
    "    --server 127.0.0.1:9001 --server 127.0.0.1:9002 --server 127.0.0.1:9003 -o copy.txt",
    "regather get --fragment 127.0.0.1:9001/file_fragment_1.dat \\",
    "    --fragment 127.0.0.1:9002/file_fragment_2.dat    # plain, unverified",
    "regather get https://a.example/disk.img https://b.example/pub/disk.img --sha256 HEX",
    "regather get https://download.example/disk.img.meta4",
    "regather get ftp://ftp.example/disk.img sftp://ann@b.example/srv/disk.img --sha256 HEX",
    "regather get https://a.example/d/dataset.regather.json -o dataset",
    "regather get -i list.txt -o downloads",
    "regather get s3://bucket/d/disk.img.regather.json",
    "regather get s3://bucket/disk.img --store-option endpoint=http://127.0.0.1:9000",
)

COMMON = (
    *("-o", "-i", "--server", "--force", "--select", "--digest", "--sha256"),
    *("--connections", "--limit-rate", "--token"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "source",
        nargs="*",
        metavar="SOURCE",
        help="a manifest or a metalink (path or URL), the URL of the file itself, or URLs of "
        "several mirrors of the whole file",
    )
    sources = section(parser, "sources")
    sources.add_argument(
        "-i",
        "--input",
        metavar="LIST",
        help="download every file that LIST names (-: standard input). Each line has the URLs of "
        "one file; lines below it that begin with a space may set out=NAME and checksum=ALGO=HEX",
    )
    add_servers(parser, used="read, and else asked last")
    sources.add_argument(
        "--fragment",
        action="append",
        default=[],
        metavar="URL",
        help="without a manifest: a plain fragment, once for each, in order, not verified. With a "
        "manifest: where one of its fragments is",
    )
    sources.add_argument(
        "--location",
        default="",
        metavar="CC",
        help="prefer the mirrors of a metalink in this country, like de",
    )
    output = section(parser, "output")
    output.add_argument(
        "-o",
        "--output",
        metavar="DEST",
        help="write to this file or folder (default: the name of the file, here). With a / at its "
        "end, or where a folder is, the file goes into it by its own name. Plain fragments become "
        "recombined_large_file.dat. Of a published folder: the name of the copy",
    )
    output.add_argument(
        "--force",
        action="store_true",
        help="replace an existing file, or files of a folder that differ",
    )
    output.add_argument(
        "--select",
        action="append",
        default=[],
        metavar="NAME",
        help="get only this file of a metalink or folder; repeat for more. Of a folder also a "
        "folder in it, or a pattern with *",
    )
    output.add_argument(
        "-j",
        "--jobs",
        type=whole(1),
        default=2,
        metavar="N",
        help="get N files of a list at the same time (default: 2)",
    )
    output.add_argument(
        "--no-sync",
        action="store_true",
        help="do not wait until the disk has the file before it gets its name",
    )
    output.add_argument(
        "--seed",
        action="append",
        default=[],
        metavar="PATH",
        help="an older version of the file or folder: pieces that are still the same, at the same "
        "offset, are taken from there. With --force what is replaced is one; repeat for more",
    )
    section(parser, "verification").add_argument(
        "--digest",
        default="",
        metavar="HEX",
        help="the identity that the file must have, as split, publish and info print it",
    )
    add_checksums(parser)
    add_pace(parser, "source", 8)
    add_reach(parser, "source", 5)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Download."""
    # A polite kill leaves the same resumable state as Ctrl-C.
    end_politely()
    settings = settings_of(args)
    if args.input is not None:
        return _get_all(_jobs_in_list(args), args, settings)
    from regather.client.run import Session

    job = _job_of(args)
    with download_view(quiet=args.quiet, as_json=args.json) as shown, source_log() as log:
        noted = shown if args.quiet else _with_notes(shown)
        session = Session(settings, on_progress=both(noted, log))
        jobs = session.expand(job, args.select)
        report = session.run(jobs[0]) if len(jobs) == 1 else None
    if report is None:
        return _get_all(jobs, args, settings)
    if args.json:
        print(json.dumps({"event": "done", **asdict(report)}))
    elif not args.quiet:
        print(describe(report))
    return 0


def _destination(output: str | None) -> Path | None:
    """What ``-o`` names: with a slash at its end a folder, made if need be. Raises UsageError."""
    from regather.errors import UsageError

    if output is None:
        return None
    if output in _STREAMS or output.startswith(("/dev/fd/", "/proc/")):
        # Where those lead to files, --force would put a file in the place of the link itself.
        raise UsageError(
            "a download cannot go to standard output: its pieces come in any order",
            help="name a file with -o, and ./- for one of that name",
        )
    path = Path(output)
    if output.endswith("/") and not os.path.exists(path):
        _make_folder(path)
    return path


def _make_folder(path: Path) -> None:
    from regather.errors import UsageError

    try:
        path.mkdir()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{path}: cannot make this folder: {reason}") from None


def _job_of(args: argparse.Namespace) -> Job:
    """What the command line names. Raises UsageError."""
    from regather.client.jobs import Job
    from regather.errors import UsageError

    if not args.source and not args.fragment:
        raise UsageError(
            "nothing to get",
            help="name a manifest, a metalink, URLs, a list (-i) or fragments (--fragment)",
        )
    return Job(
        tuple(args.source),
        _destination(args.output),
        tuple(args.fragment),
        tuple(args.server),
        args.digest,
        args.force,
        checksums_of(args),
        args.location,
        tuple(args.seed),
    )


def _jobs_in_list(args: argparse.Namespace) -> list[Job]:
    """What the list of ``-i`` names. Raises UsageError."""
    from regather.client.jobs import read_list
    from regather.errors import UsageError

    if (
        args.source
        or args.fragment
        or args.server
        or args.digest
        or checksums_of(args)
        or args.seed
    ):
        raise UsageError(
            "a list and sources, servers, digests, checksums or older files on the command line",
            help="name them in the list, or leave the list out",
        )
    folder = _destination(args.output)
    try:
        if args.input == "-":
            text, where = sys.stdin.read(), "standard input"
        else:
            text, where = Path(args.input).read_text("utf-8"), args.input
    except OSError as error:
        raise UsageError(f"{args.input}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{args.input}: not text in UTF-8") from None
    return read_list(text, where, folder, force=args.force)


def _get_all(jobs: Sequence[Job], args: argparse.Namespace, settings: Settings) -> int:
    """Carry out several jobs; tell of each as it ends, and how many failed."""
    from regather.client.batch import Outcome, download_all, worst
    from regather.errors import UsageError

    if args.output is not None and not os.path.isdir(args.output):
        if os.path.exists(args.output):
            raise UsageError(
                f"{args.output}: not a folder, and there are several files",
                help="name a folder with -o",
            )
        _make_folder(Path(args.output))

    def tell(outcome: Outcome) -> None:
        if outcome.report is not None:
            if args.json:
                print(json.dumps({"event": "file", **asdict(outcome.report)}), flush=True)
            elif not args.quiet:
                _print_notes(outcome.report.notes)
                print(describe(outcome.report), flush=True)
        elif outcome.kept:
            if args.json:
                print(json.dumps({"event": "kept", "what": outcome.what, "path": outcome.kept}))
            elif not args.quiet:
                unsure = "" if outcome.sure else ", NOT verified"
                print(f"{outcome.kept}: was there already{unsure}", flush=True)
        elif outcome.error is not None:
            error = outcome.error
            if args.json:
                document = {"event": "file_error", "what": outcome.what, **error.as_dict()}
                print(json.dumps(document), flush=True)
            what = "" if error.line.startswith(outcome.what) else f"{outcome.what}: "
            told = f"regather: {what}{error.line}"
            print(told, *error.details, sep="\n  ", file=sys.stderr)

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
            on_progress=both(None if view is None else view.show, log),
        )
    code = worst(outcomes)
    done = [o.report for o in outcomes if o.report is not None]
    kept = sum(bool(o.kept) for o in outcomes)
    size = sum(report.size for report in done)
    if args.json:
        print(
            json.dumps(
                {
                    "event": "summary",
                    "files": len(outcomes),
                    "done": len(done),
                    "kept": kept,
                    "size": size,
                    "exit_code": code,
                }
            )
        )
    elif not args.quiet:
        unsure = sum(not report.verified for report in done)
        line = f"{len(done)} of {counted(len(outcomes), 'file')}, {format_exact(size)}"
        line += f", {unsure} of them NOT verified" if unsure else ""
        print(line + (f"; {kept} {'was' if kept == 1 else 'were'} there already" if kept else ""))
    return code


def _print_notes(notes: Sequence[str]) -> None:
    from regather.errors import printable

    for note in notes:
        print(f"regather: {printable(note)}", file=sys.stderr)


def _with_notes(view: View | None) -> View:
    """Tell each note once, as it comes: that nothing is verified, that a mirror is left out."""
    told = 0

    def show(progress: Progress) -> None:
        nonlocal told
        _print_notes(progress.notes[told:])
        told = max(told, len(progress.notes))
        if view is not None:
            view(progress)

    return show


def describe(report: DownloadReport) -> str:
    """The report for people: a line on the file, one on each source."""
    if report.kept:
        return (
            f"{report.path}: {format_exact(report.size)}, was there already and is right "
            f"({report.verified_by or 'by the hash that its server tells'}); nothing was fetched"
        )
    how = "verified" if report.verified else "NOT verified"
    if report.verified and report.verified_by != "manifest":
        how = f"verified ({report.verified_by})"
    took = f"in {format_duration(report.seconds)}, {format_rate(report.rate)}"
    if report.resumed:
        fetched = format_size(report.size - report.resumed)
        took = f"{format_size(report.resumed)} were there already, {fetched} fetched now {took}"
    held = "" if report.files is None else f"{counted(report.files, 'file')}, "
    lines = [f"{report.path}: {held}{format_exact(report.size)}, {took}, {how}"]
    shares = percentages([source.useful for source in report.sources])
    for source, share in zip(report.sources, shares, strict=True):
        line = (
            f"  {source.url}  {format_size(source.useful)}, {share} %, {format_rate(source.rate)}"
        )
        if source.errors:
            line += f", {counted(source.errors, 'error')}, last: {source.last_error}"
        if source.state not in ("idle", "active"):
            line += f" [{source.state}]"
        lines.append(line)
    return "\n".join(lines)
