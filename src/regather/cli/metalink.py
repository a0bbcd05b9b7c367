"""``regather metalink``: a manifest as a Metalink, for the clients of others."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from regather.cli.options import add_reach, add_servers, settings_of
from regather.cli.progress import bytes_progress
from regather.errors import reason

SUMMARY = "Write a metalink for aria2 and other tools."
EXAMPLES = (
    "regather metalink hosted/disk.img.regather.json --mirror https://a.example/disk.img \\",
    "    --file disk.img > disk.img.meta4",
    "regather metalink https://a.example/d/disk.img.regather.json -o fragments.meta4",
)

COMMON = ("--mirror", "--fragments", "--file", "--server", "-o", "--force", "-q", "--token")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("manifest", metavar="MANIFEST", help="its path or URL")
    parser.add_argument(
        "--mirror",
        action="append",
        default=[],
        metavar="URL",
        help="where the whole file is hosted, the best first; repeat for more. Without any, each "
        "fragment is a file of its own in the metalink",
    )
    parser.add_argument(
        "--fragments", action="store_true", help="describe the fragments although there are mirrors"
    )
    parser.add_argument(
        "--file", metavar="FILE", help="the file itself, to hash; else the fragments are read"
    )
    add_servers(parser, used="read")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write to (default: standard output)"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    add_reach(parser, "source", 5)


def run(args: argparse.Namespace) -> int:
    """Write it."""
    from regather.exporter import export_metalink
    from regather.store import check_destination

    if args.output is not None:
        check_destination(Path(args.output), force=args.force)
    with bytes_progress("hashing", quiet=args.quiet) as on_progress:
        document = export_metalink(
            args.manifest,
            mirrors=args.mirror,
            servers=args.server,
            file=args.file,
            fragments=args.fragments,
            settings=settings_of(args),
            on_progress=on_progress,
        )
    if args.output is None:
        sys.stdout.buffer.write(document)
        sys.stdout.buffer.flush()
    else:
        _write(Path(args.output), document, force=args.force)
    return 0


def _write(path: Path, document: bytes, *, force: bool) -> None:
    from regather.errors import StorageError
    from regather.files.atomic import write_file

    try:
        write_file(path, document, replace=force)
    except OSError as error:
        raise StorageError(f"{path}: {reason(error).lower()}") from error
