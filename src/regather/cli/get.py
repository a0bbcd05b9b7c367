"""``regather get``: download and recombine."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from regather.cli.destination import destination_of
from regather.cli.get_report import describe, with_notes
from regather.cli.logs import both, source_log
from regather.cli.options import (
    RATES,
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
from regather.cli.progress import download_view
from regather.cli.signals import end_politely

if TYPE_CHECKING:
    from regather.sources.jobs import DownloadJob

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
    add_output(parser, verbose=RATES)


def run(args: argparse.Namespace) -> int:
    """Download."""
    # A polite kill leaves the same resumable state as Ctrl-C.
    end_politely()
    settings = settings_of(args)
    if args.input is not None:
        from regather.cli.get_many import get_all, jobs_in_list

        return get_all(jobs_in_list(args), args, settings)
    from regather.downloader.session import Session

    job = _job_of(args)
    with download_view(quiet=args.quiet, as_json=args.json) as shown, source_log() as log:
        noted = shown if args.quiet else with_notes(shown)
        session = Session(settings, on_progress=both(noted, log))
        jobs = session.expand(job, args.select)
        report = session.run(jobs[0]) if len(jobs) == 1 else None
    if report is None:
        from regather.cli.get_many import get_all

        return get_all(jobs, args, settings)
    if args.json:
        print(json.dumps({"event": "done", **asdict(report)}))
    elif not args.quiet:
        print(describe(report))
    return 0


def _job_of(args: argparse.Namespace) -> DownloadJob:
    """What the command line names. Raises UsageError."""
    from regather.errors import UsageError
    from regather.sources.jobs import DownloadJob

    if not args.source and not args.fragment:
        raise UsageError(
            "nothing to get",
            help="name a manifest, a metalink, URLs, a list (-i) or fragments (--fragment)",
        )
    return DownloadJob(
        tuple(args.source),
        destination_of(args.output),
        tuple(args.fragment),
        tuple(args.server),
        args.digest,
        args.force,
        checksums_of(args),
        args.location,
        tuple(args.seed),
    )
