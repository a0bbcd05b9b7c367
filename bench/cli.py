"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import bench
from bench import (
    coding,
    degraded,
    faults,
    gateway,
    growth,
    limit,
    memory,
    network,
    pipe,
    splitting,
    transfer,
)
from bench import stores as object_stores
from bench.goals import goal_table
from bench.machine import describe
from bench.model import GIB, Result, Section
from bench.process import ROOT, compile_modules
from bench.report import as_json, as_markdown, as_text
from bench.rounds import SLOW_RUNS, Bench
from bench.scratch import NoSpace, Scratch
from bench.tools import PEERS, find_tools
from regather.errors import UsageError
from regather.units import format_size, parse_size

_FILE_NAMES = (
    transfer.NAMES
    | splitting.NAMES
    | faults.NAMES
    | degraded.NAMES
    | pipe.NAMES
    | gateway.NAMES
    | network.NAMES
    | limit.NAMES
    | object_stores.NAMES
)
_NAMES = _FILE_NAMES | coding.NAMES | growth.NAMES | memory.NAMES
_ROOM = 5
"""Memory needed at the worst moment, in file sizes: original, two copies, output, one to spare."""


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _sizes(text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    return tuple(_size(one) for one in text.split(","))


def _runs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError("a number from 1 to 100")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    names = "\n".join(f"  {group}: {', '.join(rows)}" for group, rows in _NAMES.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=bench.__doc__,
        epilog=f"groups and their rows, for --only (* and ? are wildcards):\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--size", type=_size, default=GIB, help="of the file (default 1GiB)")
    parser.add_argument("--runs", type=_runs, default=5, help="that count (default 5)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="rows or groups")
    parser.add_argument(
        "--scaling",
        type=_sizes,
        default=(GIB, 4 * GIB, 16 * GIB),
        metavar="SIZES",
        help="of the growing files, with commas, or none (default 1GiB,4GiB,16GiB)",
    )
    parser.add_argument(
        "--coded",
        type=_sizes,
        default=(GIB,),
        metavar="SIZES",
        help="of the files whose memory with parity is measured, or none (default 1GiB)",
    )
    parser.add_argument(
        "--dir", type=Path, default=ROOT / "bench" / "out", help="a folder on a disk (bench/out)"
    )
    out = ROOT / "bench" / "out"
    parser.add_argument(
        "--markdown",
        type=Path,
        default=out / "record.md",
        metavar="FILE",
        help="write the tables there too, after each group (default bench/out/record.md)",
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=out / "record.json",
        metavar="FILE",
        help="write every run there too (default bench/out/record.json)",
    )
    return parser


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; return 0, or 1 where a row failed or its output was wrong."""
    parser = _parser()
    args = parser.parse_args(argv)
    names = {group: [group, *rows] for group, rows in _NAMES.items()}
    wanted = Bench(
        size=args.size,
        runs=args.runs,
        only=tuple(args.only),
        scaling=args.scaling,
        coded=args.coded,
        scratch=Scratch(args.dir, memory_needed=0, disk_needed=0),
        tools={},
    )
    if not wanted.wants_any(names):
        parser.error(f"--only: no such row or group: {' '.join(args.only)}")
    if args.size < 1:
        parser.error("--size: an empty file has no speed")
    signal.signal(signal.SIGTERM, _end)
    compile_modules()
    on_disk = {transfer.DISK: transfer.NAMES[transfer.DISK]}
    scratch = Scratch(
        args.dir,
        memory_needed=_ROOM * args.size if wanted.wants_any(_FILE_NAMES) else 0,
        disk_needed=args.size if wanted.wants_any(on_disk) else 0,
    )
    try:
        with scratch:
            return _run(args, scratch)
    except NoSpace as error:
        print(f"bench: {error}: choose a smaller --size", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace, scratch: Scratch) -> int:
    tools = find_tools()
    context = Bench(
        size=args.size,
        runs=args.runs,
        only=tuple(args.only),
        scaling=args.scaling,
        coded=args.coded,
        scratch=scratch,
        tools=tools,
    )
    machine = describe(scratch, tools)
    missing = [name for name in ("regather", *PEERS) if name not in tools]
    notes = list(scratch.notes)
    if missing:
        notes.append(f"Not installed, so left out: {', '.join(missing)}.")
    sections: list[Section] = []
    groups = (
        transfer.transfers,
        splitting.splits,
        coding.coding,
        degraded.degraded,
        pipe.pipe,
        gateway.gateway,
        faults.faults,
        network.network,
        limit.limits,
        object_stores.stores,
        growth.growth,
        memory.memory,
    )
    notes.append(
        f"File of {format_size(args.size)}; medians of {args.runs} runs after one to warm up, all "
        f"rows of a table in turn; {SLOW_RUNS} runs of growth, links, limits and stores. CPU is "
        "user and system time of the client; every output was compared byte for byte."
    )
    began = time.monotonic()
    for group in groups:
        try:
            sections += group(context)
        except Exception as error:  # the other tables are not lost for it
            traceback.print_exc()
            failure = Result(group.__name__, "", problem=f"FAILED: {error!r}")
            sections.append(Section(group.__name__, [""], notes=[str(error)], results=[failure]))
        _write(args, machine, [*sections, goal_table(sections)], notes)
    notes.append(f"All of it took {(time.monotonic() - began) / 60:.0f} minutes.")
    sections.append(goal_table(sections))
    _write(args, machine, sections, notes)
    print(as_text(machine, sections, notes), end="")
    return int(any(result.problem for section in sections for result in section.results))


def _write(
    args: argparse.Namespace,
    machine: Sequence[tuple[str, str]],
    sections: Sequence[Section],
    notes: Sequence[str],
) -> None:
    for path, write in ((args.markdown, as_markdown), (args.json, as_json)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(write(machine, sections, notes), encoding="utf-8")
