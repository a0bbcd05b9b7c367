"""``regather split``: fragments and their manifest."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regather.cli import options
from regather.cli.documents import print_json
from regather.cli.options import values_of
from regather.cli.parsing import Parser
from regather.cli.progress import bytes_progress
from regather.cli.secret_keys import add_sign_with, key_of
from regather.cli.signals import end_politely
from regather.cli.value_types import whole
from regather.cli.wording import losses
from regather.tasks import interrupts_held
from regather.units import counted, format_exact, format_rate

if TYPE_CHECKING:
    from regather.coding.survival import Survival
    from regather.manifest import Manifest

SUMMARY = "Split a file or folder into fragments, with a manifest."
EXAMPLES = (
    "regather split large_file.txt --out fragments",
    "regather split large_file.txt --out fragments --chunk-size 10MB",
    "regather split large_file.txt --out hosted --servers 3 --replicas 2",
    "regather split large_file.txt --out hosted --fragments 4 --parity 2 --servers 6",
    "regather split dataset --out hosted --servers 3 --fragments 2 --parity 1",
    "regather split disk.img --out hosted --servers 2 --at https://a.example/d --at https://b.example/d",
)

COMMON = (
    *("--out", "--fragments", "--chunk-size", "--parity", "--servers", "--replicas", "--at"),
    *("--sha256", "--force", "--json"),
)


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the file or folder to split")
    output = parser.section("output")
    output.value("-o, --out DIR", "write to this folder", type=Path, required=True)
    options.add_geometry(parser, default="3; with --servers N and --parity M: N - M")
    output.value(
        "--servers N",
        "make a folder for each of N servers, DIR/server1/ to DIR/serverN/ (default: put all "
        "fragments into DIR)",
        type=whole(1),
    )
    options.add_spread(parser, "output", "put each fragment on", "write nothing", "server")
    output.many(
        "--at URL",
        "note the URL at which a server will host its folder; once for each server, in order",
    )
    parser.section("verification").flag(
        "--sha256", "add the SHA-256 of the whole file to the manifest"
    )
    add_sign_with(parser)
    options.add_force(
        output,
        "replace an earlier split in DIR, including unused folders of servers; "
        "split even if --survive is not met",
    )
    output.flag("--no-sync", "do not wait for the disk before the files get their names")
    options.add_follow_links(parser)
    options.add_output(parser, verbose="")


def run(args: argparse.Namespace) -> int:
    """Split the file."""
    from regather.coding.placement import crowding, spread
    from regather.coding.survival import survival
    from regather.names import MANIFEST_SUFFIX, suffixed
    from regather.splitter import split

    # A polite kill leaves as little behind as Ctrl-C.
    end_politely()
    key = key_of(args)
    began = time.monotonic()
    quiet = args.quiet or args.json
    with (
        interrupts_held() as interrupts,
        bytes_progress(f"splitting {args.file.name or args.file}", quiet=quiet) as progress,
    ):
        manifest = split(
            args.file,
            args.out,
            **values_of(args, options.LAYOUT + "servers at sha256"),
            sync=not args.no_sync,
            sign_with=key,
            on_progress=progress,
        )
        interrupts.forget()  # all is there
    seconds = max(time.monotonic() - began, 1e-9)
    path = args.out / suffixed(manifest.name, MANIFEST_SUFFIX)
    layout = manifest.layout
    copies = spread(layout, args.servers or 1, args.replicas)
    survived = survival(layout, copies)
    if args.servers and (crowded := crowding(layout, copies, args.servers, "server")):
        options.warn(crowded)
    if args.json:
        survives: dict[str, Any] = {}
        if args.servers:
            survives = {"survives": survived.failures, "exact": survived.exact}
        print_json(
            manifest=str(path),
            **values_of(manifest, "digest blake3 size piece_size"),
            fragments=[values_of(f, "name size kind") for f in manifest.fragments],
            seconds=seconds,
            **survives,
        )
    elif not args.quiet:
        print(_described(args, manifest, survived, seconds), end="")
        print(f"Manifest: {path}\nDigest:   {manifest.digest}")
    return 0


def _described(
    args: argparse.Namespace, manifest: Manifest, survived: Survival, seconds: float
) -> str:
    parity = sum(f.kind == "parity" for f in manifest.fragments)
    count = counted(len(manifest.fragments) - parity, "fragment")
    count += f" and {parity} of parity" if parity else ""
    where = f" in {counted(args.servers, 'server folder')}" if args.servers else ""
    text = (
        f"Split {args.file}: {format_exact(manifest.size)} into {count}"
        f"{where}, {seconds:.2f} s, {format_rate(manifest.size / seconds)}\n"
    )
    if args.servers:
        text += f"Survives: {losses(survived.failures, 'server', exact=survived.exact)}\n"
    return text
