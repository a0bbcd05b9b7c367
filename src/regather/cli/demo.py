"""``regather demo``: the whole path, with servers that fail."""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

from regather.cli.documents import print_json
from regather.cli.options import add_output
from regather.cli.page import add_page, download_page
from regather.cli.parsing import Parser
from regather.cli.progress import bytes_progress, download_view
from regather.cli.signals import end_politely
from regather.cli.value_types import rate, size, whole
from regather.errors import InterruptedDownload

SUMMARY = "Show a download while servers fail, on this machine."
EXAMPLES = (
    "regather demo",
    "regather demo --size 200MB --seed 7",
    "regather demo --size 60MB --rate 20MB/s --json",
    "regather demo --page",
)

COMMON = ("--size", "--seed", "--rate", "--dir", "--keep", "--page", "--json", "-q", "-v")


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.value(
        "--size SIZE",
        "download a file of SIZE (default: 500MB, less where space is short)",
        type=size,
    )
    parser.value("--seed N", "repeat the failures of an earlier run", type=whole(0))
    parser.value(
        "--rate RATE",
        "limit each server to RATE (default: 60MB/s; 8MB/s with --page, so that there is time to "
        "watch)",
        type=rate,
    )
    parser.value(
        "--dir DIR",
        "work in DIR (default: a temporary folder); all files are removed at the end",
        type=Path,
    )
    parser.flag("--keep", "keep the files")
    add_output(parser)
    add_page(parser, "the download")


def run(args: argparse.Namespace) -> int:
    """Run the demo."""
    from msgspec.structs import replace

    from regather.cli.get_report import describe, done_line
    from regather.demo import Demo, size_for

    quiet = args.quiet or args.json
    end_politely()  # the servers must not outlive us
    seed = random.randrange(1000) if args.seed is None else args.seed
    if args.dir is not None:
        args.dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="regather-demo-", dir=args.dir))

    def say(line: str) -> None:
        if not quiet:
            print(line, flush=True)

    began = time.monotonic()
    held_to = args.rate or size("60MB" if args.page is None else "8MB")
    try:
        with download_page(args) as page:
            report = Demo(
                folder=folder,
                size=size_for(shutil.disk_usage(folder).free) if args.size is None else args.size,
                seed=seed,
                rate=held_to,
                say=say,
                bars=partial(bytes_progress, quiet=quiet),
                view=download_view(quiet=quiet, as_json=False),
                page=page,
            ).run()
            if page is not None:
                page.finish(f"{done_line(report)} Identical, byte for byte.")
    except InterruptedDownload:
        raise KeyboardInterrupt from None  # nothing is kept of a demo, so do not say so
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    if args.json:
        print_json(report, event="done", identical=True, seed=seed)
        return 0
    say(f"   Identical, byte for byte. {time.monotonic() - began:.1f} s in all.\n")
    say(describe(report if args.keep else replace(report, path=Path(report.path).name)))
    if args.keep:
        say(f"The files are in {folder}")
    return 0
