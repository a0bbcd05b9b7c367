"""``regather info``: what a manifest says."""

from __future__ import annotations

import argparse
import json

from regather.errors import printable
from regather.units import format_exact, format_size

SUMMARY = "Show what a manifest says: the file, its fragments, where they are."
EXAMPLES = ("regather info hosted/large_file.txt.regather.json",)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("manifest", metavar="MANIFEST", help="path or URL")
    parser.add_argument("--json", action="store_true", help="print JSON on standard output")


def run(args: argparse.Namespace) -> int:
    """Show it."""
    from regather.client.asking import Asking
    from regather.client.resolve import load_manifest
    from regather.transport import Credentials, HttpOptions

    asking = Asking(HttpOptions(credentials=Credentials.gather()))
    manifest, _ = load_manifest(args.manifest, asking)
    if args.json:
        found = {
            "name": manifest.name,
            "size": manifest.size,
            "piece_size": manifest.piece_size,
            "digest": manifest.digest,
            "blake3": manifest.blake3,
            "sha256": manifest.sha256,
            "created": manifest.created,
            "fragments": [
                {"index": f.index, "name": f.name, "offset": f.offset, "size": f.size}
                for f in manifest.fragments
            ],
            "sources": [
                {"url": s.url, "fragments": None if s.fragments is None else sorted(s.fragments)}
                for s in manifest.sources
            ],
        }
        print(json.dumps(found))
        return 0
    pieces = manifest.layout.piece_count
    print(f"name    {manifest.name}\nsize    {format_exact(manifest.size)}")
    print(f"pieces  {pieces} of {format_size(manifest.piece_size)}\ndigest  {manifest.digest}")
    print(f"blake3  {manifest.blake3 or 'not noted'}")
    print(f"created {printable(manifest.created) or 'not noted'}")
    for fragment in manifest.fragments:
        print(f"  {fragment.name}  {fragment.size} bytes at {fragment.offset}")
    for source in manifest.sources:
        held = ", ".join(map(str, sorted(source.fragments or ()))) or "unknown"
        print(f"  {source.url}  fragments {held}")
    return 0
