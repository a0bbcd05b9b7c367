"""``regather info``: what a manifest says."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from regather.cli.documents import print_json
from regather.cli.options import (
    add_logs,
    add_manifest,
    add_reach,
    add_trust,
    settings_of,
    values_of,
)
from regather.cli.parsing import Parser
from regather.coding.set_wording import any_enough
from regather.errors import printable
from regather.units import counted, format_exact, format_size

if TYPE_CHECKING:
    from regather.folder import Entry, Folder

SUMMARY = "Show what a manifest describes."
EXAMPLES = (
    "regather info hosted/large_file.txt.regather.json",
    "regather info hosted/large_file.txt.regather.json --json",
    "regather info https://a.example/d/dataset.regather.json --files",
)

COMMON = ("--files", "--token", "--json", "-v")


def configure(parser: Parser) -> None:
    """Add the arguments."""
    add_manifest(parser)
    parser.flag("--files", "list the content of a folder")
    add_trust(parser)
    add_reach(parser, "server", 3)
    display = parser.section("display")
    display.flag("--json", "print JSON on standard output")
    add_logs(display)


def run(args: argparse.Namespace) -> int:
    """Show it."""
    from regather.manifest import CODE
    from regather.sources.addresses import address_of
    from regather.sources.manifests import load_manifest
    from regather.sources.probing import Prober
    from regather.sources.settings import transport_options, trust_rules

    settings = settings_of(args)
    asking = Prober(transport_options(settings), trust_rules(settings), retries=settings.retries)
    loaded = load_manifest(address_of(args.manifest), asking)
    manifest, signed = loaded.manifest, loaded.signed
    layout = manifest.layout
    fragments = layout.fragments
    coded = {fragments[s.data[0]].set: s for s in layout.sets}
    if args.json:
        found = {
            **values_of(manifest, "name size piece_size digest blake3 sha256 created"),
            "sets": [
                {
                    "set": number,
                    "code": CODE,
                    "k": len(members.data),
                    "m": len(members.parity),
                    "data": [fragments[f].index for f in members.data],
                    "parity": [fragments[f].index for f in members.parity],
                    "rows": members.rows,
                }
                for number, members in coded.items()
            ],
            "fragments": [
                values_of(f, "index name kind size")
                | {"set": f.set or None, "offset": f.offset if f.kind == "data" else None}
                for f in fragments
            ],
            "sources": [
                {"url": s.url, "fragments": None if s.fragments is None else sorted(s.fragments)}
                for s in manifest.sources
            ],
        }
        if signed is not None:
            found["signed"] = {
                "key": signed.by.name,
                "version": signed.comment.version,
                "time": signed.comment.time,
            }
        if manifest.folder is not None:
            found["folder"] = _folder(manifest.folder, full=args.files)
        print_json(**found)
        return 0
    print(f"name    {printable(manifest.name)}\nsize    {format_exact(manifest.size)}")
    if manifest.folder is not None:
        kinds = Counter(entry.kind for entry in manifest.folder.entries)
        print(
            f"folder  {counted(kinds['file'], 'file')}, {format_exact(manifest.folder.size)}; "
            f"{counted(kinds['folder'], 'folder')}, {counted(kinds['link'], 'link')}"
        )
    parity = layout.piece_count - layout.data_pieces
    more = f" and {parity} of parity" if parity else ""
    print(f"pieces  {layout.data_pieces}{more}, of {format_size(manifest.piece_size)}")
    print(f"digest  {manifest.digest}\nblake3  {manifest.blake3 or 'not noted'}")
    print(f"created {printable(manifest.created) or 'not noted'}")
    if signed is not None:
        print(
            f"signed  by key {signed.by.name}, version {signed.comment.version}, "
            f"{signed.comment.when}"
        )
    for number, members in coded.items():
        k, m = len(members.data), len(members.parity)
        print(f"set {number}   {CODE}, {k} + {m}: {any_enough(k, k + m)}")
    for fragment in fragments:
        place = f" at {fragment.offset}" if fragment.kind == "data" else ""
        kind = f", {fragment.kind} of set {fragment.set}" if fragment.set else ""
        print(f"  {printable(fragment.name)}  {counted(fragment.size, 'byte')}{place}{kind}")
    for source in manifest.sources:
        held = ", ".join(map(str, sorted(source.fragments or ()))) or "unknown"
        word = "fragment" if len(source.fragments or ()) == 1 else "fragments"
        print(f"  {source.url}  {word} {held}")
    if manifest.folder is not None and args.files:
        for entry in manifest.folder.entries:
            print(f"  {_line(entry)}")
    return 0


def _folder(folder: Folder, *, full: bool) -> dict[str, object]:
    """What is told of a folder; ``full``: all of it."""
    kinds = Counter(entry.kind for entry in folder.entries)
    told: dict[str, object] = {
        "files": kinds["file"],
        "folders": kinds["folder"],
        "links": kinds["link"],
        "size": folder.size,
    }
    if full:
        import msgspec

        told["entries"] = [msgspec.structs.asdict(entry) for entry in folder.entries]
    return told


def _line(entry: Entry) -> str:
    path = printable(entry.path)
    if entry.kind == "link":
        return f"link             {path} -> {printable(entry.target)}"
    if entry.kind == "folder":
        return f"{entry.mode}              {path}/"
    return f"{entry.mode} {entry.size:>12} {path}"
