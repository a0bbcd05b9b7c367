"""``regather get``: download and recombine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from regather.cli import options
from regather.cli.documents import print_json
from regather.cli.get_report import describe, done_line, with_notes
from regather.cli.logs import both, source_log
from regather.cli.output_path import destination_of
from regather.cli.page import add_page, download_page
from regather.cli.parsing import Parser
from regather.cli.progress import download_view
from regather.cli.signals import end_politely
from regather.cli.standard_streams import STANDARD_OUTPUT
from regather.cli.value_types import size, whole
from regather.errors import UsageError

if TYPE_CHECKING:
    from regather.downloader.live import WatchedDownloads
    from regather.sources.jobs import DownloadJob
    from regather.sources.settings import Settings

SUMMARY = "Download a file or folder from several sources at once, verified."
EXAMPLES = (
    "regather get hosted/large_file.txt.regather.json -o copy.txt",
    "regather get https://a.example/d/disk.img.regather.json",
    "regather get https://a.example/disk.img https://b.example/pub/disk.img",
    "regather get hosted/large_file.txt.regather.json \\",
    "    --server 127.0.0.1:9001 --server 127.0.0.1:9002 --server 127.0.0.1:9003 -o copy.txt",
    "regather get --fragment 127.0.0.1:9001/file_fragment_1.dat \\",
    "    --fragment 127.0.0.1:9002/file_fragment_2.dat    # plain, unverified",
    "regather get https://download.example/disk.img.meta4",
    "regather get ftp://ftp.example/disk.img sftp://ann@b.example/srv/disk.img --sha256 HEX",
    "regather get https://a.example/d/dataset.regather.json -o dataset",
    "regather get https://a.example/d/dataset.regather.json -o - | tar x",
    "regather get -i list.txt -o downloads",
    "regather get https://a.example/d/disk.img.regather.json --page 8080",
    "regather get s3://bucket/d/disk.img.regather.json",
    "regather get s3://bucket/disk.img --store-option endpoint=http://127.0.0.1:9000",
)

COMMON = (
    *("-o", "-i", "--server", "--force", "--select", "--digest", "--sha256"),
    *("--trust", "--token", "--page"),
)


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "source",
        nargs="*",
        metavar="SOURCE",
        help="a manifest or metalink (path, URL or - for standard input), the URL of a file, or "
        "the URLs of several mirrors of it, or of the same manifest",
    )
    sources = parser.section("sources")
    sources.value(
        "-i, --input LIST",
        "download every file in LIST; - is standard input. Each line has the URLs of one "
        "file; lines below it that begin with a space can set out=NAME, checksum=ALGO=HEX and "
        "digest=HEX",
    )
    options.add_servers(parser, used="too; if others are named, it is used last")
    sources.many(
        "--fragment URL",
        "without a manifest: add a plain fragment, in order, not verified; repeatable. With a "
        "manifest: add the URL of one of its fragments",
    )
    sources.value(
        "--location CC", "prefer the mirrors of a metalink in country CC, like de", default=""
    )
    output = parser.section("output")
    output.value(
        "-o, --output DEST",
        "write to this file or folder (default: the name of the file, here). If DEST ends in "
        "/ or is a folder, the file goes into it under its own name. Plain fragments become "
        "recombined_large_file.dat. A published folder becomes DEST itself. - is standard output: "
        "the file comes in order, each piece verified before it is written; a folder comes as tar",
    )
    options.add_force(output, "replace an existing file, or files of a folder that differ")
    output.many(
        "--select NAME",
        "get only this file of a metalink or folder; repeatable. In a folder, NAME may also "
        "be a folder or a pattern with *",
    )
    options.add_mkdir(output)
    output.many(
        "--exclude NAME",
        "leave out this file of a metalink or folder; repeatable. NAME is as for --select",
    )
    options.add_dry_run(output, "what would be downloaded, from where and to where")
    output.value(
        "-j, --jobs N",
        "download N files of a list at the same time (default: 2)",
        type=whole(1),
        default=2,
    )
    output.value(
        "--spool SIZE",
        "with -o -: let pieces up to SIZE wait on the disk (TMPDIR) in place of memory, "
        "so that servers with later fragments work ahead. Files without piece hashes are "
        "received whole in it first (default: no file)",
        type=size,
        default=0,
    )
    output.flag("--no-sync", "do not wait for the disk before the file gets its name")
    output.many(
        "--seed PATH",
        "take unchanged pieces from PATH, an older version of the file or folder; repeatable. "
        "With --force, the replaced file is used in the same way",
    )
    parser.section("verification").value(
        "--digest HEX",
        "require this digest of the file (split, publish and info print it)",
        default="",
    )
    options.add_checksums(parser)
    options.add_trust(parser)
    options.add_pace(parser, "source", 8)
    options.add_reach(parser, "source", 5, "; before the download, at most 3 if it is the only one")
    options.add_output(parser, verbose=options.RATES)
    add_page(parser, "the download")


def run(args: argparse.Namespace) -> int:
    """Download."""
    # A polite kill leaves the same resumable state as Ctrl-C.
    end_politely()
    settings = options.settings_of(args)
    if args.output == STANDARD_OUTPUT:
        from regather.cli.get_stream import check_output, get_to_output

        check_output(args)
        return get_to_output(args, settings, job_of(args))
    if args.spool:
        raise UsageError("--spool is for -o - only", help="leave it out, or use -o -")
    if args.dry_run:
        from regather.cli.get_many import jobs_in_list
        from regather.cli.get_preview import preview_all

        jobs = jobs_in_list(args) if args.input is not None else [job_of(args)]
        return preview_all(args, settings, jobs)
    with download_page(args) as page:
        return _download(args, settings, page)


def _download(args: argparse.Namespace, settings: Settings, page: WatchedDownloads | None) -> int:
    if args.input is not None:
        from regather.cli.get_many import get_all, jobs_in_list

        return get_all(jobs_in_list(args), args, settings, page)
    from regather.downloader.job_runner import JobRunner

    job = job_of(args)
    with download_view(quiet=args.quiet, as_json=args.json) as shown, source_log() as log:
        noted = shown if args.quiet else with_notes(shown)
        on_progress = both(both(noted, log), None if page is None else page.progress)
        runner = JobRunner(settings, on_progress=on_progress, watcher=page)
        jobs = runner.expand(job)
        report = runner.run(jobs[0]) if len(jobs) == 1 else None
    if report is None:
        from regather.cli.get_many import get_all

        return get_all(jobs, args, settings, page)
    if page is not None:
        page.finish(done_line(report))
    if args.json:
        print_json(report, event="done")
    elif not args.quiet:
        print(describe(report))
    return 0


def job_of(args: argparse.Namespace) -> DownloadJob:
    """What the command line names. Raises UsageError."""
    from regather.sources.jobs import DownloadJob

    if not args.source and not args.fragment:
        raise UsageError(
            "nothing to get",
            help="name a manifest, a metalink, URLs, a list (-i) or fragments (--fragment)",
        )
    return DownloadJob(
        tuple(args.source),
        destination_of(args.output, mkdir=args.mkdir, dry=args.dry_run),
        tuple(args.fragment),
        tuple(args.server),
        args.digest,
        args.force,
        options.checksums_of(args),
        args.location,
        tuple(args.seed),
        tuple(args.select),
        tuple(args.exclude),
    )
