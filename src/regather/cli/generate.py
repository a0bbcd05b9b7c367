"""``regather generate``: a large file of repeating English text."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from regather.cli.documents import print_json
from regather.cli.options import add_force, add_mkdir, add_output
from regather.cli.output_path import check_parent
from regather.cli.parsing import Parser
from regather.cli.progress import bytes_progress
from regather.cli.signals import end_politely
from regather.cli.value_types import size, whole
from regather.units import format_exact, format_rate

SUMMARY = "Write a large test file of English text."
EXAMPLES = (
    "regather generate large_file.txt --size 100MB",
    "regather generate other.txt --size 1GiB --seed 7",
    "regather generate - --size 100MB | sha256sum",
)


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "path", type=Path, metavar="PATH", help="write to this file; - is standard output"
    )
    parser.value(
        "--size",
        "write SIZE bytes: 500KB, 100MB (10^6), 1GiB (2^30) (default: 100MB)",
        type=size,
        default=size("100MB"),
    )
    parser.value("--seed N", "choose another text (default: 0)", type=whole(0), default=0)
    add_force(parser, "replace an existing file")
    add_mkdir(parser)
    add_output(parser, verbose="")


def run(args: argparse.Namespace) -> int:
    """Generate the file."""
    from regather.generator import generate, passages

    # A polite kill leaves as little behind as Ctrl-C.
    end_politely()
    began = time.monotonic()
    if str(args.path) == "-":
        for passage in passages(args.size, args.seed):
            sys.stdout.buffer.write(passage)
        sys.stdout.buffer.flush()
        return 0
    check_parent(args.path, mkdir=args.mkdir)
    with bytes_progress(f"writing {args.path.name}", quiet=args.quiet or args.json) as progress:
        generate(args.path, args.size, seed=args.seed, force=args.force, on_progress=progress)
    seconds = max(time.monotonic() - began, 1e-9)
    if args.json:
        print_json(path=str(args.path), size=args.size, seconds=seconds)
    elif not args.quiet:
        rate = format_rate(args.size / seconds)
        print(f"Wrote {args.path}: {format_exact(args.size)} in {seconds:.2f} s, {rate}")
    return 0
