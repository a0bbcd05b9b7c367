"""``regather publish``: fragments and manifest to where they are hosted."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from regather.cli import options
from regather.cli.documents import print_json
from regather.cli.parsing import Parser
from regather.cli.progress import bytes_progress
from regather.cli.secret_keys import add_sign_with, key_of
from regather.cli.signals import end_politely
from regather.cli.wording import losses
from regather.errors import printable
from regather.schemes import STORES, scheme_of
from regather.units import counted, format_duration, format_rate, format_size

if TYPE_CHECKING:
    from regather.publisher import PublishReport

SUMMARY = "Store a file or folder on several servers, some of which can fail."
EXAMPLES = (
    "regather publish large_file.txt --to disk1 --to disk2 --to disk3 --parity 1",
    "regather publish disk.img --to https://a.example/d --to https://b.example/d --replicas 2 \\",
    "    --token a.example=a.token --token b.example=b.token",
    "regather publish disk.img --to s3://one/d --to s3://two/d --to s3://three/d --parity 1",
    "regather publish dataset --to a.example:8001 --to b.example:8001 --replicas 2",
)

COMMON = (
    *("--to", "--parity", "--replicas", "--fragments", "--chunk-size", "--survive", "--force"),
    *("-n", "--limit-rate", "--token"),
)


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the file or folder to publish")
    targets = parser.section("targets")
    targets.many(
        "--to TARGET",
        "store at this target; repeatable. It is the URL or HOST:PORT of a server that "
        "accepts files, s3://BUCKET/PREFIX, or a folder (./NAME if it looks like a host)",
        required=True,
    )
    options.add_geometry(parser, default="one for each target, including parity")
    options.add_spread(parser, "targets", "store each fragment at", "send nothing", "target")
    options.add_force(
        targets, "replace different files at the targets, and publish even if --survive is not met"
    )
    options.add_dry_run(targets, "what would be sent to which target")
    options.add_follow_links(parser)
    options.add_pace(parser, "target", 2, "; 4 at most")
    options.add_trust(parser, required=False)
    add_sign_with(parser)
    options.add_reach(parser, "target", 5)
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Publish the file."""
    from regather.publisher import publish
    from regather.transport.objects.store_options import for_readers

    # A polite kill leaves the same resumable state as Ctrl-C.
    end_politely()
    key = key_of(args)
    with bytes_progress(
        f"publishing {args.file.name or args.file}", quiet=args.quiet or args.json
    ) as progress:
        report = publish(
            args.file,
            args.to,
            **options.values_of(args, options.LAYOUT + "dry_run"),
            sign_with=key,
            settings=options.settings_of(args),
            on_progress=progress,
        )
    words = list(report.command)
    if key is not None:
        words += ["--trust", key.public.line]
    urls = [target.url for target in report.targets]
    for option in for_readers(args.store_option, urls):
        words += ["--store-option", option]
    if args.cacert and any(scheme_of(url) in STORES | {"https"} for url in urls):
        words += ["--cacert", args.cacert]
    # No --token: the tokens of this command may write, and their files are on this machine. Who
    # reads needs none, or one that may only read.
    if args.json:
        print_json(report, command=shlex.join(words))
        return 0
    for line in report.warnings:
        options.warn(line)
    if args.quiet:
        return 0
    print(_described(args.file, report))
    if report.dry_run:
        return 0
    print(f"Get it with:\n  {shlex.join(words)}")
    if args.token and any(map(scheme_of, report.manifests)):
        print(
            "If a server requires a token for reading, give readers a read token for\n"
            "--token HOST=FILE. Never give them the token for writing."
        )
    return 0


def _described(file: Path, report: PublishReport) -> str:
    """The report for people: what is, or would be, published, and a line a target."""
    held = "" if report.files is None else f"{counted(report.files, 'file')}, "
    sent = f"{format_size(report.uploaded)} to {counted(len(report.targets), 'target')}"
    there = f"{format_size(report.present)} already stored" if report.present else ""
    if report.dry_run:
        line = f"Would publish {file}: {held}{sent}" + f"; {there}" * bool(there)
    else:
        rate = format_rate(report.uploaded / max(report.seconds, 1e-9))
        line = f"Published {file}: {held}{sent}, {format_duration(report.seconds)}, {rate}"
        line += f" ({there})" * bool(there)
    lines = [line]
    for target in report.targets:
        if report.dry_run:
            size = format_size(target.uploaded) if target.uploaded else target.error or "nothing"
            lines.append(f"  {target.url}  {size}  {', '.join(target.fragments)}".rstrip())
        else:
            state = "" if target.state == "complete" else f" [{target.state}]"
            lines.append(f"  {target.url}  {counted(len(target.fragments), 'fragment')}{state}")
    lines.append(f"Survives: {losses(report.survives, 'target', exact=report.exact)}")
    lines += [f"Manifest: {report.manifests[0]}", f"Digest:   {report.digest}"]
    return "\n".join(map(printable, lines))
