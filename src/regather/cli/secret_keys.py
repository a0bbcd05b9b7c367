"""Secret keys on the command line: --sign-with and --secret-key, and their passwords."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from regather.cli.parsing import Parser
from regather.errors import UsageError, unusable

if TYPE_CHECKING:
    from regather.trust.secret_key import SecretKey


def add_sign_with(parser: Parser, what: str = "the manifest") -> None:
    """The options --sign-with and --password-file."""
    group = parser.section("verification")
    group.value("--sign-with FILE", f"sign {what} with the secret key in FILE")
    add_password(parser)


def add_password(parser: Parser) -> None:
    """The option --password-file."""
    parser.section("verification").value(
        "--password-file FILE",
        "read the password of the secret key from FILE (default: ask for it)",
    )


def key_of(args: argparse.Namespace) -> SecretKey | None:
    """The key of --sign-with, None without it. Raises UsageError."""
    return None if args.sign_with is None else read_key(args.sign_with, args.password_file)


def read_key(path: str, password_file: str | None) -> SecretKey:
    """Read a secret key; its password comes from a file or the terminal. Raises UsageError."""
    from regather.trust.secret_key import SecretKey

    return SecretKey.read(path, lambda: password(password_file, f"Password of {path}: "))


def password(path: str | None, prompt: str) -> str:
    """The first line of a file, or what is typed at the terminal. Raises UsageError."""
    if path is not None:
        try:
            with open(path, encoding="utf-8") as file:
                return file.readline(4096).rstrip("\r\n")
        except (OSError, ValueError) as error:
            raise unusable(path, "--password-file", error) from None
    import getpass
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(prompt)
    except (OSError, EOFError, getpass.GetPassWarning):
        raise UsageError(
            "no terminal to ask for the password of the secret key",
            help="give it with --password-file FILE",
        ) from None
