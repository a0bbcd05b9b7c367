"""``regather keygen``: a pair of keys for signed manifests."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from regather.cli import options
from regather.cli.documents import print_json
from regather.cli.parsing import Parser
from regather.cli.secret_keys import add_password, password
from regather.errors import DestinationExistsError, StorageError, UsageError, system_errors

SUMMARY = "Make a key to sign manifests with."
EXAMPLES = (
    "regather keygen",
    "regather keygen --secret-key release.key --public-key release.pub",
    "regather keygen --no-password --force --json",
)
COMMON = ("--public-key", "--secret-key", "--password-file", "--no-password", "--force")


def configure(parser: Parser) -> None:
    """Add the arguments."""
    output = parser.section("output")
    output.value(
        "-p, --public-key FILE",
        "write the public key, for readers, to FILE (default: regather.pub)",
        default="regather.pub",
    )
    output.value(
        "-s, --secret-key FILE",
        "write the secret key to FILE, which only its owner can read (default: regather.key)",
        default="regather.key",
    )
    options.add_force(output, "replace existing files")
    parser.section("verification").flag(
        "-W, --no-password", "protect the secret key by the permissions of its file alone"
    )
    add_password(parser)
    display = parser.section("display")
    display.flag("--json", "print JSON on standard output")
    display.flag("-q, --quiet", "show no report")


def run(args: argparse.Namespace) -> int:
    """Make them."""
    from regather.trust.secret_key import SecretKey

    files = (args.secret_key, args.public_key)
    if os.path.abspath(files[0]) == os.path.abspath(files[1]):
        raise UsageError(f"{files[0]}: both keys in one file", help="give each its own file")
    for path in files:
        if os.path.lexists(path) and not args.force:
            raise DestinationExistsError(
                f"{path}: already exists", help="choose another name, or use --force to replace it"
            )
    key = SecretKey.new()
    secret = key.text("" if args.no_password else _new_password(args.password_file))
    for path, text, mode in ((files[0], secret, 0o600), (files[1], key.public.text, 0o644)):
        _write(Path(path), text, mode, replace=args.force)
    public = key.public
    if args.json:
        print_json(
            key=public.name,
            public=public.line,
            public_key=args.public_key,
            secret_key=args.secret_key,
        )
    elif not args.quiet:
        print(
            f"Secret key: {args.secret_key}: keep it, and keep it secret\n"
            f"Public key: {args.public_key}: {public.line}\n"
            f"Sign with:  regather sign MANIFEST --secret-key {args.secret_key}\n"
            f"Get with:   regather get URL --trust {public.line}"
        )
    return 0


def _new_password(path: str | None) -> str:
    found = password(path, "New password: ")
    if path is None and password(None, "The same again: ") != found:
        raise UsageError("the two passwords differ", help="nothing was written")
    if not found:
        raise UsageError("an empty password", help="use --no-password for a key without one")
    return found


def _write(path: Path, text: str, mode: int, *, replace: bool) -> None:
    from regather.files.atomic import write_file

    with system_errors(StorageError, path, "choose another name"):
        write_file(path, text.encode(), replace=replace, mode=mode)
