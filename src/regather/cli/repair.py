"""``regather repair``: re-create what is missing or corrupt."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from regather.cli import options
from regather.cli.check import lost_lines
from regather.cli.documents import print_json
from regather.cli.parsing import Parser
from regather.cli.progress import OnBytes, bytes_progress
from regather.cli.secret_keys import add_sign_with, key_of
from regather.cli.signals import end_politely
from regather.errors import printable
from regather.units import counted, format_duration, format_size

if TYPE_CHECKING:
    from regather.upkeep.report import RepairReport
    from regather.upkeep.restoration import OnPhase

SUMMARY = "Restore missing and corrupt fragments."
EXAMPLES = (
    "regather repair hosted/large_file.txt.regather.json",
    "regather repair https://a.example/d/disk.img.regather.json --token a.example=token.txt",
    "regather repair disk.img.regather.json --to https://new.example/d --token new.example=t.txt",
)
_EXIT = {"healthy": 0, "incomplete": 1, "lost": 4}

COMMON = ("--server", "--to", "-n", "--quick", "--temp", "--token", "--retries", "--json", "-q")


def configure(parser: Parser) -> None:
    """Add the arguments."""
    options.add_manifest(parser)
    options.add_servers(parser, used="only if no other is named")
    parser.section("targets").many(
        "--to TARGET",
        "store fragments here if their own source is gone or accepts no files; repeatable. It "
        "is a URL, HOST:PORT or folder",
    )
    parser.flag("--quick", "trust copies of the right size; do not read every byte first")
    parser.value(
        "--temp DIR",
        "rebuild fragments in DIR, which needs room for one (default: the system's folder of "
        "temporary files)",
        type=Path,
    )
    options.add_dry_run(
        parser.section("targets"), "what would be restored, from where and to where"
    )
    options.add_trust(parser)
    add_sign_with(parser, "a changed manifest")
    options.add_reach(parser, "source", 2)
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Repair."""
    from regather.upkeep.restoration import repair

    end_politely()
    with _phases(quiet=args.quiet or args.json) as progress:
        report = repair(
            args.manifest,
            servers=args.server,
            **options.values_of(args, "to quick temp dry_run"),
            sign_with=key_of(args),
            settings=options.settings_of(args),
            on_progress=progress,
        )
    if args.json:
        print_json(report)
    elif not args.quiet:
        print(describe(report))
    return _EXIT[report.status]


@contextlib.contextmanager
def _phases(*, quiet: bool) -> Iterator[OnPhase | None]:
    """A progress bar for one phase after the other."""
    if quiet:
        yield None
        return
    with contextlib.ExitStack() as stack:
        shown = ""
        bar: OnBytes | None = None

        def show(phase: str, done: int, total: int) -> None:
            nonlocal shown, bar
            if phase != shown:
                stack.close()
                shown, bar = phase, stack.enter_context(bytes_progress(phase, quiet=False))
            if bar is not None:
                bar(done, total)

        yield show


def describe(report: RepairReport) -> str:
    """The report for people: a line a fragment, the verdict last."""
    lines = []
    done = "would be restored" if report.dry_run else "restored"
    for item in report.restored:
        moved = f" instead of {item.moved_from}" if item.moved_from else ""
        if report.dry_run:
            moved += f", {format_size(item.size)} {_origin(report, item.fragment)}"
        lines.append(f"{item.fragment}: {done} at {item.source}{moved}")
    lines += [f"manifest written: {where}" for where in report.manifests]
    lines += [f"note: {note}" for note in report.notes]
    for gap in report.unwritten:
        lines.append(f"{gap.name or 'anything'} at {gap.source}: NOT repaired ({gap.detail})")
    lines += lost_lines(report.lost)
    size = sum(item.size for item in report.restored)
    did = f"{counted(len(report.restored), 'fragment')} {done}, {format_size(size)}"
    if report.decoded:
        did += f", {counted(report.decoded, 'piece')} computed from parity"
    more = ""
    if report.status == "incomplete":
        more = "; the same command resumes; if a source is gone for good, add --to TARGET"
    took = format_duration(report.seconds)
    lines.append(f"{report.before.name}: {report.status}; {did}, {took}{more}")
    return "\n".join(map(printable, lines))


def _origin(report: RepairReport, fragment: str) -> str:
    """Where the bytes of a fragment would come from."""
    good = [f.source for f in report.before.findings if (f.fragment, f.state) == (fragment, "ok")]
    return f"from {good[0]}" if good else "from good pieces and parity"
