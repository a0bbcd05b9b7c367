"""``regather sign``: a signature beside a manifest."""

from __future__ import annotations

import argparse

from regather.cli.documents import print_json
from regather.cli.parsing import Parser
from regather.cli.secret_keys import add_password, read_key
from regather.cli.value_types import whole
from regather.errors import printable

SUMMARY = "Sign a manifest, for readers with --trust."
EXAMPLES = (
    "regather keygen",
    "regather sign hosted/large_file.txt.regather.json --secret-key regather.key",
    "regather sign hosted/*.regather.json hosted/server*/*.regather.json --file-version 2",
)
COMMON = ("--secret-key", "--password-file", "--file-version")


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "file",
        nargs="+",
        metavar="MANIFEST",
        help="a manifest; MANIFEST.minisig is written beside it",
    )
    group = parser.section("verification")
    group.value(
        "-s, --secret-key FILE",
        "sign with the secret key in FILE (default: regather.key)",
        default="regather.key",
    )
    add_password(parser)
    group.value(
        "--file-version N",
        "the version of the file; readers refuse a lower one afterwards (default: the time, in "
        "seconds since 1970)",
        type=whole(0, limit=2**53),
    )
    display = parser.section("display")
    display.flag("--json", "print JSON on standard output")
    display.flag("-q, --quiet", "show no report")


def run(args: argparse.Namespace) -> int:
    """Sign it."""
    from regather.sources.signing import sign_file

    key = read_key(args.secret_key, args.password_file)
    for path in args.file:
        place, said = sign_file(path, key, args.file_version)
        if args.json:
            print_json(
                signature=str(place),
                key=key.public.name,
                version=said.version,
                digest=said.digest,
                time=said.time,
            )
        elif not args.quiet:
            print(printable(f"Signed: {place}, version {said.version}"))
    return 0
