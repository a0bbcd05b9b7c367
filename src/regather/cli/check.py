"""``regather check``: whether every fragment is where it should be, and unharmed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from regather.cli import options
from regather.cli.documents import print_json
from regather.cli.parsing import Parser
from regather.cli.progress import bytes_progress
from regather.cli.signals import end_politely
from regather.cli.value_types import share, whole
from regather.cli.wording import losses
from regather.coding.set_wording import any_enough, good_of, needed_more
from regather.errors import printable
from regather.units import counted, format_duration, format_size

if TYPE_CHECKING:
    from regather.upkeep.report import CheckReport, CopyFinding, Lost, SetHealth

SUMMARY = "Check that every fragment is present and intact."
EXAMPLES = (
    "regather check hosted/large_file.txt.regather.json",
    "regather check hosted/large_file.txt.regather.json --read-data 5% --seed 1",
    "regather check https://a.example/d/disk.img.regather.json --read-data",
)
_EXIT = {"healthy": 0, "degraded": 5, "lost": 4}
_MOST_LINES = 200
_MOST_NUMBERS = 8

COMMON = ("--server", "--read-data", "--seed", "--token", "--timeout", "--json", "-q", "-v")


def configure(parser: Parser) -> None:
    """Add the arguments."""
    options.add_manifest(parser)
    options.add_servers(parser, used="only if no other is named")
    parser.value(
        "--read-data SHARE",
        "read and hash every byte, or a random SHARE of the pieces, 0.1 or 10%% (default: "
        "check sizes only)",
        type=share,
        nargs="?",
        const=1.0,
        default=0.0,
    )
    parser.value(
        "--seed N",
        "read the same random pieces as an earlier check (default: others each time)",
        type=whole(0),
    )
    options.add_trust(parser)
    options.add_reach(parser, "source", 2)
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Check."""
    from regather.upkeep.inspection import check

    end_politely()
    quiet = args.quiet or args.json or not args.read_data  # else there is nothing to measure
    with bytes_progress("checking", quiet=quiet) as progress:
        report = check(
            args.manifest,
            servers=args.server,
            **options.values_of(args, "read_data seed"),
            settings=options.settings_of(args),
            on_progress=progress,
        )
    if args.json:
        print_json(report)
    elif not args.quiet:
        print(describe(report))
    return _EXIT[report.status]


def describe(report: CheckReport) -> str:
    """The report for people: a line a copy, a line a set, the verdict last."""
    findings = report.findings
    if len(findings) > _MOST_LINES:
        findings = tuple(f for f in findings if f.state != "ok")
    rows = [(f.source, f.fragment or "(anything)", _state(f)) for f in findings]
    wide = [max((len(row[i]) for row in rows), default=0) for i in range(2)]
    lines = [f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c}" for a, b, c in rows]
    if fine := len(report.findings) - len(findings):
        lines.append(f"and {fine} more that {'is' if fine == 1 else 'are'} ok")
    lines += [f"{name}: no good copy at any source" for name in report.nowhere]
    lines += [_set(health) for health in report.sets]
    lines += lost_lines(report.lost)
    if 0 <= report.survives < report.made_for:
        lines.append(
            f"survives {losses(report.survives, 'source')}; it was made to survive "
            f"{losses(report.made_for, 'source')}"
        )
    lines += [f"note: {note}" for note in report.notes]
    if report.share:
        what = (
            "every piece was"
            if report.share == 1
            else f"{100 * report.share:.4g} % of the pieces were"
        )
        seed = "" if report.share == 1 else f", --seed {report.seed}"
        read = f"{what} read ({format_size(report.read)}{seed})"
    else:
        read = "presence and sizes only, no data was read (--read-data)"
    lines.append(f"{report.name}: {report.status}; {read}, {format_duration(report.seconds)}")
    return "\n".join(map(printable, lines))


def _state(finding: CopyFinding) -> str:
    text = str(finding.state)
    if finding.state == "corrupt":
        plural = "piece" if len(finding.bad) == 1 else "pieces"
        text += f" {plural} {numbers(finding.bad)}"
    if finding.detail:
        text += f" ({finding.detail})"
    return text


def _set(health: SetHealth) -> str:
    every = health.data + health.parity
    who = f"erasure set {health.number}" if health.number else "without parity"
    who += f": {good_of(health.complete, every)}"
    if health.number:
        who += f", {any_enough(health.data)}"
    if not health.recoverable:
        lacking = health.data - health.complete
        enough = f": {needed_more(lacking)}" if lacking > 0 else ""
        return f"{who}; NOT recoverable{enough}"
    if not (health.survives_fragments or health.survives_sources):
        return f"{who}; nothing more can be lost"
    least = "" if health.exact else "at least "
    copies = _further(health.survives_fragments, "copy", "copies")
    sources = _further(health.survives_sources, "source", "sources")
    return f"{who}; {least}{copies} or {least}{sources} can be lost"


def _further(count: int, one: str, many: str) -> str:
    return counted(count, f"more {one}", f"more {many}") if count else f"no {one}"


def lost_lines(lost: tuple[Lost, ...]) -> list[str]:
    """A line for each fragment with pieces that are lost."""
    return [
        f"{item.fragment}: LOST, {'row' if len(item.rows) == 1 else 'rows'} "
        f"{numbers(item.rows, most=10**9)}"
        for item in lost
    ]


def numbers(values: tuple[int, ...], *, most: int = _MOST_NUMBERS) -> str:
    """Rising numbers as people write them: ``0-3, 7``; at most so many runs."""
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][1] == value - 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    shown = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs[:most])
    more = len(values) - sum(b - a + 1 for a, b in runs[:most])
    return f"{shown} and {more} more" if more else shown
