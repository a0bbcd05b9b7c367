"""``regather metalink``: a manifest as a Metalink, for the clients of others."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from regather.cli import options
from regather.cli.output_path import check_parent
from regather.cli.parsing import Parser
from regather.cli.progress import bytes_progress
from regather.errors import StorageError, system_errors

SUMMARY = "Write a metalink for aria2 and other tools."
EXAMPLES = (
    "regather metalink hosted/large_file.txt.regather.json --file large_file.txt \\",
    "    --mirror https://a.example/large_file.txt > large_file.txt.meta4",
    "regather metalink disk.img.regather.json --server https://a.example/d -o fragments.meta4",
    "regather metalink https://a.example/d/disk.img.regather.json -o disk.img.meta4",
)

COMMON = ("--mirror", "--fragments", "--file", "--server", "-o", "--force", "-q", "--token")


def configure(parser: Parser) -> None:
    """Add the arguments."""
    options.add_manifest(parser)
    sources = parser.section("sources")
    sources.many(
        "--mirror URL",
        "add the URL of the whole file, the best first; repeatable. Without a mirror, the "
        "metalink lists each data fragment as a file",
    )
    sources.value("--file FILE", "hash this file (default: read the fragments)")
    options.add_servers(parser, used="only if no other is named")
    output = parser.section("output")
    output.flag("--fragments", "list the data fragments despite --mirror")
    output.value(
        "-o, --output FILE", "write to FILE; - is standard output (default: standard output)"
    )
    options.add_force(output, "replace an existing file")
    options.add_mkdir(output)
    options.add_trust(parser)
    options.add_reach(parser, "source", 5)
    display = parser.section("display")
    display.flag("-q, --quiet", "show no progress")
    options.add_color(display)
    options.add_logs(display)


def run(args: argparse.Namespace) -> int:
    """Write it."""
    from regather.exporter import export_metalink
    from regather.files.atomic import write_file
    from regather.store import check_destination

    output = None if args.output == "-" else args.output
    if output is not None:
        check_parent(Path(output), mkdir=args.mkdir)
        check_destination(Path(output), force=args.force)
    with bytes_progress("hashing", quiet=args.quiet) as on_progress:
        document = export_metalink(
            args.manifest,
            mirrors=args.mirror,
            servers=args.server,
            **options.values_of(args, "file fragments"),
            settings=options.settings_of(args),
            on_progress=on_progress,
        )
    if output is None:
        sys.stdout.buffer.write(document)
        sys.stdout.buffer.flush()
    else:
        with system_errors(StorageError, output):
            write_file(Path(output), document, replace=args.force)
    return 0
