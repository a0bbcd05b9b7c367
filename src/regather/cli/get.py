"""``regather get``: download and recombine."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from regather.cli.options import add_output, add_pace, add_reach, add_servers, settings_of
from regather.cli.progress import download_view
from regather.units import format_duration, format_exact, format_rate, format_size

if TYPE_CHECKING:
    from regather.cli.progress import View
    from regather.client import DownloadReport, Progress

SUMMARY = "Download a file from all its sources at once and recombine it, verified."
EXAMPLES = (
    "regather get https://a.example/d/disk.img.regather.json",
    "regather get hosted/large_file.txt.regather.json \\",
    "    --server 127.0.0.1:9001 --server 127.0.0.1:9002 --server 127.0.0.1:9003 -o copy.txt",
    "regather get --fragment 127.0.0.1:9001/file_fragment_1.dat \\",
    "    --fragment 127.0.0.1:9002/file_fragment_2.dat (plain, unverified)",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="a manifest: path or URL")
    parser.add_argument(
        "--fragment",
        action="append",
        default=[],
        metavar="URL",
        help="instead of a manifest: a plain fragment, once for each, in order; not verified. "
        "With a manifest: where one of its fragments is",
    )
    add_servers(parser, used="read")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DEST",
        help="file or folder to write to (default: the file's own name; for plain fragments "
        "recombined_large_file.dat)",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    parser.add_argument(
        "--digest", default="", metavar="HEX", help="the identity that the file must have"
    )
    tuning = parser.add_argument_group("tuning")
    add_pace(tuning, "source", 4)
    add_reach(tuning, "source", 5)
    tuning.add_argument(
        "--no-sync", action="store_true", help="do not wait for the disk before the file is named"
    )
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Download."""
    from regather.client import download
    from regather.errors import UsageError

    if args.source is None and not args.fragment:
        raise UsageError("nothing to get", help="name a manifest, or fragments with --fragment")
    # A polite kill leaves the same resumable state as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    plain = args.source is None
    with download_view(quiet=args.quiet, as_json=args.json) as shown:
        view = _with_notice(shown) if plain and not args.quiet else shown
        report = download(
            args.source,
            args.output,
            fragments=args.fragment,
            servers=args.server,
            digest=args.digest,
            force=args.force,
            settings=settings_of(args),
            on_progress=view,
        )
    if args.json:
        print(json.dumps({"event": "done", **asdict(report)}))
    elif not args.quiet:
        print(describe(report))
    return 0


def _with_notice(view: View | None) -> View:
    """Tell once that nothing is verified: when bytes are about to come, not before an error."""
    told = False

    def show(progress: Progress) -> None:
        nonlocal told
        if not told and progress.phase != "asking":
            told = True
            print(
                "regather: plain fragments have no hashes: what is received is NOT verified",
                file=sys.stderr,
            )
        if view is not None:
            view(progress)

    return show


def describe(report: DownloadReport) -> str:
    """The report for people: a line on the file, one on each source."""
    how = "verified" if report.verified else "NOT verified"
    took = f"in {format_duration(report.seconds)}, {format_rate(report.rate)}"
    if report.resumed:
        fetched = format_size(report.size - report.resumed)
        took = f"{format_size(report.resumed)} were there already, {fetched} fetched now {took}"
    lines = [f"{report.path}: {format_exact(report.size)}, {took}, {how}"]
    for source in report.sources:
        line = (
            f"  {source.url}  {format_size(source.useful)}, {source.share:.0%}, "
            f"{format_rate(source.rate)}"
        )
        if source.errors:
            word = "error" if source.errors == 1 else "errors"
            line += f", {source.errors} {word}, last: {source.last_error}"
        if source.state not in ("idle", "active"):
            line += f" [{source.state}]"
        lines.append(line)
    return "\n".join(lines)
