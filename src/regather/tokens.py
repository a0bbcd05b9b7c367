"""Secrets that let someone in: how they are read, so that they never come by the command line.

Nothing here, and no error, ever shows a token.
"""

from __future__ import annotations

import ipaddress
import os
import stat

from regather.errors import UsageError

_MAX_TOKEN = 4096


def flaw_of_token(token: str) -> str:
    """Say why ``token`` cannot be sent in a header, or return an empty string."""
    if not token:
        return "is empty"
    if not all("!" <= c <= "~" for c in token):
        return "contains spaces, control characters or non-ASCII characters"
    return f"is longer than {_MAX_TOKEN} bytes" if len(token) > _MAX_TOKEN else ""


def read_token_file(path: str, option: str) -> tuple[str, bool]:
    """Read a token from a file; returns it, and whether everyone on this machine may read it.

    White space around it is dropped. ``option`` is named in errors. Raises UsageError.
    """
    try:
        with open(path, "rb") as file:
            exposed = bool(os.fstat(file.fileno()).st_mode & stat.S_IROTH)
            token = file.read(2 * _MAX_TOKEN).strip().decode("latin-1")
    except (OSError, ValueError) as error:
        why = (getattr(error, "strerror", None) or "not a file name").lower()
        # What is there is a file; what is not may be the token itself, which is not shown.
        shown = f"{option} {path}" if os.path.lexists(path) else f"{option}: the file that it names"
        raise UsageError(
            f"{shown}: {why}", help="give a file that contains only the token"
        ) from None
    if flaw := flaw_of_token(token):
        raise UsageError(
            f"{option} {path}: the token in it {flaw}",
            help="put one long random word in it, for example the output of `openssl rand -hex 32`",
        )
    return token, exposed


def is_address(host: str) -> bool:
    """Whether a host is written as an IP address."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether what is sent to ``host`` stays on this machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
